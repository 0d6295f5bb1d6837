"""Environments are found by their files alone: quickly, within bounds, whatever lies about."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from folders import make_conda, make_old, make_venv
from hypothesis import given
from hypothesis import strategies as st

from jupyter_exec_ext.environments.conda import conda_prefixes
from jupyter_exec_ext.environments.discovery import Discovery, Walk, label_of
from jupyter_exec_ext.environments.registry import EnvironmentRegistry
from jupyter_exec_ext.environments.venv import VenvPythonEnvironment, read_config
from jupyter_exec_ext.errors import EnvironmentFailed
from jupyter_exec_ext.models import LABEL

Make = Callable[..., EnvironmentRegistry]


def names(registry: EnvironmentRegistry) -> list[str]:
    """The virtual environments in the list."""
    return [environment.name for environment in registry.list() if environment.kind == "venv"]


def found(root: Path, **options: int) -> set[str]:
    """The folders a walk finds, relative to its root."""
    return {os.path.relpath(path, root) for path in Walk(str(root), **options).turn(10)}


# ---- the list


def test_venvs_below_the_root_are_listed_with_their_version(root: Path, make_registry: Make) -> None:
    make_venv(root / "analysis" / ".venv", config="version = 3.9.2\n")
    make_venv(root / "tools", config="version_info = 3.12.1.final.0\n")

    listed = {environment.name: environment for environment in make_registry().list()}

    assert listed["venv:analysis"].spec["python"] == "3.9.2"
    assert listed["venv:tools"].spec["python"] == "3.12.1.final.0"
    assert listed["venv:tools"].status == "ready"
    assert listed["venv:tools"].spec["origin"] == "found"


def test_a_discovered_interpreter_is_never_executed_to_list_it(root: Path, make_registry: Make) -> None:
    # given an environment whose python leaves a trace
    prefix = make_venv(root / "evil")
    (prefix / "bin" / "python").unlink()
    (prefix / "bin" / "python").write_text(f"#!/bin/sh\ntouch {root}/executed\n")
    (prefix / "bin" / "python").chmod(0o755)
    registry = make_registry()

    assert "venv:evil" in names(registry)
    assert registry.get("venv:evil").languages()
    assert not (root / "executed").exists()


def test_two_hundred_venvs_are_listed_again_in_milliseconds(root: Path, make_registry: Make) -> None:
    # given 200 environments that were made some time ago, and listed
    for number in range(200):
        make_venv(root / f"project{number}" / ".venv")
    make_old(root)
    registry = make_registry()
    assert len(names(registry)) == 200

    # when nothing changes
    times = []
    for _ in range(10):
        began = time.perf_counter()
        registry.list()
        times.append(time.perf_counter() - began)

    assert min(times) < 0.05, f"the fastest of 10 took {min(times) * 1000:.1f} ms"


def test_a_new_venv_shows_up_and_a_removed_one_goes(root: Path, make_registry: Make) -> None:
    make_venv(root / "old")
    make_old(root)
    registry = make_registry()
    assert names(registry) == ["venv:old"]

    prefix = make_venv(root / "new" / "deep" / ".venv")
    assert names(registry) == ["venv:deep", "venv:old"]

    (prefix / "pyvenv.cfg").unlink()
    assert names(registry) == ["venv:old"]


def test_a_folder_that_becomes_a_venv_in_the_moment_it_is_read_is_not_missed(root: Path) -> None:
    # given a clock of the file system so coarse that two changes have one time stamp
    walk = Walk(str(root))
    (root / "late").mkdir()
    stamp = time.time()
    os.utime(root / "late", (stamp, stamp))
    assert walk.turn(10) == {}

    (root / "late" / "pyvenv.cfg").touch()
    os.utime(root / "late", (stamp, stamp))

    assert walk.turn(10) == {str(root / "late"): "venv"}


async def test_listeners_are_told_what_appears_and_goes(root: Path, make_registry: Make) -> None:
    registry = make_registry()
    told: list[tuple[str, str]] = []
    # a listener may ask for the list, and another may fail
    registry.on_change.append(lambda name, what: registry.list() and None)
    registry.on_change.append(lambda name, what: told.append((name, what)))
    registry.list()

    prefix = make_venv(root / "a")
    registry.list()
    (prefix / "bin" / "python").unlink()
    registry.list()
    (prefix / "pyvenv.cfg").unlink()
    registry.list()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert told == [("venv:a", "created"), ("venv:a", "changed"), ("venv:a", "deleted")]


# ---- the interpreter


def test_a_venv_whose_interpreter_vanished_is_unavailable_with_the_reason(
    root: Path, make_registry: Make
) -> None:
    make_venv(root / "broken", python="/opt/python3.7/bin/python3.7")
    registry = make_registry()

    (listed,) = (environment for environment in registry.list() if environment.name == "venv:broken")

    assert listed.status == "unavailable"
    assert listed.reason is not None
    assert "points to /opt/python3.7/bin/python3.7, which is not there" in listed.reason
    # then whoever starts it hears the same
    with pytest.raises(EnvironmentFailed, match=r"venv:broken.*is not there"):
        registry.get("venv:broken").get_executable()


@pytest.mark.parametrize("what", ["absent", "loop", "folder", "fifo", "not executable"])
def test_whatever_else_is_wrong_with_the_interpreter_is_a_reason(tmp_path: Path, what: str) -> None:
    python = make_venv(tmp_path / "v") / "bin" / "python"
    python.unlink()
    if what == "loop":
        python.symlink_to(python)
    elif what == "folder":
        python.mkdir()
    elif what == "fifo":
        os.mkfifo(python, 0o755)
    elif what == "not executable":
        python.write_text("x")
        python.chmod(0o600)

    environment = VenvPythonEnvironment("venv:v", tmp_path / "v")

    assert environment.status == "unavailable"
    assert environment.reason is not None
    assert str(python) in environment.reason


def test_it_heals_by_itself(root: Path, make_registry: Make) -> None:
    prefix = make_venv(root / "v", python="/nowhere/python")
    registry = make_registry()
    assert registry.list()[1].status == "unavailable"

    (prefix / "bin" / "python").unlink()
    (prefix / "bin" / "python").symlink_to(sys.executable)

    assert registry.list()[1].status == "ready"


# ---- hostile folders


def test_a_configuration_that_is_a_fifo_or_a_device_does_not_block(root: Path, make_registry: Make) -> None:
    for name in ("fifo", "device", "loop"):
        make_venv(root / name)
        (root / name / "pyvenv.cfg").unlink()
    os.mkfifo(root / "fifo" / "pyvenv.cfg")
    (root / "device" / "pyvenv.cfg").symlink_to("/dev/zero")
    (root / "loop" / "pyvenv.cfg").symlink_to("pyvenv.cfg")
    began = time.perf_counter()

    listed = {environment.name: environment for environment in make_registry().list()}

    assert time.perf_counter() - began < 5
    assert listed["venv:fifo"].spec["python"] is None
    assert listed["venv:device"].spec["python"] is None


def test_of_a_huge_configuration_the_beginning_is_read(tmp_path: Path) -> None:
    prefix = make_venv(tmp_path / "v")
    with open(prefix / "pyvenv.cfg", "a") as file:
        file.truncate(1_000_000_000)
    began = time.perf_counter()

    assert read_config(prefix)["version"] == "3.11.4"
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("text", ["", "=\n==\n", "version = \xff\xfe", "\0" * 100, "version" + "=" * 10_000])
def test_a_configuration_of_nonsense_is_no_error(tmp_path: Path, text: str) -> None:
    prefix = make_venv(tmp_path / "v")
    (prefix / "pyvenv.cfg").write_bytes(text.encode("latin-1"))

    described = VenvPythonEnvironment("venv:v", prefix).describe()

    assert len(described.model_dump_json()) < 3000


def test_links_are_not_followed_so_that_a_loop_ends(root: Path, tmp_path: Path) -> None:
    make_venv(tmp_path / "elsewhere" / "v")
    (root / "loop").symlink_to(root)
    (root / "out").symlink_to(tmp_path / "elsewhere")
    (root / "a").mkdir()
    (root / "a" / "up").symlink_to("..")
    make_venv(root / "mine")

    assert found(root) == {"mine"}


@pytest.mark.parametrize("name", ["node_modules", ".git", "site-packages", "__pycache__", ".tox"])
def test_folders_that_hold_no_environments_for_people_are_skipped(root: Path, name: str) -> None:
    make_venv(root / name / "v")
    # nor is an environment within an environment
    make_venv(make_venv(root / "v") / "lib" / "inner")

    assert found(root) == {"v"}


def test_the_walk_is_bounded_in_depth_folders_and_entries(root: Path) -> None:
    make_venv(root / "a" / "b" / "c" / "v")
    for number in range(60):
        (root / f"d{number:02}").mkdir()
    make_venv(root / "z" / "v")

    assert found(root, depth=4) == {"a/b/c/v", "z/v"}
    assert found(root, depth=3) == {"z/v"}
    assert found(root, max_folders=30) == set()
    assert len(found(root, max_entries=5)) <= 1


def test_a_walk_without_time_goes_on_where_it_stopped(root: Path) -> None:
    for number in range(50):
        make_venv(root / f"p{number}" / "v")
    walk = Walk(str(root))

    # when every turn has time for next to nothing
    turns = [len(walk.turn(1e-9)) for _ in range(5)]
    while len(walk.turn(0.0005)) < 50:
        turns.append(0)
        assert len(turns) < 5000

    assert turns[0] < 50


def test_a_huge_tree_does_not_hold_up_a_list(root: Path, make_registry: Make) -> None:
    # given more folders than can be looked into in the time of one list
    for number in range(3000):
        (root / f"d{number}").mkdir()
    registry = make_registry()

    began = time.perf_counter()
    registry.list()

    assert time.perf_counter() - began < 0.5


def test_a_folder_that_cannot_be_read_is_passed_over(root: Path) -> None:
    (root / "gone").symlink_to("nowhere")
    (root / "closed").mkdir(mode=0)
    make_venv(root / "v")

    assert "v" in found(root)
    assert found(root / "absent") == set()


# ---- names


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("analysis", "analysis"),
        ("My Project (old)", "My-Project-old"),
        ("d\u00e9j\u00e0 vu", "deja-vu"),
        ("\u202egpj.exe", "gpj.exe"),
        ("../../etc", "etc"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("<script>alert(1)</script>", "script-alert-1-script"),
        ("\u65e5\u672c", "environment"),
        ("", "environment"),
        ("a" * 100, "a" * 64),
        ("a\nb\0c", "a-b-c"),
    ],
)
def test_a_label_is_made_of_any_name(text: str, label: str) -> None:
    assert label_of(text) == label


@given(st.text())
def test_every_label_fits_the_pattern(text: str) -> None:
    assert re.fullmatch(LABEL, label_of(text))


def test_a_folder_with_bidi_controls_and_markup_gets_a_plain_name(root: Path, make_registry: Make) -> None:
    make_venv(root / "\u202egpj<img src=x>" / ".venv")

    (listed,) = (environment for environment in make_registry().list() if environment.kind == "venv")

    assert listed.name == "venv:gpj-img-src-x"
    assert listed.display_name == "gpj-img-src-x"


def test_a_prompt_names_a_venv_whose_folder_says_nothing(root: Path, make_registry: Make) -> None:
    make_venv(root / "x" / ".venv", config="prompt = 'sales'\n")

    assert names(make_registry()) == ["venv:sales"]


def test_of_two_of_one_name_the_older_has_it_also_after_a_restart(root: Path, make_registry: Make) -> None:
    # given three projects in folders of one name, the second the oldest
    for number, project in enumerate(("b", "a", "c")):
        prefix = make_venv(root / project / "work" / ".venv")
        os.utime(prefix / "pyvenv.cfg", (1000 - (project == "a") * 500 + number,) * 2)
    first = make_registry()
    held = {item.name: item.spec["path"] for item in first.list() if item.kind == "venv"}
    assert {name: Path(path).parts[-3] for name, path in held.items()} == {
        "venv:work": "a",
        "venv:work-2": "b",
        "venv:work-3": "c",
    }

    # then another server gives the same names
    again = {item.name: item.spec["path"] for item in make_registry().list() if item.kind == "venv"}
    assert again == held
    # and none changes while the server runs, whatever goes or comes
    (root / "a" / "work" / ".venv" / "pyvenv.cfg").unlink()
    make_venv(root / "0" / "work" / ".venv")
    later = {item.name: item.spec["path"] for item in first.list() if item.kind == "venv"}
    assert later["venv:work-2"] == held["venv:work-2"]
    assert later["venv:work-3"] == held["venv:work-3"]


def test_long_names_that_collide_stay_within_the_pattern(root: Path) -> None:
    for parent in ("a", "b"):
        make_venv(root / parent / ("x" * 100))

    found_ones = Discovery(Walk(str(root))).look((), 10)

    assert sorted(found_ones) == sorted([f"venv:{'x' * 64}", f"venv:{'x' * 62}-2"])


def test_the_servers_own_environment_is_local_and_not_listed_twice(
    root: Path, make_registry: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(make_venv(root / "own")))
    make_venv(root / "other")

    assert names(make_registry()) == ["venv:other"]


# ---- conda


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_conda_environments_are_found_by_their_files(home: Path, tmp_path: Path) -> None:
    base = make_conda(home / "miniforge3")
    named = make_conda(base / "envs" / "sales")
    (base / "envs" / "half").mkdir()
    listed = make_conda(tmp_path / "somewhere")
    pointed = make_conda(tmp_path / "active")
    mamba = make_conda(tmp_path / "mamba" / "envs" / "m")
    (home / ".conda").mkdir()
    (home / ".conda" / "environments.txt").write_text(f"{listed}\n{tmp_path}/gone\nrelative\n\n{listed}\n")
    source = {"HOME": str(home), "CONDA_PREFIX": str(pointed), "MAMBA_ROOT_PREFIX": str(tmp_path / "mamba")}

    assert {base, named, listed, pointed, mamba} <= set(conda_prefixes((), source))
    assert tmp_path / "gone" not in conda_prefixes((), source)


def test_a_list_of_conda_that_is_a_fifo_or_huge_does_no_harm(home: Path) -> None:
    (home / ".conda").mkdir()
    os.mkfifo(home / ".conda" / "environments.txt")
    assert conda_prefixes((), {"HOME": str(home)}) is not None

    (home / ".conda" / "environments.txt").unlink()
    (home / ".conda" / "environments.txt").write_text("/a\0b\n" + "/x\n" * 500_000)
    began = time.perf_counter()
    assert conda_prefixes((), {"HOME": str(home)}) is not None
    assert time.perf_counter() - began < 2


def test_a_conda_environment_is_a_venv_with_condas_variables(home: Path, make_registry: Make) -> None:
    base = make_conda(home / "miniconda3")
    (base / "envs").mkdir()
    prefix = make_conda(base / "envs" / "sales")
    state = '{"env_vars": {"REGION": "eu", "API_TOKEN": "x", "bad name": "y", "NUMBER": 1}}'
    (prefix / "conda-meta" / "state").write_text(state)
    registry = make_registry()

    assert {"venv:base", "venv:sales"} <= set(names(registry))
    environment = registry.get("venv:sales")
    variables = environment.variables()

    assert environment.get_executable() == str(prefix / "bin" / "python")
    assert variables["PATH"].startswith(f"{prefix}/bin:")
    assert variables["CONDA_PREFIX"] == str(prefix)
    assert variables["CONDA_DEFAULT_ENV"] == "sales"
    assert variables["REGION"] == "eu"
    assert not {"VIRTUAL_ENV", "API_TOKEN", "bad name", "NUMBER"} & set(variables)
    assert environment.describe().spec["origin"] == "conda"


def test_a_conda_environment_below_the_root_is_named_by_its_path(root: Path, make_registry: Make) -> None:
    prefix = make_conda(root / "project" / "stats")

    environment = make_registry().get("venv:stats")

    assert environment.variables()["CONDA_DEFAULT_ENV"] == str(prefix)


def test_a_conda_environment_without_python_is_not_offered(home: Path, make_registry: Make) -> None:
    prefix = make_conda(home / "miniconda3" / "envs" / "only-r")
    (prefix / "bin" / "python").unlink()

    assert "venv:only-r" not in names(make_registry())


def test_a_venv_has_the_variables_of_its_activation(tmp_path: Path) -> None:
    prefix = make_venv(tmp_path / "v")

    variables = VenvPythonEnvironment("venv:v", prefix).variables()

    assert variables["VIRTUAL_ENV"] == str(prefix)
    assert variables["PATH"].startswith(f"{prefix}/bin:")
