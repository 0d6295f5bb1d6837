"""Virtual environments are made for real, by uv and by pip; what fails or is broken off leaves nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from folders import building, make_venv, processes_with

from jupyter_exec_ext.environments import venv
from jupyter_exec_ext.environments.building import Recipe
from jupyter_exec_ext.environments.tools import find_uv
from jupyter_exec_ext.environments.venv import MARKER, VenvPythonEnvironment, remove_whole
from jupyter_exec_ext.errors import Conflict, EnvironmentFailed, InvalidRequest
from jupyter_exec_ext.pathfolder import open_folder


def run(environment: VenvPythonEnvironment, code: str) -> str:
    """What the environment's interpreter prints."""
    command = [environment.get_executable(), "-c", code]
    done = subprocess.run(command, env=environment.variables(), capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Where the environment will be."""
    return tmp_path / "made" / "venv"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("installer", ["uv", "pip"])
async def test_an_environment_is_made_with_its_packages(
    prefix: Path, installer: Literal["uv", "pip"]
) -> None:
    # given both packages and a requirements file with an option
    requirements = "# comment\n--prefer-binary\niniconfig>=2\n"
    recipe = Recipe(packages=("six==1.17.0",), requirements=requirements)
    environment = VenvPythonEnvironment("venv:v", prefix, recipe=recipe, installer=installer)
    told: list[tuple[str, int, int]] = []
    assert environment.status == "unavailable"

    await environment.prepare(lambda *progress: told.append(progress))

    # then it has them, and a pip of its own, and says what it is
    assert run(environment, "import six, iniconfig; print(six.__version__)") == "1.17.0"
    assert run(environment, "import sys; print(sys.prefix)") == str(prefix)
    assert run(environment, "import shutil; print(shutil.which('pip'))") == str(prefix / "bin" / "pip")
    assert environment.status == "ready"
    assert environment.describe().spec["packages"] == ["six==1.17.0"]
    assert environment.describe().spec["origin"] == "created"
    # and the steps were counted
    assert told[0][1:] == (0, 2)
    assert told[-1] == ("Ready", 2, 2)
    assert any("six" in label for label, _, _ in told)
    assert prefix.with_name("venv.requirements.txt").read_text() == requirements

    # when it is there already nothing is done
    await environment.prepare(lambda *progress: told.append(("again", 0, 0)))
    assert told[-1] == ("Ready", 2, 2)

    await environment.remove()
    assert list(prefix.parent.iterdir()) == []


@pytest.mark.timeout(240)
@pytest.mark.parametrize("installer", ["uv", "pip"])
async def test_always_system_site_packages_a_created_environment_sees_no_package_of_the_servers_python(
    prefix: Path, installer: Literal["uv", "pip"]
) -> None:
    # given an environment made with the Python that runs this, which has packages
    environment = VenvPythonEnvironment("venv:v", prefix, recipe=Recipe(), installer=installer)
    await environment.prepare()
    # when
    path = run(environment, "import sys; print(*sys.path, sep=chr(10))").splitlines()
    # then packages are looked for in its own folder only, neither in the server's nor in its base's
    own = os.path.join(str(prefix), "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    assert [folder for folder in path if "-packages" in folder] == [os.path.join(own, "site-packages")]
    find = "import importlib.util; print(importlib.util.find_spec('pydantic'))"
    assert run(environment, find) == "None"


@pytest.mark.parametrize("installer", ["uv", "pip"])
async def test_a_python_that_is_not_there_is_named(prefix: Path, installer: Literal["uv", "pip"]) -> None:
    environment = VenvPythonEnvironment(
        "venv:v",
        prefix,
        recipe=Recipe(python="3.99"),
        installer=installer,
    )

    with pytest.raises(EnvironmentFailed, match=r"venv:v could not be made: .*3\.99"):
        await environment.prepare()

    assert list(prefix.parent.iterdir()) == []


@pytest.mark.timeout(240)
@pytest.mark.parametrize("installer", ["uv", "pip"])
async def test_a_package_that_is_not_there_is_quoted_and_nothing_is_left(
    prefix: Path, installer: str
) -> None:
    recipe = Recipe(packages=("no-such-package-7c1d9e",), requirements="six\n--no-index\n")
    environment = VenvPythonEnvironment("venv:v", prefix, recipe=recipe, installer=installer)

    with pytest.raises(EnvironmentFailed) as caught:
        await environment.prepare()

    assert "no-such-package-7c1d9e" in caught.value.message
    assert "ended with exit code 1 and said" in caught.value.message
    assert "\n" not in caught.value.message
    assert list(prefix.parent.iterdir()) == []
    assert environment.status == "unavailable"


async def test_without_uv_one_that_wants_it_says_so(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    environment = VenvPythonEnvironment("venv:v", prefix, recipe=Recipe(), installer="uv")

    with pytest.raises(EnvironmentFailed, match="uv is not installed"):
        await environment.prepare()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("installer", ["uv", "pip"])
async def test_cancelling_leaves_no_process_and_no_folder(
    tmp_path: Path, prefix: Path, slow: str, installer: Literal["uv", "pip"]
) -> None:
    # given a package that is being built, in a process of a process of the installer
    environment = VenvPythonEnvironment(
        "venv:v", prefix, recipe=Recipe(packages=(slow,)), installer=installer
    )
    preparing = asyncio.create_task(environment.prepare())
    await asyncio.wait_for(asyncio.to_thread(building, slow), 120)
    assert environment.status == "preparing"
    assert processes_with(str(prefix)) != []

    # when it is cancelled, and cancelled again while it clears up
    preparing.cancel()
    await asyncio.sleep(0)
    preparing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await preparing

    # then nothing of it is there
    assert processes_with(str(tmp_path)) == []
    assert list(prefix.parent.iterdir()) == []
    assert environment.status == "unavailable"


async def test_a_relative_requirement_begins_at_the_given_folder(tmp_path: Path, prefix: Path) -> None:
    if find_uv() is None:
        pytest.fail("these tests need uv")
    package = tmp_path / "root" / "mine"
    package.mkdir(parents=True)
    (package / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "4"\n')
    (package / "mine.py").write_text("")
    recipe = Recipe(requirements="-e ./mine\n")
    environment = VenvPythonEnvironment("venv:v", prefix, recipe=recipe, folder=tmp_path / "root")

    await environment.prepare()

    assert run(environment, "import mine; print(mine.__file__)") == str(package / "mine.py")


async def test_a_second_preparation_meanwhile_is_refused(prefix: Path) -> None:
    environment = VenvPythonEnvironment("venv:v", prefix, recipe=Recipe())
    first = asyncio.create_task(environment.prepare())
    await asyncio.sleep(0.01)

    with pytest.raises(Conflict, match="being prepared already"):
        await environment.prepare()

    await first
    assert environment.status == "ready"


# ---- what was there before


@pytest.fixture
def thesis(prefix: Path) -> Path:
    """Something else where the environment would be."""
    prefix.mkdir(parents=True)
    (prefix / "thesis.txt").write_text("years of work")
    return prefix / "thesis.txt"


def words_in(file: Path) -> str:
    """What is written there."""
    return file.read_text()


async def test_a_folder_with_something_else_in_it_is_never_touched(prefix: Path, thesis: Path) -> None:
    environment = VenvPythonEnvironment("venv:v", prefix, recipe=Recipe())

    with pytest.raises(Conflict, match="is there already"):
        await environment.prepare()
    with pytest.raises(Conflict, match="not created here"):
        await environment.remove()

    assert words_in(thesis) == "years of work"


async def test_somebody_elses_venv_is_not_removed(prefix: Path) -> None:
    make_venv(prefix)

    for recipe in (None, Recipe()):
        with pytest.raises(Conflict, match="not created here"):
            await VenvPythonEnvironment("venv:v", prefix, recipe=recipe).remove()

    assert (prefix / "pyvenv.cfg").exists()


async def test_one_that_was_broken_off_is_not_ready_and_is_made_anew(prefix: Path) -> None:
    # given what a process leaves that was killed after the interpreter was there
    make_venv(prefix)
    (prefix / MARKER).write_text("preparing\n")
    environment = VenvPythonEnvironment("venv:v", prefix, recipe=Recipe())
    assert environment.status == "unavailable"
    assert environment.reason is not None
    assert "broken off" in environment.reason

    await environment.prepare()

    assert environment.status == "ready"
    assert run(environment, "print(1)") == "1"


def test_a_tree_with_closed_folders_and_links_is_removed_and_no_link_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "file").touch()
    (tree / "link").symlink_to(kept)
    os.chmod(tree / "a" / "b", 0o500)
    os.chmod(tree / "a", 0o500)

    with open_folder(tmp_path) as folder:
        remove_whole(folder, "tree")
        remove_whole(folder, "tree")

    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (kept / "file").exists()


# ---- recipes


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("packages", {"packages": ("six", "-e .")}),
        ("packages", {"packages": ("--index-url=http://evil",)}),
        ("packages", {"packages": (" -r /etc/passwd",)}),
        ("packages", {"packages": ("",)}),
        ("packages", {"packages": ("six\n--index-url http://evil",)}),
        ("packages", {"packages": ("a\0b",)}),
        ("packages", {"packages": ("a\udc80b",)}),
        ("python", {"python": "--version"}),
        ("python", {"python": "3.11\n"}),
        ("requirements", {"requirements": "a\0b"}),
        ("requirements", {"requirements": "a\udc80b"}),
    ],
)
def test_what_cannot_be_a_package_names_the_field(field: str, given: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Recipe(**given)  # type: ignore[arg-type]

    assert caught.value.field == field
    assert caught.value.message.isprintable()


def test_options_in_requirements_are_the_users_own() -> None:
    assert Recipe(requirements="--index-url https://index.example/simple\n-e .\n").installs
    assert not Recipe(requirements=" \n").installs


def test_what_is_written_into_an_environment_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    marker = tmp_path / "marker"
    marker.symlink_to(victim)

    venv._write_private(marker, "ready")

    assert victim.read_text() == "mine"
    assert (marker.read_text(), marker.is_symlink()) == ("ready", False)
    assert sorted(os.listdir(tmp_path)) == ["marker", "victim"]
