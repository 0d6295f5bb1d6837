"""`PathFolder`: a `Folder` by its path, for Windows; and what chooses between the two.

Between a look and a deed something may be swapped there; making links takes a right of its own on
Windows, and what has them all does no more than a block could do itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from .folders import Folder
from .supervisor.portable.files import is_link

__all__ = ["PathFolder", "fresh", "open_folder", "real_above", "remove_path", "set_aside"]

KIND: type[Folder]


class PathFolder(Folder):
    """A directory by its path.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        super().__init__(-1)
        self._path = path

    @classmethod
    def at(cls, path: Path) -> Folder:
        """Take a directory by its path, which may have links in it."""
        if not path.is_dir():
            path.stat()  # says why
            raise _no_directory(path)
        return cls(path)

    @classmethod
    def strictly_at(cls, path: Path, *, make: bool = False) -> Folder:
        """Take an absolute path without a link in it; with `make`, make what is missing."""
        if os.path.normcase(os.path.realpath(path)) != os.path.normcase(path):
            raise _no_directory(path)
        if make:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls.at(path)

    def child(self, name: str, *, make: bool = False) -> Folder:
        """Take a directory in it; see `Folder.child`."""
        if make and not self.is_directory_now(name):
            self.remove(name)
            self.make(name)
        if not self.is_directory(name):
            raise _no_directory(self._path / name)
        return type(self)(self._path / name)

    def make(self, name: str) -> None:
        """Make a directory in it; see `Folder.make`."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._path / name, 0o700)

    def is_directory_now(self, name: str) -> bool:
        """Whether there is a directory of that name."""
        with contextlib.suppress(FileNotFoundError):
            return self.is_directory(name)
        return False

    def open_file(self, name: str, flags: int) -> int:
        """A descriptor of a file in it; see `Folder.open_file`."""
        return os.open(self._path / name, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)

    def stat(self, name: str) -> os.stat_result:
        """What has that name: a link is a link."""
        return os.lstat(self._path / name)

    def status(self) -> os.stat_result:
        """What the directory itself is."""
        return os.lstat(self._path)

    def names(self) -> list[str]:
        """What is in it."""
        return os.listdir(self._path)

    def rename(self, name: str, new: str) -> None:
        """Give something in it another name."""
        os.rename(self._path / name, self._path / new)

    def is_directory(self, name: str) -> bool:
        """Whether that is a directory, and neither a link nor a junction. Raises `FileNotFoundError`."""
        status = self.stat(name)
        return stat.S_ISDIR(status.st_mode) and not is_link(status)

    def remove(self, name: str) -> None:
        """Remove what has that name; see `Folder.remove`."""
        path = self._path / name
        with contextlib.suppress(FileNotFoundError):
            status = self.stat(name)
            if self.is_directory(name):
                shutil.rmtree(path, onerror=_permit)
            elif stat.S_ISDIR(status.st_mode):  # a junction
                os.rmdir(path)
            else:
                os.unlink(path)

    def clear(self) -> None:
        """Remove what is in it, as far as that can be."""
        for name in self.names():
            with contextlib.suppress(OSError):
                self.remove(name)


def _permit(again: Callable[..., object], path: str, _: object) -> None:
    """What cannot be removed may be read-only."""
    if not is_link(os.lstat(path)):
        os.chmod(path, stat.S_IRWXU)
    again(path)


def _no_directory(path: Path) -> NotADirectoryError:
    return NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


KIND = Folder if os.open in os.supports_dir_fd and os.rename in os.supports_dir_fd else PathFolder


def open_folder(path: Path) -> Folder:
    """Open a directory by its path, which may have links in it."""
    return KIND.at(path)


def real_above(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path in which at most the last part is a link."""
    path = Path(os.path.abspath(path))
    return Path(os.path.realpath(path.parent)) / path.name


def fresh(path: Path) -> None:
    """Make that directory (mode 0700) where it is not there; a link in its place is removed.

    Raises `NotADirectoryError` where a part above it is a link.
    """
    with KIND.strictly_at(path.parent, make=True) as above:
        above.child(path.name, make=True).close()


def set_aside(path: Path) -> Path:
    """Give what is there another name beside it, through no link above it, and return that."""
    aside = path.with_name(f"{path.name}-{secrets.token_hex(8)}.gone")
    with KIND.strictly_at(path.parent) as above:
        above.rename(path.name, aside.name)
    return aside


def remove_path(path: Path) -> None:
    """Remove what is there, through no link above it; see `Folder.remove`."""
    with contextlib.suppress(FileNotFoundError), KIND.strictly_at(path.parent) as above:
        above.remove(path.name)
