"""Environments are found by their files alone: quickly, and noticed when they come, break and go."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest
from folders import make_old, make_venv
from registries import Make, names

from jupyter_exec_ext.environments.discovery import Walk
from jupyter_exec_ext.environments.venv import VenvPythonEnvironment
from jupyter_exec_ext.errors import EnvironmentFailed


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


@pytest.mark.parametrize(
    ("version", "usable"),
    [("3.7.16", False), ("2.7.18", False), ("3.8", True), ("3.13.1", True), ("?", True)],
)
def test_a_python_that_the_supervisor_does_not_run_on_is_unavailable(
    tmp_path: Path, version: str, usable: bool
) -> None:
    (make_venv(tmp_path / "v") / "pyvenv.cfg").write_text(f"home = /usr\nversion = {version}\n")

    environment = VenvPythonEnvironment("venv:v", tmp_path / "v")

    assert environment.status == ("ready" if usable else "unavailable")
    expected = f"It has Python {version}, and 3.8 or newer is needed; make it anew with that."
    assert environment.reason == (None if usable else expected)


def test_it_heals_by_itself(root: Path, make_registry: Make) -> None:
    prefix = make_venv(root / "v", python="/nowhere/python")
    registry = make_registry()
    assert registry.list()[1].status == "unavailable"

    (prefix / "bin" / "python").unlink()
    (prefix / "bin" / "python").symlink_to(sys.executable)

    assert registry.list()[1].status == "ready"
