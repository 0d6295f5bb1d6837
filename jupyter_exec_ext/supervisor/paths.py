"""Paths inside a workspace: what may be asked for, and what a listing says; the same on every system.

(Python 3.8, standard library only.)
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The most entries a listing names.
MAX_ENTRIES = 10000


class FileRefused(Exception):
    """What was asked is not there, or not allowed; `reason` is a word of the error tree."""

    def __init__(self, reason: str, message: str) -> None:
        Exception.__init__(self, message)
        self.reason = reason


def parts_of(path: str) -> list[str]:
    """The parts of a relative path, refused where they lead out of the workspace."""
    parts = path.split("/")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise FileRefused("invalid", f"{path[:200]!a} is not text, so it is no path.") from None
    if not path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise FileRefused("invalid", f"{path[:200]!r} is not a path inside the workspace.")
    if any(len(os.fsencode(part)) > 255 for part in parts) or len(os.fsencode(path)) > 4000:
        raise FileRefused("invalid", f"The path {path[:40]!r}... is too long for a file name.")
    return parts


def describe(path: str, entry: os.DirEntry[str]) -> dict[str, Any]:
    """What a listing says of an entry; a link is a link."""
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return {"path": path, "type": "other", "size": 0, "modified": 0}
    kinds = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "link"))
    kind = next((name for test, name in kinds if test(status.st_mode)), "other")
    # A name that is not UTF-8 is shown with replacement characters and cannot be asked for.
    shown = os.fsencode(path).decode("utf-8", "replace")
    return {"path": shown, "type": kind, "size": status.st_size, "modified": status.st_mtime}
