"""What the log's names lead to: a block can remove or replace each of its files, and the directory."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from pathlib import Path

from ..folders import Folder
from ..pathfolder import open_folder
from ..supervisor.portable.files import is_link

__all__ = ["COMPANIONS", "Files", "files_at", "leads_away", "move_aside", "prepare"]

#: SQLite's own files beside the log's: the newest part of it, and an index of that.
COMPANIONS = ("-wal", "-shm")

#: The inodes of the directory, the file and its companions; None for one that is not there.
Files = tuple["int | None", ...]


def files_at(path: Path) -> Files:
    """Look at them by their names; a link is itself."""
    beside = (path.with_name(path.name + suffix) for suffix in COMPANIONS)
    return tuple(_inode(name) for name in (path.parent, path, *beside))


def _inode(path: Path) -> int | None:
    try:
        return os.lstat(path).st_ino
    except OSError:
        return None


def leads_away(path: Path) -> bool:
    """Whether that is a link."""
    try:
        return is_link(os.lstat(path))
    except OSError:
        return False


def prepare(path: Path, below: Path | None = None) -> list[Path]:
    """Make the directory and the file with their modes, before SQLite makes them with others.

    A link in the place of one of the files is removed; so is one in the place of the directory where that is
    our own, directly `below` another: an administrator's may be reached through links. Return the links.
    """
    removed = [] if below is None else _make_own(path.parent, below)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _folder(path.parent, below) as folder:
        for suffix in ("", *COMPANIONS):
            if _remove_link(folder, path.name + suffix):
                removed.append(path.with_name(path.name + suffix))
        # Never an open and close of what is there: that would give up the locks SQLite has on it.
        with contextlib.suppress(FileExistsError):
            os.close(folder.open_file(path.name, os.O_CREAT | os.O_EXCL | os.O_RDWR))
    return removed


def _make_own(path: Path, below: Path) -> list[Path]:
    below.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open_folder(below) as above:
        removed = [path] if _remove_link(above, path.name) else []
        above.make(path.name)
    return removed


def _folder(path: Path, below: Path | None) -> Folder:
    if below is None:
        return open_folder(path)
    with open_folder(below) as above:
        return above.child(path.name)


def _remove_link(folder: Folder, name: str) -> bool:
    try:
        if is_link(folder.stat(name)):
            folder.remove(name)
            return True
    except FileNotFoundError:
        pass
    return False


def move_aside(path: Path) -> Path:
    """Give a damaged file and its companions another name, and return that."""
    stamp = dt.datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in (*COMPANIONS, ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside
