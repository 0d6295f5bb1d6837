"""What the log's names lead to: a block can remove or replace each of its files, and the directory."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from pathlib import Path

__all__ = ["COMPANIONS", "Files", "files_at", "move_aside"]

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


def move_aside(path: Path) -> Path:
    """Give a damaged file and its companions another name, and return that."""
    stamp = dt.datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in (*COMPANIONS, ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside
