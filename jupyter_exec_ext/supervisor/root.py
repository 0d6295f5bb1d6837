"""The directory that a workspace is: opened once, and never mistaken for what a link puts in its place.

A program may rename its working directory, or one above it, and leave a link there. So whatever is
done in the workspace is done relative to the directory that was opened, as long as it is still
found at its path. Where it is not, since it was removed and made anew, the new one is opened part by
part, from the root of the file system, without following a link.
(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import errno
import os
import stat

from .paths import FileRefused, gone, moved

#: To look things up in a directory, not to read it: search permission is enough where there is O_PATH.
SEARCH = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Root:
    """A directory by its path.

    Parameters
    ----------
    path : str
        Absolute and real: no part of it is a link when this is made. It need not exist yet.
    what : str
        What it is, for messages.
    """

    def __init__(self, path: str, what: str) -> None:
        self.path, self._what = path, what
        self._handle = -1
        self._key: tuple[int, int] | None = None
        try:
            self.handle()
        except FileRefused:
            pass  # whoever uses it will be told

    def handle(self) -> int:
        """A descriptor of the directory, good until the next call; not to be closed. Raises `FileRefused`."""
        try:
            if self._key is None or self._key != _key(os.lstat(self.path)):
                self._open()
        except OSError as error:
            raise self._refusal(error) from None
        return self._handle

    def enter(self) -> tuple[int, int] | None:
        """Make it the current directory. Returns what tells it from one made anew. Raises `FileRefused`."""
        handle = self.handle()
        try:
            os.fchdir(handle)
        except OSError as error:
            raise self._refusal(error) from None
        return self._key

    def make(self) -> None:
        """Make it, and what is above it, anew (mode 0700), through no link. Raises `FileRefused`."""
        try:
            self._open(make=True)
        except OSError as error:
            raise self._refusal(error) from None

    def _open(self, make: bool = False) -> None:
        handle = os.open("/", SEARCH)
        try:
            for part in filter(None, self.path.split("/")):
                if make:
                    _make(handle, part)
                handle = below(handle, part, SEARCH)
        except OSError:
            os.close(handle)
            raise
        if self._handle >= 0:
            os.close(self._handle)
        self._handle, self._key = handle, _key(os.fstat(handle))

    def _refusal(self, error: OSError) -> FileRefused:
        if error.errno == errno.ELOOP:
            return moved(self._what, self.path)
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return gone(self._what, self.path)
        return FileRefused("refused", f"{self._what} {self.path} cannot be used: {error.strerror}.")


def below(handle: int, part: str, flags: int) -> int:
    """Open a directory in another one, and close that; a link is ELOOP, on every system."""
    try:
        inner = os.open(part, flags, dir_fd=handle)
    except OSError:
        if _is_link(handle, part):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        raise
    os.close(handle)
    return inner


def _make(handle: int, part: str) -> None:
    try:
        os.mkdir(part, 0o700, dir_fd=handle)
    except OSError:
        pass  # it is there, or opening it will say what is wrong


def _is_link(handle: int, part: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(part, dir_fd=handle, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
