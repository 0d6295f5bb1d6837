"""A locked directory: the part of a lease that the operating system keeps.

A process id can be reused and a heartbeat can be late; a lock on a file is given up by the
operating system in the moment its holder dies, however it dies.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
from typing import NamedTuple

from .folders import Folder

__all__ = ["GONE", "LOCK", "Held", "hold", "lock"]

#: The locked file, and how the name of a directory begins that is being removed.
LOCK, GONE = "lock", ".gone-"

if sys.platform == "win32":  # pragma: no cover - tested on Windows
    import msvcrt

    def lock(descriptor: int, shared: bool = False) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def lock(descriptor: int, shared: bool = False) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Held(NamedTuple):
    """A lease's directory, open since it was locked: what a block puts at its path is not taken for it."""

    name: str
    root: Folder
    folder: Folder
    descriptor: int

    def in_place(self) -> bool:
        """Whether both the directory and the locked file are still found by their names."""
        with contextlib.suppress(FileNotFoundError):
            lock = os.path.samestat(self.folder.stat(LOCK), os.fstat(self.descriptor))
            return lock and os.path.samestat(self.root.stat(self.name), self.folder.status())
        return False

    def remove(self) -> None:
        """Remove the directory, and give up the lock."""
        if sys.platform == "win32":  # pragma: no cover - it cannot rename or remove what is open
            os.close(self.descriptor)
        with contextlib.suppress(OSError):
            self._remove()
        if sys.platform == "win32":  # pragma: no cover
            self.folder.close()
            self.root.close()
        else:
            self.close()

    def close(self) -> None:
        """Give up the lock, and leave the directory."""
        os.close(self.descriptor)
        self.folder.close()
        self.root.close()

    def _remove(self) -> None:
        if os.path.samestat(self.root.stat(self.name), self.folder.status()):
            # Its name is free first, while we hold the lock: the next holder makes a directory of its own.
            gone = f"{GONE}{secrets.token_hex(8)}"
            self.root.rename(self.name, gone)
            self.root.remove(gone)
            return
        self.folder.clear()  # a block moved it
        if not self.root.is_directory(self.name):
            self.root.remove(self.name)


def hold(opened: Folder, name: str, *, make: bool = False) -> Held | None:
    """Lock the directory of that name in a root, which is kept or closed; None where another has the lock.

    Raises `FileNotFoundError` where it was removed meanwhile.
    """
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(opened)
        folder = stack.enter_context(root.child(name, make=make))
        descriptor = _open_lock(folder)
        stack.callback(os.close, descriptor)
        if not lock(descriptor):
            return None
        held = Held(name, root, folder, descriptor)
        if not held.in_place():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        stack.pop_all()
        return held


def _open_lock(folder: Folder) -> int:
    try:
        return folder.open_file(LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.EACCES):
            raise
    folder.remove(LOCK)  # a block put something else there
    return folder.open_file(LOCK, os.O_RDWR | os.O_CREAT)
