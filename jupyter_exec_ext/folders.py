"""`Folder`: a directory by its descriptor, in which no link is ever followed.

A block has the server's rights, so it can put a link where the server keeps its own directories. What
is made, opened up or removed here is named relative to an open directory, by one name at a time, and
looked at through its own descriptor: whatever is swapped meanwhile, no other tree is touched.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

__all__ = ["Folder"]

# Who writes into a directory that is being removed gets so many chances to see that it is over.
_ATTEMPTS = 3
_READ = (
    os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)
# Where there is O_PATH, a directory is opened with it that we may enter, but not read.
_PASS = _READ | getattr(os, "O_PATH", 0)


class Folder:
    """An open directory. Close it, or use it in ``with``.

    Parameters
    ----------
    descriptor : int
        Closed with it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def at(cls, path: Path) -> Folder:
        """Open a directory by its path, which may have links in it."""
        return cls(os.open(path, _READ & ~getattr(os, "O_NOFOLLOW", 0)))

    @classmethod
    def strictly_at(cls, path: Path, *, make: bool = False) -> Folder:
        """Open an absolute path part by part; with `make`, make what is missing (mode 0700).

        Raises `NotADirectoryError` where a part is a link.
        """
        folder = cls(os.open(path.anchor, _PASS))
        for part in path.parts[1:]:
            with folder:
                if make:
                    with contextlib.suppress(OSError):  # also where it is there, on a read-only disk
                        os.mkdir(part, 0o700, dir_fd=folder._descriptor)
                folder = cls(folder._open(part, _PASS))
        return folder

    def child(self, name: str, *, make: bool = False) -> Folder:
        """Open a directory in it. Raises `NotADirectoryError` for a link.

        With `make` it is made (mode 0700), also in the place of a link or a file, which is removed.
        """
        while True:
            if make:
                self.make(name)
            try:
                return Folder(self._open_up(name))
            except NotADirectoryError:
                if not make:
                    raise
                with contextlib.suppress(FileNotFoundError):
                    if not self.is_directory(name):
                        os.unlink(name, dir_fd=self._descriptor)

    def make(self, name: str) -> None:
        """Make a directory in it (mode 0700), where there is nothing of that name."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=self._descriptor)

    def _open(self, name: str, flags: int) -> int:
        try:
            return os.open(name, flags, dir_fd=self._descriptor)
        except OSError as error:
            if error.errno == errno.ELOOP:  # what some systems say of a link, others not
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name) from None
            raise

    def _open_up(self, name: str) -> int:
        """Open a directory for reading, also one from which a block took the rights."""
        try:
            return self._open(name, _READ)
        except PermissionError:
            self._permit(name)
        return self._open(name, _READ)

    def _permit(self, name: str) -> None:
        if os.chmod in os.supports_follow_symlinks:
            os.chmod(name, 0o700, dir_fd=self._descriptor, follow_symlinks=False)
            return
        # Linux has no chmod that follows no link, and no fchmod for such a descriptor: but it has this name.
        descriptor = self._open(name, _PASS)
        try:
            os.chmod(f"/proc/self/fd/{descriptor}", 0o700)
        finally:
            os.close(descriptor)

    def open_file(self, name: str, flags: int) -> int:
        """A descriptor of a file in it, which only its user can read where it is made."""
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o600, dir_fd=self._descriptor)

    def stat(self, name: str) -> os.stat_result:
        """What has that name: a link is a link."""
        return os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)

    def status(self) -> os.stat_result:
        """What the directory itself is."""
        return os.fstat(self._descriptor)

    def names(self) -> list[str]:
        """What is in it."""
        return os.listdir(self._descriptor)

    def rename(self, name: str, new: str) -> None:
        """Give something in it another name."""
        os.rename(name, new, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def is_directory(self, name: str) -> bool:
        """Whether that is a directory itself. Raises `FileNotFoundError`."""
        return stat.S_ISDIR(self.stat(name).st_mode)

    def remove(self, name: str) -> None:
        """Remove what has that name: a directory with all that is in it, a link without its target.

        Nothing happens where there is nothing. Raises `OSError` where something stays.
        """
        with contextlib.suppress(FileNotFoundError):
            if not self.is_directory(name):
                os.unlink(name, dir_fd=self._descriptor)
                return
            for attempt in range(1, _ATTEMPTS + 1):
                with self.child(name) as inner:
                    inner.clear()
                try:
                    os.rmdir(name, dir_fd=self._descriptor)
                    return
                except OSError:
                    if attempt == _ATTEMPTS:
                        raise

    def clear(self) -> None:
        """Remove what is in it, as far as that can be."""
        self._own()
        waiting = self.names()
        while waiting:
            with contextlib.suppress(OSError):
                self._dissolve(waiting.pop(), waiting)

    def _dissolve(self, name: str, waiting: list[str]) -> None:
        """Remove one of its entries. Directories in that come up here and wait: no depth is too deep."""
        if not self.is_directory(name):
            os.unlink(name, dir_fd=self._descriptor)
            return
        with self.child(name) as inner:
            inner._own()
            for entry in inner.names():
                with contextlib.suppress(OSError):
                    inner._hand_up(entry, self, waiting)
        os.rmdir(name, dir_fd=self._descriptor)

    def _hand_up(self, name: str, above: Folder, waiting: list[str]) -> None:
        if not self.is_directory(name):
            os.unlink(name, dir_fd=self._descriptor)
            return
        with self.child(name) as inner:
            inner._own()  # who moves a directory must be allowed to write into it
        new = f".gone-{secrets.token_hex(8)}"
        os.rename(name, new, src_dir_fd=self._descriptor, dst_dir_fd=above._descriptor)
        waiting.append(new)

    def _own(self) -> None:
        with contextlib.suppress(OSError):
            os.fchmod(self._descriptor, 0o700)

    def close(self) -> None:
        """Close its descriptor. May be called twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
