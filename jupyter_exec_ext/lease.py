"""`Lease`: the proof that a server is alive, and the private directory that goes with it.

A process id can be reused and a heartbeat can be late; a lock on a file is given up by the
operating system in the moment its holder dies, however it dies.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from .errors import Conflict, InvalidRequest, Unavailable
from .folders import Folder
from .models import new_id
from .pathfolder import open_folder

__all__ = ["Lease"]

# A directory without a lock file belongs to a server that is just starting, for at most so long.
_GRACE_SECONDS = 60.0
# Others may remove the directory while it is being made; after so long something else is wrong.
_PATIENCE_SECONDS = 2.0
_LOCK = "lock"
_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")

if sys.platform == "win32":  # pragma: no cover - tested on Windows
    import msvcrt

    def _lock(descriptor: int, shared: bool = False) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _lock(descriptor: int, shared: bool = False) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Lease:
    """A directory that belongs to one live server.

    The application takes one when it starts and gives it up when it stops; what belongs to the
    server's sessions lives below it, so that the next server can remove what a killed one left.

    Parameters
    ----------
    server : str, optional
        The server's identifier, a new one by default.
    root : path, optional
        Where the leases of all servers are; ``<jupyter_runtime_dir>/jupyter_exec_ext`` by default.
    """

    def __init__(self, server: str | None = None, root: str | Path | None = None) -> None:
        self.id = server or new_id()
        if not _ID.match(self.id):
            raise InvalidRequest(f"{self.id!r} cannot name a server: use letters, digits, '.', '_' and '-'.")
        self.root = Path(root) if root is not None else _default_root()
        self._held: _Held | None = None

    @property
    def path(self) -> Path:
        """This server's directory; it exists (mode 0700) while the lease is held."""
        return self.root / self.id

    @property
    def held(self) -> bool:
        """Whether this object holds the lease."""
        return self._held is not None

    @property
    def descriptor(self) -> int | None:
        """The locked file's: a child that inherits it keeps the lease alive after we died."""
        return None if self._held is None else self._held.descriptor

    def session_path(self, session: str) -> Path:
        """Make and return the private directory of a session (mode 0700); a link in its place is removed.

        Raises `Unavailable` where the path does not lead there: something was put in the place of
        this lease's directory, or the lease is not held.
        """
        path = self.path / "sessions" / session
        if self._held is not None and self._held.in_place():
            with self._held.folder.child("sessions", make=True) as sessions:
                with sessions.child(session, make=True) as made:
                    if _leads_to(path, made):
                        return path
        raise Unavailable(
            f"The server's private directory {self.path} was moved or removed; restart the server."
        )

    def remove_session_path(self, session: str) -> None:
        """Remove the private directory of a session, also where a block took rights from its folders."""
        if self._held is not None:
            with contextlib.suppress(OSError), self._held.folder.child("sessions") as sessions:
                sessions.remove(session)

    def acquire(self) -> None:
        """Take the lease.

        Raises
        ------
        Conflict
            Another process, or this one, has it already.
        Unavailable
            Something that is no directory is in the way. (An `OSError` where the disk says no.)
        """
        until = time.monotonic() + _PATIENCE_SECONDS
        while self._held is None:
            try:
                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._held = _hold(self.root, self.id, make=True)
            except (FileNotFoundError, FileExistsError) as error:
                # Removed since the line above, which is tried again; or no directory can be there.
                if time.monotonic() > until or _is_obstacle(self.root):
                    raise Unavailable(f"No lease can be taken in {self.root}: {error.strerror}.") from None
                continue
            # A sweeper may be the holder, for a moment; it removes the file, and then it is ours.
            if self._held is None and not self._waited_for_sweeper():
                raise Conflict(f"The lease of server {self.id} is held by a live process; choose another id.")

    def release(self) -> None:
        """Give the lease up and remove the directory. May be called twice."""
        held, self._held = self._held, None
        if held is not None:
            held.remove()

    def alive(self, server: str) -> bool:
        """Whether the server of that identifier holds its lease."""
        try:
            with open_folder(self.root) as root, root.child(server) as folder:
                descriptor = folder.open_file(_LOCK, os.O_RDWR)
        except OSError:
            return _is_starting(self.root, server)
        try:
            return not _lock(descriptor, shared=True)
        finally:
            os.close(descriptor)

    def sweep(self) -> list[str]:
        """Remove the directories of servers that are dead, and return the servers' identifiers."""
        try:
            with open_folder(self.root) as root:
                names = sorted(root.names())
        except (FileNotFoundError, NotADirectoryError):
            return []
        swept = [name for name in names if name != self.id and _sweep(self.root, name)]
        return [name for name in swept if _ID.match(name)]

    def __enter__(self) -> Lease:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _waited_for_sweeper(self) -> bool:
        deadline = time.monotonic() + 0.2
        while time.monotonic() < deadline:
            if not self.alive(self.id):
                return True
            time.sleep(0.01)
        return False


