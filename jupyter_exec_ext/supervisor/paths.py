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
#: The most bytes of JSON that a listing takes: some 30,000 ordinary entries.
MAX_LISTED = 4 * 1024 * 1024
#: How many directories deep a listing goes: each is opened part by part, from the workspace on.
MAX_DEPTH = 256
#: The longest path that may be asked for, in bytes; a system call takes 4096, with its end.
MAX_PATH = 4000

# What stands for itself in a URL (RFC 3986, unreserved), and what separates its parts.
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")

#: Seconds by which `date_after` may make a file younger than it is; who is dated further ahead means it.
MOST_AHEAD = 60.0

#: What the directories are called.
WORKSPACE, PRIVATE = "The working directory", "The session's own directory"


class FileRefused(Exception):
    """What was asked is not there, or not allowed; `reason` is a word of the error tree."""

    def __init__(self, reason: str, message: str) -> None:
        Exception.__init__(self, message)
        self.reason = reason


def moved(what: str, path: str) -> FileRefused:
    """The refusal where a link has taken a directory's place."""
    why = "was replaced by a link, or one above it was, and links are not followed"
    return FileRefused("refused", f"{what} {path} {why}; {_remedy(what)}.")


def gone(what: str, path: str) -> FileRefused:
    """The refusal where a directory is not there."""
    there = file_at(path)
    if there is not None:
        whose = f"{what} {path}" if there == path else f"{what} {path} is gone: {there}"
        return FileRefused("not_found", f"{whose} was replaced by a file; {_remedy(what)}.")
    remedy = "make it again" if what == WORKSPACE else _remedy(what)
    return FileRefused("not_found", f"{what} {path} is gone; {remedy}.")


def file_at(path: str) -> str | None:
    """What is no directory, at that path or above it, so that there can be none; None where nothing is."""
    while not os.path.lexists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return None if os.path.isdir(path) else path


def in_the_way(path: str) -> FileRefused:
    """The refusal to make something below what is no directory."""
    return FileRefused("conflict", f"{path!r} is not a directory, so nothing can be in it; remove it first.")


def not_empty(path: str) -> FileRefused:
    """The refusal to remove a directory with something in it."""
    return FileRefused("conflict", f"The directory {path!r} is not empty; remove what is in it first.")


def _remedy(what: str) -> str:
    return "put the directory back" if what == WORKSPACE else "the next run gets a new one, so run it again"


def parts_of(path: str) -> list[str]:
    """The parts of a relative path, refused where they lead out of the workspace."""
    parts = path.split("/")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise FileRefused("invalid", f"{path[:200]!a} is not text, so it is no path.") from None
    if not path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise FileRefused("invalid", f"{path[:200]!r} is not a path inside the workspace.")
    if any(len(os.fsencode(part)) > 255 for part in parts) or len(os.fsencode(path)) > MAX_PATH:
        raise FileRefused("invalid", f"The path {path[:40]!r}... is too long for a file name.")
    return parts


def free_name(folder: str, name: str) -> str:
    """That name, or another one where there is something of that name: earlier blocks can write there."""
    if not os.path.lexists(os.path.join(folder, name)):
        return name
    stem, suffix = os.path.splitext(name)
    return f"{stem}-{os.urandom(8).hex()}{suffix}"


def describe(path: str, entry: os.DirEntry[str]) -> dict[str, Any]:
    """What a listing says of an entry; a link is a link."""
    named = _named(os.fsencode(path))
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:  # removed since its directory was read
        return {**named, "type": "other", "size": 0, "modified": 0.0}
    kinds = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "link"))
    kind = next((name for test, name in kinds if test(status.st_mode)), "other")
    return {**named, "type": kind, "size": status.st_size, "modified": status.st_mtime}


def _named(path: bytes) -> dict[str, Any]:
    """What a path is called; one that is not UTF-8 has no text, and is asked for by its bytes."""
    try:
        return {"path": path.decode("utf-8")}
    except UnicodeDecodeError:
        encoded = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in path)
        return {"path": path.decode("utf-8", "replace"), "encoded": encoded}


def replaceable(mode: int, path: str) -> int:
    """The mode of a regular file; anything else is not replaced."""
    if stat.S_ISDIR(mode):
        raise FileRefused("conflict", f"{path!r} is a directory, which no file replaces; remove it first.")
    if not stat.S_ISREG(mode):
        # A link planted here would be followed by the next program that opens the path.
        raise FileRefused("refused", f"{path!r} is there already and is not a regular file; remove it first.")
    return mode


def permit(descriptor: int, mode: int | None) -> None:
    """Give a file the permissions of the one that it replaces, but never setuid or setgid."""
    if mode is None or not hasattr(os, "fchmod"):
        return
    try:
        os.fchmod(descriptor, mode & 0o777)
    except OSError:
        pass  # a file system without permissions


def date_after(file: int | str, name: str, before: float) -> None:
    """Give a module that replaces another one a later second.

    Python knows the bytecode of a module by second and size alone, and blocks follow each other within
    milliseconds: that of the one before would be run.

    Parameters
    ----------
    file : int or str
        The new one, open or by its path.
    name : str
        Of the module's file.
    before : float
        When the replaced one was written.
    """
    now = os.stat(file).st_mtime
    if name.endswith(".py") and int(now) <= int(before) < now + MOST_AHEAD:
        try:
            os.utime(file, (int(before) + 1, int(before) + 1))
        except OSError:
            pass  # a file system that keeps its own times
