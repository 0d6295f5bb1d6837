"""Directories are made, opened up and removed without a link being followed, whatever stands there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_exec_ext.folders import Folder
from jupyter_exec_ext.pathfolder import PathFolder

both = pytest.mark.parametrize("kind", [Folder, PathFolder])


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A tree that is not ours, with modes of its own."""
    folder = tmp_path / "victim"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "precious").write_text("x")
    (folder / "inner").chmod(0o751)
    folder.chmod(0o755)
    return folder


def untouched(victim: Path) -> bool:
    """Whether it is as the fixture made it."""
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (victim, victim / "inner")]
    return modes == [0o755, 0o751] and os.listdir(victim / "inner") == ["precious"]


@both
def test_a_link_is_removed_and_not_what_it_leads_to(kind: type[Folder], tmp_path: Path, victim: Path) -> None:
    (tmp_path / "link").symlink_to(victim)
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "inner" / "link").symlink_to(victim)
    (tree / "inner").chmod(0o500)

    with kind.at(tmp_path) as folder:
        folder.remove("link")
        folder.remove("tree")
        folder.remove("nothing")

    assert os.listdir(tmp_path) == ["victim"]
    assert untouched(victim)


@both
def test_no_directory_is_opened_through_a_link(kind: type[Folder], tmp_path: Path, victim: Path) -> None:
    (tmp_path / "link").symlink_to(victim)

    with kind.at(tmp_path) as folder, pytest.raises(NotADirectoryError):
        folder.child("link")
    for path in (tmp_path / "link", tmp_path / "link" / "inner", tmp_path / "link" / "new"):
        with pytest.raises(NotADirectoryError):
            kind.strictly_at(path, make=True)
    assert untouched(victim)


@both
@pytest.mark.parametrize("obstacle", ["link", "dangling", "file"])
def test_a_directory_is_made_in_the_place_of_a_link(
    kind: type[Folder], tmp_path: Path, victim: Path, obstacle: str
) -> None:
    place = tmp_path / "place"
    if obstacle == "file":
        place.touch()
    else:
        place.symlink_to(victim if obstacle == "link" else tmp_path / "nowhere")

    with kind.at(tmp_path) as folder:
        for _ in range(2):
            folder.child("place", make=True).close()

    assert stat.S_IMODE(place.lstat().st_mode) == 0o700
    assert stat.S_ISDIR(place.lstat().st_mode)
    assert not (tmp_path / "nowhere").exists()
    assert untouched(victim)


def test_no_tree_is_too_deep_to_be_removed(tmp_path: Path) -> None:
    at = os.open(tmp_path, os.O_RDONLY)
    for name in ("tree", *["d"] * 3000):
        os.mkdir(name, dir_fd=at)
        at, above = os.open(name, os.O_RDONLY, dir_fd=at), at
        os.close(above)
    os.close(at)

    with Folder.at(tmp_path) as folder:
        folder.remove("tree")

    assert os.listdir(tmp_path) == []


CLOSED = """
import os, sys
from pathlib import Path
import jupyter_exec_ext.pathfolder as folders
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.makedirs("tree/inner/below")
open("tree/inner/below/file", "w").close()
os.symlink("victim", "tree/inner/link")
for path, mode in (("tree/inner/below", 0), ("tree/inner", 0o500), ("tree", 0)):
    os.chmod(path, mode)
with getattr(folders, sys.argv[1]).at(Path(".")) as folder:
    folder.remove("tree")
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="becomes another user")
def test_what_a_block_took_rights_from_is_removed_by_its_user(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    os.chown(room, 65534, 65534)

    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, "-c", CLOSED, Folder.__name__], cwd=room, env=environ, check=True)

    assert os.listdir(room) == []
