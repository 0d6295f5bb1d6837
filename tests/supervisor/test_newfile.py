"""The file that is made before a block needs it: used only as it was made."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_exec_ext.supervisor.files import Workspace

from .session import Session


@pytest.fixture
def private(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "private"
    folder.mkdir()
    return folder


def spare_of(folder: Path) -> Path:
    (found,) = folder.glob(".exec-*.part")
    return found


def put(workspace: Workspace, name: str, data: bytes = b"code") -> None:
    file = workspace.create(name)
    file.write(data)
    os.close(file.commit())


def test_the_file_that_waits_is_the_next_one(private: Path) -> None:
    workspace = Workspace(str(private), private=True)
    workspace.prepare()
    workspace.prepare()
    inode = spare_of(private).stat().st_ino
    put(workspace, "block-1.py")
    made = (private / "block-1.py").stat()
    assert (made.st_ino, stat.S_IMODE(made.st_mode)) == (inode, 0o600)
    assert os.listdir(private) == ["block-1.py"]
    put(workspace, "block-2.py")
    assert sorted(os.listdir(private)) == ["block-1.py", "block-2.py"]


def rewritten(spare: Path) -> None:
    spare.write_bytes(b"not yours")


def replaced(spare: Path) -> None:
    other = spare.with_name("other")
    other.touch(0o600)
    other.rename(spare)


def made_a_link(spare: Path) -> None:
    target = spare.with_name("target")
    target.write_bytes(b"")
    spare.unlink()
    spare.symlink_to(target)


def linked_again(spare: Path) -> None:
    os.link(spare, spare.with_name("second"))


def opened_to_all(spare: Path) -> None:
    spare.chmod(0o666)


SPOILT = [rewritten, replaced, made_a_link, linked_again, opened_to_all, Path.unlink]


@pytest.mark.parametrize("spoil", SPOILT)
def test_one_that_somebody_touched_is_not_used_and_goes(private: Path, spoil: Callable[[Path], None]) -> None:
    workspace = Workspace(str(private), private=True)
    before = set(os.listdir("/dev/fd"))
    workspace.prepare()
    spare = spare_of(private)
    spoil(spare)
    left = {path: path.lstat() for path in private.iterdir() if path != spare}
    put(workspace, "block-1.py")
    block = private / "block-1.py"
    assert block.read_bytes() == b"code"
    assert stat.S_ISREG(block.lstat().st_mode)
    assert stat.S_IMODE(block.lstat().st_mode) == 0o600
    now = {path: path.lstat() for path in private.iterdir() if path != block}
    assert {path: (status.st_ino, status.st_size) for path, status in now.items()} == {
        path: (status.st_ino, status.st_size) for path, status in left.items()
    }
    assert set(os.listdir("/dev/fd")) == before


def test_where_modes_are_others_nothing_piles_up(private: Path) -> None:
    workspace = Workspace(str(private), private=True)
    old = os.umask(0o277)
    try:
        for number in range(3):
            workspace.prepare()
            put(workspace, f"block-{number}.py")
    finally:
        os.umask(old)
    assert sorted(os.listdir(private)) == ["block-0.py", "block-1.py", "block-2.py"]


def test_one_whose_directory_was_made_anew_is_forgotten(private: Path) -> None:
    workspace = Workspace(str(private), private=True)
    workspace.prepare()
    moved = private.rename(private.with_name("moved"))
    private.mkdir()
    put(workspace, "block-1.py")
    assert os.listdir(private) == ["block-1.py"]
    assert not list(moved.glob("block*"))


def test_tidy_leaves_nothing(private: Path) -> None:
    workspace = Workspace(str(private), private=True)
    workspace.prepare()
    workspace.tidy()
    workspace.tidy()
    assert os.listdir(private) == []


def test_the_end_of_a_session_leaves_the_files_of_its_blocks_and_no_other(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        session.run("print(1)")
        time.sleep(0.1)
        assert spare_of(session.private)
    assert os.listdir(session.private) == ["block-1.py"]


SPOILER = """
import glob, os, time
time.sleep(.1)
for path in glob.glob(os.path.join(os.path.dirname(__file__), ".exec-*.part")):
    print(1)
    os.unlink(path)
    os.symlink(__file__, path)
"""


def test_a_block_that_replaces_it_by_a_link_changes_no_other_block(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        assert session.run("print('first')").stdout == "first\n"
        time.sleep(0.1)
        assert session.run(SPOILER).stdout == "1\n"
        for number in range(3):
            assert session.run(f"print({number})").stdout == f"{number}\n"
    assert session.complaints == ""


def test_a_module_that_replaces_another_has_a_later_second_and_other_files_have_their_time(
    private: Path,
) -> None:
    workspace = Workspace(str(private))
    for name in ("module.py", "data.txt"):
        put(workspace, name, b"1")
        before = (private / name).stat().st_mtime
        put(workspace, name, b"2")
        after = (private / name).stat().st_mtime
        assert (int(after) > int(before)) == (name == "module.py")
    # one that is dated far ahead is no reason to do the same
    os.utime(private / "module.py", (4e9, 4e9))
    put(workspace, "module.py", b"3")
    assert (private / "module.py").stat().st_mtime < 3e9
