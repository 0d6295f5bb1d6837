"""What servers that are dead have left on an engine, and its end."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

from .engine import Engine
from .labels import server_filter

__all__ = ["Unreaped", "reap"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Unreaped:
    """The ids of servers that have left something on an engine, on disk: it may be away for long.

    Parameters
    ----------
    folder : Path
        An empty file for each; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, server: str) -> None:
        """Note one."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / server).touch(0o600)

    def remove(self, server: str) -> None:
        """Nothing is left of it."""
        (self._folder / server).unlink(missing_ok=True)

    def all(self) -> list[str]:
        """Return them."""
        with contextlib.suppress(OSError):
            return sorted(name for name in os.listdir(self._folder) if _ID.fullmatch(name))
        return []


async def reap(engine: Engine, server: str) -> list[str]:
    """Remove the containers and volumes that one server has made. Returns what they were called.

    Parameters
    ----------
    engine : Engine
    server : str
        Its id; it must be known to be dead, and ours: other servers may use the same engine.

    Raises
    ------
    EnvironmentFailed
        The engine is away, or refuses.
    """
    return await engine.call(lambda client: _reap(client, server), deadline=60.0)


def _reap(client: Any, server: str) -> list[str]:
    import docker.errors

    ours, reaped = server_filter(server), []
    for found in client.containers(all=True, filters=ours):
        with contextlib.suppress(docker.errors.NotFound):
            client.remove_container(found["Id"], v=True, force=True)
            reaped.append(f"container {found['Id'][:12]}")
    for found in client.volumes(filters=ours)["Volumes"] or ():
        with contextlib.suppress(docker.errors.NotFound):
            client.remove_volume(found["Name"])
            reaped.append(f"volume {found['Name']}")
    return reaped
