"""pip in a shell's block prints only what went wrong, unless somebody asks for more."""

from __future__ import annotations

import os
import re
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.environments.variables import prepended
from jupyter_exec_ext.environments.venv import VenvPythonEnvironment

from .conftest import Make
from .pips import output

WHEEL = "tiny-1-py3-none-any.whl"

# What pip itself reads out of its arguments, variables and files.
TELLS = """#!{}
import sys
from pip._internal.cli.main_parser import parse_command
from pip._internal.commands import create_command

name, arguments = parse_command(sys.argv[1:])
options, _ = create_command(name).parse_args(arguments)
print(options.quiet - options.verbose)
"""


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


INSTALLS = [
    "pip install pip",
    "python3 -m pip install pip",
    "$VIRTUAL_ENV/bin/python -m pip install pip",
    '"$VIRTUAL_ENV/bin/pip" install pip',
    "pip --no-cache-dir install pip",
    "if ! pip install pip; then exit 3; fi",
    "{ pip install pip; }",
    "{ time -p pip install pip; } 2> >(grep -v -e real -e user -e sys)",
    "env A=1 pip install pip",
    "command pip install pip",
    "nice pip install pip",
    "exec pip install pip",
    "for p in pip; do pip install $p; done",
    "f() { pip install pip; }; f",
    "bash -c 'pip install pip'",
    "pip install \\\n  --no-cache-dir \\\n  pip",
    "pip install \"pip; python_version>'3'\"",
    "pip install pip  # then pip show it, or pip -v",
    "pip install pip && cat -v /dev/null",
    "echo 'see pip docs' >/dev/null\npip install pip",
]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> VenvPythonEnvironment:
    """An environment with a pip of its own."""
    prefix = tmp_path_factory.mktemp("environments") / "venv"
    venv.create(prefix, with_pip=True, symlinks=True)
    return VenvPythonEnvironment("venv:elsewhere", prefix)


@pytest.mark.parametrize("code", INSTALLS)
async def test_however_an_installation_is_written_it_is_silent(
    make: Make, elsewhere: VenvPythonEnvironment, code: str
) -> None:
    assert await output(await make(elsewhere), code) == ("", 0)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("pip install pip\npip list | sed -n 1p", r"Package +Version\n"),
        ("pip --version; pip install pip", r"pip \d.*\n"),
        ("pip install pip; python3 -m pip show pip | sed -n 1p", "Name: pip\n"),
        ("pip uninstall -y nonexist; pip install pip", "WARNING: Skipping nonexist .*\n"),
        ("pip install pip; pip check", "No broken requirements found.\n"),
        ("pip install pip; pip freeze --all | grep -o pip", "pip\n"),
        ("pip install pip; pip config set global.timeout 9; pip config get global.timeout", "Writing.*\n9\n"),
    ],
)
async def test_what_else_pip_is_asked_for_is_seen(
    make: Make, elsewhere: VenvPythonEnvironment, workspace: Path, code: str, expected: str
) -> None:
    printed, status = await output(await make(elsewhere), code, HOME=str(workspace))

    assert (re.fullmatch(expected, printed) is not None, status) == (True, 0), printed


@pytest.mark.parametrize(
    ("code", "loudness"),
    [
        ("pip install -q pip", 1),
        ("pip install pip -qq", 2),
        ("pip -q install pip", 1),
        ("pip install -Uq pip", 1),
        ("pip install \\\n  --quiet pip", 1),
        ("pip install \"pip; python_version>'3'\" -q", 1),
        ("pip install -v pip", -1),
        ("pip install pip --verbose", -1),
        ("bash -c 'pip install -v pip'", -1),
        ("FLAGS='--no-input -v'; pip install $FLAGS pip", -1),
        ("PIP_VERBOSE=1 pip install pip", -1),
        ("PIP_QUIET=1 pip install pip", 1),
        ("export PIP_QUIET=0; pip install pip", 0),
    ],
)
async def test_who_says_how_loud_pip_is_gets_that_and_nothing_on_top(
    make: Make, elsewhere: VenvPythonEnvironment, tmp_path: Path, code: str, loudness: int
) -> None:
    # given a command that tells how loud pip would be
    (tmp_path / "pip").write_text(TELLS.format(elsewhere.get_executable()))
    (tmp_path / "pip").chmod(0o755)
    path = prepended(elsewhere.search_path(), str(tmp_path))

    assert await output(await make(elsewhere), code, PATH=path) == (f"{loudness}\n", 0)


@pytest.mark.usefixtures("packages")
async def test_an_installation_with_q_says_why_it_failed(make: Make) -> None:
    printed, code = await output(await make(), pip("-q ./broken"))

    assert ("the build is broken" in printed, code) == (True, 1)


async def test_the_users_settings_and_folders_are_read_as_ever(
    make: Make, elsewhere: VenvPythonEnvironment, workspace: Path
) -> None:
    # given a user's file, a folder of settings, and a file that the execution names
    for name, key in {"home/.config/pip": "retries", "folder/pip": "timeout", "named": "proxy"}.items():
        (workspace / name).mkdir(parents=True)
        (workspace / name / "pip.conf").write_text(f"[global]\n{key} = 7\n")
    env = {"HOME": f"{workspace}/home", "XDG_CONFIG_DIRS": f"{workspace}/folder"}
    executor = await make(elsewhere)

    printed, _ = await output(executor, "pip install pip; pip config list", **env)
    assert "satisfied" not in printed
    assert {"global.retries='7'", "global.timeout='7'"} < set(printed.splitlines())

    printed, _ = await output(executor, "pip install pip; pip config list", PIP_CONFIG_FILE="named/pip.conf")
    assert "global.proxy='7'" in printed
    assert (await output(executor, "pip install pip", PIP_CONFIG_FILE=os.devnull))[0] != ""


async def test_who_asks_for_another_loudness_in_a_file_of_his_own_gets_it(
    make: Make, elsewhere: VenvPythonEnvironment, workspace: Path
) -> None:
    (workspace / ".config" / "pip").mkdir(parents=True)
    (workspace / ".config" / "pip" / "pip.conf").write_text("[install]\nquiet = 0\n")

    printed, code = await output(await make(elsewhere), "pip install pip", HOME=str(workspace))

    assert ("already satisfied" in printed, code) == (True, 0)


async def test_a_variable_of_the_environment_says_how_loud_pip_is(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_VERBOSE", "0")

    printed, _ = await output(
        await make(SystemPythonEnvironment("local", env_allow=["PIP_*"])), "pip install pip"
    )

    assert "already satisfied" in printed


async def test_a_pip_that_takes_no_number_is_told_none(make: Make, tmp_path: Path) -> None:
    # given an environment with a pip that would refuse the setting: before 20.3
    prefix = tmp_path / "old"
    venv.create(prefix, symlinks=True)
    folder = next(prefix.glob("lib/python3*/site-packages"))
    code = "echo $XDG_CONFIG_DIRS # pip install x"

    for version, told in {"20.2.4": False, "9.0.3": False, "20.3": True, "26.1.dev0": True}.items():
        (folder / f"pip-{version}.dist-info").mkdir()
        executor = await make(VenvPythonEnvironment("venv:old", prefix))
        assert (len((await output(executor, code))[0]) > 1) is told, version
        (folder / f"pip-{version}.dist-info").rmdir()
