"""`Lease`: the proof that a server is alive, and the private directory that goes with it.

A process id can be reused and a heartbeat can be late; a lock on a file is given up by the
operating system in the moment its holder dies, however it dies.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from .errors import Conflict, InvalidRequest, Unavailable
from .folders import Folder
from .locked import GONE, LOCK, Held, hold, lock
from .models import new_id
from .pathfolder import open_folder

__all__ = ["Lease"]

# A directory without a lock file belongs to a server that is just starting, for at most so long.
_GRACE_SECONDS = 60.0
# Others may remove the directory while it is being made; after so long something else is wrong.
_PATIENCE_SECONDS = 2.0
_SESSIONS, _KERNELS = "sessions", "kernels"
_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")


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
    below : path, optional
        A directory above `root`, the one that holds it by default. From there on no link is followed: a
        block may have put one there, and what it leads to is not ours to remove.
    """

    def __init__(
        self,
        server: str | None = None,
        root: str | Path | None = None,
        *,
        below: str | Path | None = None,
    ) -> None:
        self.id = server or new_id()
        if not _ID.match(self.id):
            raise InvalidRequest(f"{self.id!r} cannot name a server: use letters, digits, '.', '_' and '-'.")
        self.root = Path(root) if root is not None else _default_root()
        self.below = Path(below) if below is not None else self.root.parent
        self._held: Held | None = None
        self._taken = False
        self._renewing = threading.Lock()

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

        What a block has moved or removed of the lease is made anew. Raises `Unavailable` where the path does
        not lead there after all: something is in the place of a directory above, or nobody took the lease.
        """
        path = self.path / _SESSIONS / session
        held = self._in_place()
        if held is not None:
            with held.folder.child(_SESSIONS, make=True) as sessions:
                with sessions.child(session, make=True) as made:
                    if _leads_to(path, made):
                        return path
        raise Unavailable(
            f"The server's private directory {self.path} was moved or removed; restart the server."
        )

    def _in_place(self) -> Held | None:
        with self._renewing:
            if self._taken and not self._is_in_place():
                try:
                    self.renew()
                except (OSError, Conflict) as error:
                    raise Unavailable(
                        f"The server's private directory {self.path} was moved or removed, and cannot be "
                        f"made anew ({error}); put it right, or restart the server."
                    ) from error
            return self._held

    def _is_in_place(self) -> bool:
        held = self._held
        return held is not None and held.in_place() and _leads_to(self.path, held.folder)

    def remove_session_path(self, session: str) -> None:
        """Remove the private directory of a session, also where a block took rights from its folders."""
        if self._held is not None:
            with contextlib.suppress(OSError), self._held.folder.child(_SESSIONS) as sessions:
                sessions.remove(session)

    def kernels(self, *, make: bool = False) -> Folder:
        """The directory in which this server records its kernels, open; with `make`, made.

        Raises `Unavailable` where the lease is not held, and `FileNotFoundError`.
        """
        if self._held is None:
            raise Unavailable("This server has no lease; start it again.")
        return self._held.folder.child(_KERNELS, make=make)

    def folder_of(self, server: str) -> Folder:
        """The directory of any server's lease, open. Raises `OSError` where there is none."""
        with self._open() as root:
            return root.child(server)

    def acquire(self) -> None:
        """Take the lease.

        Raises
        ------
        Conflict
            Another process, or this one, has it already.
        Unavailable
            Something that is no directory, or a link, is in the way. (An `OSError` where the disk says no.)
        """
        until = time.monotonic() + _PATIENCE_SECONDS
        while self._held is None:
            self.below.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._held = hold(self._open(make=True), self.id, make=True)
            except NotADirectoryError:
                raise Unavailable(
                    f"No lease can be taken in {self.root}: there is a link or a file in its place, "
                    "and links are not followed; remove that."
                ) from None
            except (FileNotFoundError, FileExistsError) as error:
                # Removed since the line above, which is tried again; or no directory can be there.
                if time.monotonic() > until or _is_obstacle(self.root):
                    raise Unavailable(f"No lease can be taken in {self.root}: {error.strerror}.") from None
                continue
            # A sweeper may be the holder, for a moment; it removes the file, and then it is ours.
            if self._held is None and not self._waited_for_sweeper():
                raise Conflict(f"The lease of server {self.id} is held by a live process; choose another id.")
        self._taken = True

    def renew(self) -> None:
        """Take the lease, also where it is held, but not at its path any more. Raises what `acquire` does."""
        if self._held is not None and not _leads_to(self.path, self._held.folder):
            self._drop()
        elif self._held is not None and not self._held.in_place():  # it is only the lock that is gone
            held, self._held = self._held, None
            held.close()
        self.acquire()

    def release(self) -> None:
        """Give the lease up and remove the directory. May be called twice."""
        self._taken = False
        self._drop()

    def _drop(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.remove()

    def alive(self, server: str) -> bool:
        """Whether the server of that identifier holds its lease; where it is none, nobody does."""
        if not _ID.fullmatch(server):  # a damaged log may name anything
            return False
        try:
            with self._open() as root, root.child(server) as folder:
                descriptor = folder.open_file(LOCK, os.O_RDWR)
        except OSError:
            return self._is_starting(server)
        try:
            return not lock(descriptor, shared=True)
        finally:
            os.close(descriptor)

    def sweep(self, end: Callable[[str, Folder], None] | None = None) -> list[str]:
        """Remove the directories of servers that are dead, and return the servers' identifiers.

        Before that, `end` gets each of these servers and its directory, to end what else is left of it.
        """
        try:
            with self._open() as root:
                names = sorted(root.names())
        except (FileNotFoundError, NotADirectoryError):
            return []
        swept = [name for name in names if name != self.id and self._sweep(name, end)]
        return [name for name in swept if _ID.match(name)]

    def _open(self, *, make: bool = False) -> Folder:
        """The root. Raises `NotADirectoryError` where a link is in its place."""
        folder = open_folder(self.below)
        for part in self.root.relative_to(self.below).parts:
            with folder:
                if make:
                    folder.make(part)
                folder = folder.child(part)
        return folder

    def _is_starting(self, server: str) -> bool:
        try:
            with self._open() as root:
                status = root.stat(server)
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and _is_new(status)

    def _sweep(self, name: str, end: Callable[[str, Folder], None] | None) -> bool:
        try:
            with self._open() as root, root.child(name) as folder:
                if not _is_left(name, folder):
                    return False
            held = hold(self._open(), name)
        except OSError:  # it has gone by itself, or is no directory
            return False
        if held is not None:
            try:
                if end is not None:
                    end(name, held.folder)
            finally:
                held.remove()
        return held is not None

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


def _is_new(status: os.stat_result) -> bool:
    return time.time() - status.st_mtime < _GRACE_SECONDS


def _is_left(name: str, folder: Folder) -> bool:
    """Whether a server has made this directory, and not just now: nobody else's may be removed."""
    there = set(folder.names())
    if LOCK in there:
        return True
    ours = there <= {_SESSIONS, _KERNELS} or name.startswith(GONE)
    return ours and not _is_new(folder.status())
