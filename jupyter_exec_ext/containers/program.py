"""`ProgramVolume`: the supervisor on the engine, in a volume that containers mount read-only.

A volume and not a mount of our own directory, since the engine may be on another machine; and not a layer
on each image, since those would have to be built and removed. Its owner is root, and it is written before
any container that mounts it has started.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import tarfile
import uuid
from functools import lru_cache
from pathlib import Path
from typing import Any

from .. import supervisor
from ..errors import EnvironmentFailed, NotFound
from .engine import Engine
from .labels import labels
from .settings import PROGRAM

__all__ = ["MAIN", "ProgramVolume"]

#: What is started in a container.
MAIN = f"{PROGRAM}/main.py"


class ProgramVolume:
    """The volume of one server on one engine.

    Parameters
    ----------
    engine : Engine
    server : str, optional
        The server's id, or another of our own: another one's end does not take the volume away from us.
    """

    def __init__(self, engine: Engine, server: str | None = None) -> None:
        self.server = server or uuid.uuid4().hex[:12]
        self._engine = engine
        self._changing = asyncio.Lock()
        self._holders = 0
        #: Whether it could not be removed.
        self.left = False

    @property
    def name(self) -> str:
        """What the engine calls it."""
        return f"jupyter-exec-{self.server}-{hashlib.sha256(_archive()).hexdigest()[:12]}"

    async def take(self, image: str) -> str:
        """Return its name, made by the first who takes it; each gives it back in the end.

        Parameters
        ----------
        image : str
            Any image: the engine reaches a volume only by a container, which is never started.
        """
        async with self._changing:
            if not self._holders:
                await self._engine.call(lambda client: self._make(client, image))
            self._holders += 1
        return self.name

    async def give_back(self) -> None:
        """The last who does so removes it; what an engine keeps that is away is removed at the next start."""
        async with self._changing:
            self._holders -= 1
            if not self._holders:
                self.left = True
                with contextlib.suppress(EnvironmentFailed):
                    with contextlib.suppress(NotFound):
                        await self._engine.call(lambda client: client.remove_volume(self.name))
                    self.left = False

    def _make(self, client: Any, image: str) -> None:
        client.create_volume(self.name, labels=labels(self.server))
        mount = client.create_host_config(
            binds={self.name: {"bind": PROGRAM, "mode": "rw"}}, network_mode="none"
        )
        made = client.create_container(
            image, command=["-"], entrypoint="", host_config=mount, labels=labels(self.server)
        )
        try:
            client.put_archive(made["Id"], PROGRAM, _archive())
        finally:
            client.remove_container(made["Id"], v=True, force=True)


@lru_cache(maxsize=1)
def _archive() -> bytes:
    """The supervisor's folder; the same bytes for the same program."""
    folder = Path(supervisor.__file__).parent
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for file in sorted(folder.rglob("*.py")):
            data = file.read_bytes()
            entry = tarfile.TarInfo(file.relative_to(folder).as_posix())
            entry.size, entry.mode = len(data), 0o444
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
