"""A file that appears in its place only when it is complete.

(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import errno
import os

from .paths import date_after, permit, replaceable

#: A file that has no name yet is linked to by its descriptor: a name for it that is none of its own.
_DESCRIPTOR = "/proc/self/fd/{}"


def _own_name() -> str:
    return f".exec-{os.urandom(8).hex()}.part"


class Temporary:
    """An empty file in a directory, under a name that nobody else uses.

    Parameters
    ----------
    handle : int
        A descriptor of the directory.
    mode : int
        Less the umask.
    """

    def __init__(self, handle: int, mode: int) -> None:
        self.name = _own_name()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self.descriptor = os.open(self.name, flags, mode, dir_fd=handle)
        self._made = os.fstat(self.descriptor)

    def is_untouched(self, handle: int) -> bool:
        """Whether it is here as it was made, and empty: a program may have been at it."""
        try:
            there = os.stat(self.name, dir_fd=handle, follow_symlinks=False)
        except OSError:
            return False
        only = os.path.samestat(there, self._made) and there.st_nlink == 1
        return only and there.st_size == 0 and there.st_mode == self._made.st_mode

    def place(self, handle: int, name: str) -> None:
        """Give it that name in its directory, whatever file has it now."""
        os.rename(self.name, name, src_dir_fd=handle, dst_dir_fd=handle)

    def discard(self, handle: int) -> None:
        """Leave nothing behind."""
        os.close(self.descriptor)
        _remove(self.name, handle)


class Nameless:
    """An empty file in a directory, under no name: should we be killed, nothing of it is left (Linux).

    Raises `OSError` where the file system, or the system, cannot have one.

    Parameters
    ----------
    handle : int
        A descriptor of the directory.
    mode : int
        Less the umask.
    """

    def __init__(self, handle: int, mode: int) -> None:
        flags = getattr(os, "O_TMPFILE", None)
        if flags is None:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        self.descriptor = os.open(".", flags | os.O_RDWR | os.O_CLOEXEC, mode, dir_fd=handle)
        try:
            # Without /proc, or with that of another namespace, it could never get a name.
            there = os.stat(_DESCRIPTOR.format(self.descriptor))
            if not os.path.samestat(there, os.fstat(self.descriptor)):
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        except OSError:
            os.close(self.descriptor)
            raise

    def place(self, handle: int, name: str) -> None:
        """Give it that name in its directory, whatever file has it now."""
        try:
            self._link(handle, name)
        except FileExistsError:
            # A link takes nobody's place; a name of our own does, and is there for no longer than that.
            own = _own_name()
            self._link(handle, own)
            try:
                os.rename(own, name, src_dir_fd=handle, dst_dir_fd=handle)
            except OSError:
                _remove(own, handle)
                raise

    def _link(self, handle: int, name: str) -> None:
        os.link(_DESCRIPTOR.format(self.descriptor), name, dst_dir_fd=handle, follow_symlinks=True)

    def discard(self, handle: int) -> None:
        """Leave nothing behind."""
        os.close(self.descriptor)


class NewFile:
    """A file while it is written: in its directory, and under no name where that is possible.

    It takes over the permissions of the file that it replaces; `mode`, less the umask, is for one
    that replaces none. `spare` is an empty one that there is already, with that mode.
    """

    def __init__(self, handle: int, name: str, path: str, mode: int, spare: Temporary | None = None) -> None:
        self._handle, self._name, self._path = handle, name, path
        try:
            self._mode = self._replaced()
        except BaseException:
            if spare is not None:
                spare.discard(handle)
            raise
        # Until it is complete, nobody may read who could not read what it replaces.
        self._temporary = spare or _temporary(handle, mode if self._mode is None else 0o600)
        self.descriptor = self._temporary.descriptor

    def write(self, data: bytes) -> None:
        """Append bytes."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]

    def commit(self) -> int:
        """Put the file in its place and return a descriptor at its beginning, to read it with.

        The descriptor stays on this file, also when another run puts its own in the same place.
        """
        try:
            permit(self.descriptor, self._replaced() or self._mode)
            self._date()
            self._temporary.place(self._handle, self._name)
        except BaseException:
            self.discard()
            raise
        os.close(self._handle)
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        return self.descriptor

    def _date(self) -> None:
        try:
            before = os.stat(self._name, dir_fd=self._handle, follow_symlinks=False).st_mtime
        except OSError:
            return  # there is none
        date_after(self.descriptor, self._name, before)

    def _replaced(self) -> int | None:
        """The mode of the file that is there already, if one is. Raises `FileRefused` for what is none."""
        try:
            mode = os.stat(self._name, dir_fd=self._handle, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None
        return replaceable(mode, self._path)

    def discard(self) -> None:
        """Leave nothing behind."""
        self._temporary.discard(self._handle)
        os.close(self._handle)


def _temporary(handle: int, mode: int) -> Nameless | Temporary:
    try:
        return Nameless(handle, mode)
    except OSError:
        return Temporary(handle, mode)  # which says what is wrong, where that is not the file system


def _remove(name: str, handle: int) -> None:
    try:
        os.unlink(name, dir_fd=handle)
    except OSError:
        pass  # a program removed it, or its directory, first
