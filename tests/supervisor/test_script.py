"""A forked block cannot tell itself from a script: the same source, run three ways, prints and ends the same.

The ways are ``python -u FILE``, a fork of the warm interpreter, and a fresh interpreter of the
supervisor's. What is compared is standard output, standard error, exit code and the files left.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import OTHERS
from .session import Session

SCRIPTS = Path(__file__).with_name("scripts")
CORE = sorted((SCRIPTS / "core").glob("*.py"))
WAYS = {"forked": {"fork": True}, "spawned": {"fork": False}}
_ADDRESS = re.compile("0x[0-9a-f]+")

Get = Callable[..., Session]
Result = tuple[str, str, int, dict[str, str]]


def clear(folder: Path) -> None:
    """Remove what a run left."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def left_in(folder: Path) -> dict[str, str]:
    """What a run left, by name; the compiled modules of neighbours apart."""
    return {path.name: path.read_text(errors="replace") for path in folder.iterdir() if path.is_file()}


def model(session: Session, source: str, stdin: str | None = None, **variables: str) -> Result:
    """What `python -u FILE` makes of a source."""
    path = session.workspace / "block.py"
    path.write_text(source, encoding="utf-8", newline="")
    with open(os.devnull) as nothing:
        given: dict[str, Any] = {"stdin": nothing} if stdin is None else {"input": stdin.encode()}
        done = subprocess.run(
            [session.python, "-u", str(path)], capture_output=True, cwd=session.workspace, timeout=30,
            env={**session.variables, **variables}, start_new_session=True, **given,
        )  # fmt: skip
    path.unlink()
    stdout, stderr = (
        _ADDRESS.sub("0x", text.decode("utf-8", "replace")) for text in (done.stdout, done.stderr)
    )
    return stdout, stderr, done.returncode, left_in(session.workspace)


def block(session: Session, source: str, **fields: Any) -> Result:
    """What the supervisor makes of it; the file of a block without a name has the model's path."""
    ended = session.run(source, **fields)
    assert ended.report["op"] == "end", ended.report
    assert ended.report["problem"] is None
    here = session.workspace / "block.py"
    stdout, stderr = (
        _ADDRESS.sub("0x", text).replace(ended.path, str(here)).replace(Path(ended.path).name, here.name)
        for text in (ended.stdout, ended.stderr)
    )
    return stdout, stderr, ended.code, left_in(session.workspace)


def assert_equal(session: Session, source: str, **neighbours: str) -> None:
    """Run a source three ways and compare."""
    results = {}
    for way in ("model", *WAYS):
        clear(session.workspace)
        for name, text in neighbours.items():
            (session.workspace / f"{name}.py").write_text(text)
        results[way] = model(session, source) if way == "model" else block(session, source, **WAYS[way])
    for way in WAYS:
        assert results[way] == results["model"], way


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.py")) + CORE, ids=lambda path: path.stem)
def test_a_block_is_like_a_script(session_of: Get, path: Path) -> None:
    neighbours = {"sibling": "value = 1", "output": "", "files": "", "run": ""}

    assert_equal(session_of(), path.read_text(), **neighbours)


@pytest.mark.parametrize("version", OTHERS)
@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_a_block_is_like_a_script_on_every_python(session_of: Get, path: Path, version: str) -> None:
    assert_equal(session_of(OTHERS[version]), path.read_text())


NAMESAKES = (
    "platform",
    "json",
    "ctypes",
    "struct",
    "select",
    "resource",
    "re",
    "types",
    "signal",
    "collections",
)


@pytest.mark.parametrize("named", [False, True])
def test_a_module_in_the_workspace_goes_before_its_namesake_in_the_library(
    session_of: Get, named: bool
) -> None:
    # given modules that the warm interpreter has imported, and a script has not
    session = session_of()
    for name in NAMESAKES:
        neighbours = {name: "print('mine', __name__)"}

        # when a block imports one that lies beside it, then that is what it gets, in every way
        assert_equal(session, f"import {name}", **neighbours)
        (session.workspace / f"{name}.py").write_text("print('mine', __name__)")
        file = {"file": "block.py"} if named else {}
        for way in WAYS.values():
            assert session.run(f"import {name}", **file, **way).stdout.startswith(f"mine {name}\n"), name
        (session.workspace / f"{name}.py").unlink()


def test_a_package_beside_the_file_is_found_and_a_folder_of_data_is_none(session_of: Get) -> None:
    session = session_of()
    clear(session.workspace)
    folder = session.workspace / "json"
    folder.mkdir()
    assert session.run("import json; print(json.dumps(1))").stdout == "1\n"

    (folder / "__init__.py").write_text("print('package')")

    assert session.run("import json").stdout == "package\n"


def test_namesakes_are_found_among_thousands_of_files(session_of: Get) -> None:
    session = session_of()
    clear(session.workspace)
    for number in range(2500):
        (session.workspace / f"{number}.txt").touch()
    (session.workspace / "platform.py").write_text("print('mine')")

    assert session.run("import platform").stdout == "mine\n"
    clear(session.workspace)


@pytest.mark.parametrize("source", ["print(1)", "print(1)\n1 / 0", "import sys\nsys.exit(3)"])
def test_a_script_that_is_to_be_inspected_ends_as_ever(tmp_path: Path, source: str) -> None:
    with Session(tmp_path) as session:
        ended = session.run(source, env={"PYTHONINSPECT": "1"})
    script = Path(ended.path)
    variables = {**session.variables, "PYTHONINSPECT": "1"}
    plain = subprocess.run(
        [sys.executable, "-u", str(script)], env=variables, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert (ended.stdout, ended.stderr, ended.code) == (plain.stdout, plain.stderr, plain.returncode)
