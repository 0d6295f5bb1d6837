"""pip in a shell's block prints only what went wrong, and no block's text is touched for that."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

WHEEL = "tiny-1-py3-none-any.whl"


@pytest.fixture
def packages(workspace: Path) -> None:
    """A wheel, and a source that cannot be built."""
    with zipfile.ZipFile(workspace / WHEEL, "w") as wheel:
        wheel.writestr("tiny.py", "X = 1\n")
        for name, text in {
            "METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n",
            "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "tiny.py,,\n",
        }.items():
            wheel.writestr(f"tiny-1.dist-info/{name}", text)
    (workspace / "broken").mkdir()
    (workspace / "broken" / "backend.py").write_text("raise SystemExit('the build is broken')\n")
    (workspace / "broken" / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    )


async def output(
    executor: LocalCommandLineCodeExecutor, code: str, language: str = "bash", **env: str
) -> tuple[str, int | None]:
    block = CodeBlock(code=code, language=language)
    result = await executor.execute_code_blocks([block], RunOptions(env={"PIP_NO_INDEX": "1", **env}))
    return result.output, result.exit_code


def pip(what: str) -> str:
    return f"python3 -m pip install --target there --upgrade --no-build-isolation {what}"


@pytest.mark.usefixtures("packages")
async def test_an_installation_is_silent_and_its_errors_are_not(make: Make, workspace: Path) -> None:
    executor = await make()

    assert await output(executor, pip(f"./{WHEEL}")) == ("", 0)
    assert (workspace / "there" / "tiny.py").exists()
    printed, code = await output(executor, pip("no-such-thing-here"))
    assert ("No matching distribution" in printed, code) == (True, 1)
    printed, code = await output(executor, pip("./broken"))
    assert ("the build is broken" in printed, code) == (True, 1)


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("env", [{"PIP_QUIET": "0"}, {"PIP_VERBOSE": "0"}])
async def test_who_asks_to_hear_pip_does(make: Make, env: Any) -> None:
    printed, code = await output(await make(), pip(f"./{WHEEL}"), **env)

    assert ("Successfully installed tiny-1" in printed, code) == (True, 0)


@pytest.mark.usefixtures("packages")
async def test_what_else_pip_is_asked_for_is_seen(make: Make) -> None:
    code = pip(f"./{WHEEL}") + "; PYTHONPATH=there python3 -m pip show tiny"

    assert "Name: tiny" in (await output(await make(), code))[0]


@pytest.mark.parametrize(
    ("language", "code", "expected"),
    [
        ("bash", "echo 'first; pip install x'", "first; pip install x\n"),
        ("bash", "echo 'first\npip install x\n'", "first\npip install x\n\n"),
        ("bash", "cat <<A <<'B'\nA\npip install x\nB\n", "pip install x\n"),
        ("bash", "cat <<A; cat <<B\nx\nA\npip install x\nB\n", "x\npip install x\n"),
        ("python", "print('''\n!pip install x\n''')", "\n!pip install x\n\n"),
        ("python", "import os\nprint(os.getenv('PIP_QUIET'), '''\npip install''')", "None \npip install\n"),
    ],
)  # fmt: skip
async def test_text_that_speaks_of_pip_is_left_as_it_is(
    make: Make, language: str, code: str, expected: str
) -> None:
    assert await output(await make(), code, language) == (expected, 0)
