"""What changes after the warm interpreter has started, where nothing in the workspace itself tells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jupyter_exec_ext.supervisor.shadows import Shadows

from .session import Session


def test_what_is_in_the_users_own_packages_is_found_though_there_were_none_at_the_start(
    tmp_path: Path,
) -> None:
    # given an interpreter that has such packages, which one of a virtual environment has not
    python = os.path.realpath(sys.executable)
    variables = {"HOME": str(tmp_path / "home")}
    install = (
        "import os, site\nplace = site.getusersitepackages()\nos.makedirs(place)\n"
        "open(os.path.join(place, 'mymod.py'), 'w').write('value = 1')\nprint(site.ENABLE_USER_SITE)"
    )
    with Session(tmp_path, python, preload=["decimal"], variables=variables) as session:
        assert session.run("import mymod").stderr.endswith("No module named 'mymod'\n")
        # when
        assert session.run(install).stdout == "True\n"
        # then
        assert session.run("import mymod; print(mymod.value)").stdout == "1\n"
        # and the interpreter that has been made anew is warm
        assert session.run("import sys; print('decimal' in sys.modules)").stdout == "True\n"


@pytest.mark.parametrize("how", ["PYTHONNOUSERSITE", "venv"])
def test_packages_of_the_user_that_are_not_enabled_stay_unseen(tmp_path: Path, how: str) -> None:
    python = os.path.realpath(sys.executable)
    if how == "venv":
        subprocess.run([python, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
        python = str(tmp_path / "venv" / "bin" / "python")
    variables = {"HOME": str(tmp_path / "home"), **({how: "1"} if how != "venv" else {})}
    install = (
        "import os, site\nplace = site.getusersitepackages()\nos.makedirs(place)\n"
        "open(os.path.join(place, 'mymod.py'), 'w').close()"
    )
    with Session(tmp_path, python, variables=variables) as session:
        assert session.run(install).code == 0

        assert session.run("import mymod").stderr.endswith("No module named 'mymod'\n")


def settle(folder: Path) -> None:
    """Make the last change of a folder an old one, so that what is known of it is remembered."""
    os.utime(folder, (time.time() - 10, time.time() - 10))


WHOSE_JSON = "import json; print(hasattr(json, 'loads'), getattr(json, 'x', None))"


@pytest.mark.parametrize("preload", [["json"], []])
def test_a_folder_that_becomes_a_package_hides_the_librarys_module(
    tmp_path: Path, preload: list[str]
) -> None:
    with Session(tmp_path, preload=preload) as session:
        folder = session.workspace / "json"
        folder.mkdir()
        settle(session.workspace)
        assert session.run(WHOSE_JSON).stdout == "True None\n"
        # when nothing changes in the workspace itself
        (folder / "__init__.py").write_text("x = 1")
        assert session.run(WHOSE_JSON).stdout == "False 1\n"
        # and back
        (folder / "__init__.py").unlink()
        shutil.rmtree(folder / "__pycache__")
        assert session.run(WHOSE_JSON).stdout == "True None\n"


@pytest.mark.parametrize("name", ["json.py", "json"])
def test_a_link_whose_target_comes_later_hides_the_librarys_module(tmp_path: Path, name: str) -> None:
    with Session(tmp_path, preload=["json"]) as session:
        target = tmp_path / "elsewhere"
        (session.workspace / name).symlink_to(target)
        settle(session.workspace)
        assert session.run(WHOSE_JSON).stdout == "True None\n"
        # when
        if name == "json":
            target.mkdir()
            target /= "__init__.py"
        target.write_text("x = 1")
        # then
        assert session.run(WHOSE_JSON).stdout == "False 1\n"


def test_of_a_usual_workspace_it_is_remembered_that_it_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("data", "results", ".git"):
        (tmp_path / name).mkdir()
    (tmp_path / "analysis.py").touch()
    (tmp_path / "json.txt").symlink_to("nowhere")
    settle(tmp_path)
    shadows, looks = Shadows(), []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: looks.append(folder) or scandir(folder))

    assert not any(shadows.hidden(str(tmp_path)) for _ in range(5))

    assert len(looks) == 1


def test_a_module_that_is_written_again_within_a_second_is_the_new_one(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        for value in (1, 2, 3):
            session.run(f"value = {value}", file="again.py")
            assert session.run("import again; print(again.value)").stdout == f"{value}\n"
