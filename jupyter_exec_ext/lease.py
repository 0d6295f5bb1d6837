"""`Lease`: the proof that a server is alive, and the private directory that goes with it.

A process id can be reused and a heartbeat can be late; a lock on a file is given up by the
operating system in the moment its holder dies, however it dies.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import sys
import time
from pathlib import Path
from types import TracebackType

from .errors import Conflict, InvalidRequest
from .models import new_id

__all__ = ["Lease"]

# A directory without a lock file belongs to a server that is just starting, for at most so long.
_GRACE_SECONDS = 60.0
_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")

if sys.platform == "win32":  # pragma: no cover - tested on Windows
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
        self._descriptor: int | None = None

    @property
    def path(self) -> Path:
        """This server's directory; it exists (mode 0700) while the lease is held."""
        return self.root / self.id

    @property
    def held(self) -> bool:
        """Whether this object holds the lease."""
        return self._descriptor is not None

    @property
    def descriptor(self) -> int | None:
        """The locked file's: a child that inherits it keeps the lease alive after we died."""
        return self._descriptor

    def session_path(self, session: str) -> Path:
        """Make and return the private directory of a session (mode 0700)."""
        path = self.path / "sessions" / session
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def remove_session_path(self, session: str) -> None:
        """Remove the private directory of a session, also where a block took rights from its folders."""
        _remove(self.path / "sessions" / session, None)

    def acquire(self) -> None:
        """Take the lease. Raises `Conflict` where another process, or this one, has it already."""
        while self._descriptor is None:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # swept away since the line above: again
                self._descriptor = self._take()

    def release(self) -> None:
        """Give the lease up and remove the directory. May be called twice."""
        if self._descriptor is not None:
            _remove(self.path, self._descriptor)
            self._descriptor = None

    def alive(self, server: str) -> bool:
        """Whether the server of that identifier holds its lease."""
        descriptor = _open(self.root / server / "lock")
        if descriptor is None:
            return _is_starting(self.root / server)
        try:
            return not _lock(descriptor)
        finally:
            os.close(descriptor)

    def sweep(self) -> list[str]:
        """Remove the directories of servers that are dead, and return the servers' identifiers."""
        try:
            with os.scandir(self.root) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            return []
        return [name for name in names if name != self.id and _sweep(self.root / name)]

    def __enter__(self) -> Lease:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _take(self) -> int | None:
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        if not _lock(descriptor):
            os.close(descriptor)
            # A sweeper may be the holder, for a moment; it removes the file, and then it is ours.
            if self._waited_for_sweeper():
                return None
            raise Conflict(f"The lease of server {self.id} is held by a live process; choose another id.")
        if _same_file(descriptor, self.path / "lock"):
            return descriptor
        os.close(descriptor)
        return None

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


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _is_starting(directory: Path) -> bool:
    try:
        return time.time() - directory.stat().st_mtime < _GRACE_SECONDS
    except OSError:
        return False


def _sweep(directory: Path) -> bool:
    descriptor = _open(directory / "lock")
    if descriptor is None:
        if _is_starting(directory):
            return False
    elif not _lock(descriptor):
        os.close(descriptor)
        return False
    _remove(directory, descriptor)
    return True


def _remove(directory: Path, descriptor: int | None) -> None:
    """Remove a directory whose lock is ours; Windows cannot remove a file that is open."""
    if sys.platform == "win32" and descriptor is not None:  # pragma: no cover - tested on Windows
        os.close(descriptor)
        descriptor = None
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        _make_removable(directory)
        shutil.rmtree(directory, ignore_errors=True)
    if descriptor is not None:
        os.close(descriptor)


def _make_removable(directory: Path) -> None:
    # os.walk lists a directory before it goes down, so each one is opened up just in time.
    with contextlib.suppress(OSError):
        directory.chmod(0o700)
    for parent, names, _ in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            with contextlib.suppress(OSError):
                if stat.S_ISDIR(os.lstat(path).st_mode):
                    os.chmod(path, 0o700)