def _default_root() -> Path:
    from jupyter_core.paths import jupyter_runtime_dir

    return Path(jupyter_runtime_dir()) / "jupyter_exec_ext"


class _Held(NamedTuple):
    """A lease's directory, open since it was locked: what a block puts at its path is not taken for it."""

    name: str
    root: Folder
    folder: Folder
    descriptor: int

    def in_place(self) -> bool:
        """Whether both the directory and the locked file are still found by their names."""
        with contextlib.suppress(FileNotFoundError):
            lock = os.path.samestat(self.folder.stat(_LOCK), os.fstat(self.descriptor))
            return lock and os.path.samestat(self.root.stat(self.name), self.folder.status())
        return False

    def remove(self) -> None:
        """Remove the directory, and give up the lock."""
        if sys.platform == "win32":  # pragma: no cover - it cannot rename or remove what is open
            os.close(self.descriptor)
        with contextlib.suppress(OSError):
            self._remove()
        if sys.platform != "win32":
            os.close(self.descriptor)
        self.folder.close()
        self.root.close()

    def _remove(self) -> None:
        if os.path.samestat(self.root.stat(self.name), self.folder.status()):
            # Its name is free first, while we hold the lock: the next holder makes a directory of its own.
            gone = f".gone-{secrets.token_hex(8)}"
            self.root.rename(self.name, gone)
            self.root.remove(gone)
            return
        self.folder.clear()  # a block moved it
        if not self.root.is_directory(self.name):
            self.root.remove(self.name)


def _hold(path: Path, name: str, *, make: bool = False) -> _Held | None:
    """Lock the directory of that name; None where another has the lock.

    Raises `FileNotFoundError` where it was removed meanwhile.
    """
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(open_folder(path))
        folder = stack.enter_context(root.child(name, make=make))
        descriptor = _open_lock(folder)
        stack.callback(os.close, descriptor)
        if not _lock(descriptor):
            return None
        held = _Held(name, root, folder, descriptor)
        if not held.in_place():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        stack.pop_all()
        return held


def _open_lock(folder: Folder) -> int:
    try:
        return folder.open_file(_LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.EACCES):
            raise
    folder.remove(_LOCK)  # a block put something else there
    return folder.open_file(_LOCK, os.O_RDWR | os.O_CREAT)


def _leads_to(path: Path, folder: Folder) -> bool:
    try:
        return os.path.samestat(os.lstat(path), folder.status())
    except OSError:
        return False


def _is_obstacle(path: Path) -> bool:
    """Whether there is something that can be no directory: a file, or a link to nowhere."""
    try:
        return not stat.S_ISDIR(os.lstat(path).st_mode) and not path.is_dir()
    except OSError:
        return False


def _is_starting(root: Path, server: str) -> bool:
    try:
        status = os.lstat(root / server)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and time.time() - status.st_mtime < _GRACE_SECONDS


def _sweep(root: Path, name: str) -> bool:
    if not os.path.lexists(root / name / _LOCK) and _is_starting(root, name):
        return False
    try:
        held = _hold(root, name)
    except OSError:  # it has gone by itself, or is no directory
        return False
    if held is not None:
        held.remove()
    return held is not None
