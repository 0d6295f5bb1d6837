"""Files of a workspace by their paths, where there are no directory handles to go by.

Every part of a path is looked at and refused if it is a link (or any other reparse point: a
junction leads out just as well), and what has been opened is compared with what was looked at. A
program that swaps a directory for a link between the two looks can still lead one request astray;
it runs with the same rights, so it gains nothing that it could not do itself.
(Python 3.8, standard library only.)
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys

from ..listing import Listing
from ..paths import (
    PRIVATE,
    WORKSPACE,
    FileRefused,
    date_after,
    describe,
    gone,
    in_the_way,
    moved,
    not_empty,
    parts_of,
    permit,
    replaceable,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..listing import Found

#: ``os.open`` on Windows would translate line ends; elsewhere a FIFO must not block us.
_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
_REPARSE = getattr(stat, "FILE_ATTRIBUTE_REPARSE_POINT", 0x400)

# What a Windows path can say besides the names of directories: a drive, a stream of a file, a
# wildcard; and devices, whatever their suffix (learn.microsoft.com, "Naming Files, Paths, and
# Namespaces"). Trailing dots and spaces would be dropped, and the name be another one's.
_SPECIAL = re.compile(r'[\\:*?"<>|\x00-\x1f]|[. ]$')
_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|COM[0-9¹²³]|LPT[0-9¹²³])\s*(\.|$)", re.IGNORECASE)


def windows_refuses(part: str) -> bool:
    """Whether a part of a path means something else than a file of that name on Windows."""
    return _SPECIAL.search(part) is not None or _DEVICES.match(part) is not None


def names_of(path: str, windows: bool = sys.platform == "win32") -> list[str]:
    """The parts of a path, refused where they lead out of the workspace on this system."""
    parts = parts_of(path)
    if windows and any(windows_refuses(part) for part in parts):
        raise FileRefused("invalid", f"{path[:200]!r} is not a file name on Windows.")
    return parts


def is_link(status: os.stat_result) -> bool:
    """Whether something leads elsewhere: a symbolic link, a junction or another reparse point."""
    return stat.S_ISLNK(status.st_mode) or bool(getattr(status, "st_file_attributes", 0) & _REPARSE)


class Workspace:
    """The directory in which a session's code runs.

    Parameters
    ----------
    root : str
        The directory.
    private : bool
        Whether it is the session's own: only the user may look into what is made there. Elsewhere
        files and directories are made as any editor would make them.
    """

    def __init__(self, root: str, private: bool = False) -> None:
        self.root, self._private = root, private
        self._real = os.path.normcase(os.path.realpath(root))

    def check(self) -> None:
        """Raise `FileRefused` unless the directory is still there, and no link leads elsewhere instead."""
        what = PRIVATE if self._private else WORKSPACE
        if os.path.normcase(os.path.realpath(self.root)) != self._real:
            raise moved(what, self.root)
        if not os.path.isdir(self.root):
            raise gone(what, self.root)

    def make(self) -> None:
        """Make it anew where it was removed (mode 0700), unless a link above it leads elsewhere."""
        if os.path.normcase(os.path.realpath(self.root)) == self._real:
            os.makedirs(self.root, mode=0o700, exist_ok=True)

    def _place(self, path: str, make: bool = False) -> str:
        """The full path, after every directory above has been looked at."""
        *above, name = names_of(path)
        self.check()
        place = self.root
        try:
            for part in above:
                place = os.path.join(place, part)
                if make:
                    _make(place, 0o700 if self._private else 0o777)
                _enter(place, path)
        except NotADirectoryError:
            if make:
                raise in_the_way(os.path.relpath(place, self.root).replace(os.sep, "/")) from None
            raise _missing(path) from None
        except OSError as error:
            raise _refusal(path, error) from None
        real = os.path.normcase(os.path.realpath(place))
        if real != os.path.normcase(os.path.join(self._real, *above)):
            raise _a_link(path)
        return os.path.join(place, name)

    def open(self, path: str) -> tuple[int, int]:
        """A descriptor to read a regular file with, and its size."""
        place = self._place(path)
        try:
            seen = os.lstat(place)
            if is_link(seen):
                raise _a_link(path)
            if not stat.S_ISREG(seen.st_mode):
                raise FileRefused("refused", f"{path!r} is not a regular file; only those can be read.")
            descriptor = os.open(place, os.O_RDONLY | _FLAGS)
        except OSError as error:
            raise _refusal(path, error) from None
        status = os.fstat(descriptor)
        if not os.path.samestat(seen, status):
            os.close(descriptor)
            raise _a_link(path)
        return descriptor, status.st_size

    def create(self, path: str) -> NewFile:
        """A `NewFile` that takes the place of `path` when it is complete."""
        place = self._place(path, make=True)
        try:
            return NewFile(place, path, 0o600 if self._private else 0o666)
        except OSError as error:
            raise _refusal(path, error) from None

    def delete(self, path: str) -> None:
        """Remove a file or a link (not what it points at), or an empty directory."""
        place = self._place(path)
        try:
            status = os.lstat(place)
            # A link to a directory is one, too, on Windows: rmdir removes the link.
            attributes = getattr(status, "st_file_attributes", 0)
            folder = stat.S_ISDIR(status.st_mode) or attributes & getattr(
                stat, "FILE_ATTRIBUTE_DIRECTORY", 0x10
            )
            (os.rmdir if folder else os.unlink)(place)
        except OSError as error:
            raise _refusal(path, error) from None

    def list(self) -> Listing:
        """What is in the workspace, links as links."""
        return Listing(self._scan, _described)

    def _scan(self, folder: str) -> Found:
        self.check()
        with os.scandir(os.path.join(self.root, folder)) as found:
            yield from found


class NewFile:
    """A file while it is written: beside its place, under a name of its own.

    It takes over the permissions of the file that it replaces; `mode`, less the umask, is for one
    that replaces none.
    """

    def __init__(self, place: str, path: str, mode: int) -> None:
        self._place, self._path = place, path
        self._mode = self._replaced()
        self._temporary = os.path.join(os.path.dirname(place), f".exec-{os.urandom(8).hex()}.part")
        # Until it is complete, nobody may read who could not read what it replaces.
        first = mode if self._mode is None else 0o600
        self._descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, first)

    def write(self, data: bytes) -> None:
        """Append bytes."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def commit(self) -> int:
        """Put the file in its place and return a descriptor at its beginning, to read it with."""
        try:
            permit(self._descriptor, self._replaced() or self._mode)
            self._date()
            # An open file cannot be renamed on Windows.
            os.close(self._descriptor)
            self._descriptor = -1
            os.replace(self._temporary, self._place)
        except BaseException:
            self.discard()
            raise
        return os.open(self._place, os.O_RDONLY | _FLAGS)

    def _date(self) -> None:
        try:
            before = os.lstat(self._place).st_mtime
        except OSError:
            return  # there is none
        date_after(self._descriptor if os.utime in os.supports_fd else self._temporary, self._place, before)

    def _replaced(self) -> int | None:
        """The mode of the file that is there already, if one is. Raises `FileRefused` for what is none."""
        try:
            status = os.lstat(self._place)
        except FileNotFoundError:
            return None
        return replaceable(0 if is_link(status) else status.st_mode, self._path)

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        try:
            os.unlink(self._temporary)
        except OSError:
            pass  # the program removed it, or its directory, first


def _make(place: str, mode: int) -> None:
    try:
        os.mkdir(place, mode)
    except FileExistsError:
        pass


def _enter(place: str, path: str) -> None:
    status = os.lstat(place)
    if is_link(status):
        raise _a_link(path)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError


def _described(path: str, entry: os.DirEntry[str]) -> dict[str, Any]:
    described = describe(path, entry)
    try:
        leads_elsewhere = is_link(entry.stat(follow_symlinks=False))
    except OSError:  # removed since its directory was read
        return described
    return {**described, "type": "link"} if leads_elsewhere else described


def _a_link(path: str) -> FileRefused:
    return FileRefused("refused", f"{path!r} is a link, or lies behind one; links are not followed.")


def _missing(path: str) -> FileRefused:
    return FileRefused("not_found", f"There is no file {path!r} in the workspace.")


def _refusal(path: str, error: OSError) -> FileRefused:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return _missing(path)
    if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # which of the two depends on the system
        return not_empty(path)
    return FileRefused("refused", f"{path!r} cannot be used: {error.strerror}.")
