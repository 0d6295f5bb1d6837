"""A search for environments stays within bounds, whatever lies about in the folders."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from folders import make_venv
from registries import Make

from jupyter_exec_ext.environments.discovery import Walk
from jupyter_exec_ext.environments.layout import read_config
from jupyter_exec_ext.environments.venv import VenvPythonEnvironment


def found(root: Path, **options: int) -> set[str]:
    """The folders a walk finds, relative to its root."""
    return {os.path.relpath(path, root) for path in Walk(str(root), **options).turn(10)}


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


def test_a_list_beside_another_walk_has_what_is_new(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a walk in another thread that has passed by the root
    make_venv(root / "old")
    walk, passed, step = Walk(str(root)), threading.Event(), Walk._step

    def slow(self: Walk, path: str, depth: int) -> None:
        step(self, path, depth)
        passed.set()
        time.sleep(0.02)

    monkeypatch.setattr(Walk, "_step", slow)
    other = threading.Thread(target=walk.turn, args=(10,))
    other.start()
    passed.wait(10)
    time.sleep(0.01)
    make_venv(root / "new")

    assert {os.path.basename(path) for path in walk.turn(10)} == {"old", "new"}
    other.join()


def test_a_list_waits_no_longer_than_its_time_for_another_walk(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_venv(root / "v")
    walk, going, go_on = Walk(str(root)), threading.Event(), threading.Event()
    monkeypatch.setattr(Walk, "_step", lambda *arguments: (going.set(), go_on.wait(10)))
    other = threading.Thread(target=walk.turn, args=(10,))
    other.start()
    going.wait(10)
    began = time.perf_counter()

    assert walk.turn(0.01) == {}
    assert time.perf_counter() - began < 1
    go_on.set()
    other.join()


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
