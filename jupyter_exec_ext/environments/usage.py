"""`Usage`: which created environments are in use, as far as other servers must know it.

::

    <data_dir>/.using/<label>/<server>/     a `Lease`, held while something of that server needs it
    <data_dir>/.using/<label>/removing/     a `Lease`, held while it is being removed

What a server holds is free in the moment it dies, however it dies.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import Conflict, Unavailable
from ..lease import Lease
from ..models import new_id

__all__ = ["Usage"]

_USING = ".using"
_REMOVING = "removing"


class Usage:
    """What one server uses of the environments that several of them share.

    Whoever begins to use one says so first and then looks whether it is being removed; whoever
    removes one says so first and then looks for users. So one of the two sees the other.

    Parameters
    ----------
    folder : Path
        That of `CreatedEnvironments`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = new_id()
        self._leases: dict[str, Lease] = {}
        self._users: dict[str, set[str]] = {}

    def enter(self, name: str, user: str) -> None:
        """Note that a session or an execution needs that environment; nothing, where it was not made here."""
        label = self._label(name)
        if label is None:
            return
        self._users.setdefault(label, set()).add(user)
        if label not in self._leases:
            lease = self._lease(self._server, label)
            with contextlib.suppress(
                OSError, Unavailable
            ):  # who cannot write here could not remove it either
                lease.acquire()
                self._leases[label] = lease

    def leave(self, name: str, user: str) -> None:
        """Note that it needs it no longer; nothing, where it did not."""
        label = name.partition(":")[2]
        users = self._users.get(label, set())
        users.discard(user)
        if not users:
            self._users.pop(label, None)
            lease = self._leases.pop(label, None)
            if lease is not None:
                lease.release()

    def check(self, name: str) -> None:
        """Raise `Conflict` where that environment is being removed."""
        label = self._label(name)
        if label is not None and self._lease(self._server, label).alive(_REMOVING):
            raise Conflict(f"{name} is being removed, so nothing can run there; use another environment.")

    @contextlib.contextmanager
    def removing(self, label: str) -> Iterator[None]:
        """Keep others from using the environment of that label; it is claimed.

        Raises `Conflict` where another server uses it.
        """
        place = self._folder / _USING / label
        with self._lease(_REMOVING, label) as lease:
            lease.sweep()
            # Whose name begins with a dot is leaving; what is no server's lease is nobody's use.
            names = [name for name in os.listdir(place) if not name.startswith(".")]
            users = {name for name in names if lease.alive(name)}
            if users - {_REMOVING, self._server}:
                raise Conflict(
                    f"venv:{label} is in use by another server; end its sessions and executions there first."
                )
            yield
        with contextlib.suppress(OSError):  # somebody has come meanwhile, and will find nothing
            os.rmdir(place)

    def sweep(self) -> None:
        """Remove what killed servers held."""
        with contextlib.suppress(OSError):  # nothing was ever used
            for label in os.listdir(self._folder / _USING):
                self._lease(self._server, label).sweep()

    def _lease(self, server: str, label: str) -> Lease:
        return Lease(server, self._folder / _USING / label, below=self._folder.parent)

    def _label(self, name: str) -> str | None:
        """The label of an environment that was made here, else None."""
        kind, _, label = name.partition(":")
        return label if kind == "venv" and label and (self._folder / label).is_dir() else None
