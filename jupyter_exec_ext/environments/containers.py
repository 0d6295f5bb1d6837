"""`ContainerEnvironments`: the container environments an administrator offers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from traitlets import Dict, Float, TraitError, Unicode, default
from traitlets.config import LoggingConfigurable

from ..containers.engine import Engine
from ..containers.program import ProgramVolume
from ..containers.reaper import Unreaped, reap
from ..containers.settings import ContainerSettings
from ..errors import ExecError
from .docker import DockerPythonEnvironment

__all__ = ["ContainerEnvironments"]

_GIVEN = {"image", "display_name"}
_SETTINGS = {field.name for field in fields(ContainerSettings)}


class ContainerEnvironments(LoggingConfigurable):
    """The images that code may run in, by configuration.

    Nothing is asked of an engine where none are configured. What they offer is found out at the start, and
    looked at again from time to time: an engine that comes up later is noticed without a restart.

    Parameters
    ----------
    server : str
        The server's id, for the labels of what is made on the engine.
    options : callable
        Returns what else the configuration says about an environment, by its name: arguments of
        `PythonEnvironment`.
    """

    engine_url = Unicode(
        "",
        help="The container engine's address, as DOCKER_HOST has it. Empty: found by DOCKER_HOST, Docker's "
        "current context, or the usual sockets of Docker, rootless Docker and Podman.",
    ).tag(config=True)
    environments = Dict(
        value_trait=Dict(),
        help='The environments by label: {"python": {"image": "python:3-slim", "display_name": "Python 3"}}. '
        "Images have to be on the engine; none is pulled.",
    ).tag(config=True)
    settings = Dict(
        value_trait=Dict(),
        help='What containers may do, by environment or "*": memory_bytes, cpus, pids, open_files, '
        "file_bytes, workspace_bytes, tmp_bytes, network, user, and options, which are arguments of "
        "docker-py's create_host_config.",
    ).tag(config=True)
    data_dir = Unicode(help="Where is noted what is left on an engine that is away.").tag(config=True)
    look_seconds = Float(
        10.0, min=0.1, help="Seconds between two looks at whether the engine and the images are there."
    ).tag(config=True)

    def __init__(self, *, server: str, options: Callable[[str], dict[str, Any]], **own: Any) -> None:
        super().__init__(**own)
        #: Called when the status of one has changed.
        self.on_change: Callable[[], None] = lambda: None
        self.engine = Engine(self.engine_url or None)
        self._program = ProgramVolume(self.engine, server)
        self._found = {f"docker:{label}": self._made(label, options) for label in self.environments}
        self._looking: asyncio.Task[None] | None = None
        self._server, self._unreaped = server, Unreaped(Path(self.data_dir))

    def found(self) -> Mapping[str, DockerPythonEnvironment]:
        """Return them by name."""
        return self._found

    def start(self, dead: Iterable[str] = ()) -> None:
        """Look whether they can be used, now and from time to time.

        Parameters
        ----------
        dead : iterable of str
            The ids of servers of ours that are dead: what they have left on the engine is removed.
        """
        for server in dead if self._found else ():
            self._unreaped.add(server)
        if self._found:
            self._looking = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Look no more, and let go of the engine."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._program.left or any(environment.left for environment in self._found.values()):
            self._unreaped.add(self._server)
            self.log.warning(
                "The container engine is away; something of this server is left on it, "
                "which the next server removes."
            )
        self.engine.close()

    @default("data_dir")
    def _default_data_dir(self) -> str:
        from jupyter_core.paths import jupyter_data_dir

        return str(Path(jupyter_data_dir()) / "exec" / "containers")

    def _made(self, label: str, options: Callable[[str], dict[str, Any]]) -> DockerPythonEnvironment:
        name, given = f"docker:{label}", self.environments[label]
        if not given.get("image") or set(given) - _GIVEN:
            raise TraitError(
                f"ContainerEnvironments.environments of {label!r}: give an image, and a display_name if you "
                f"like; was given {sorted(given)}."
            )
        return DockerPythonEnvironment(
            given["image"],
            name,
            engine=self.engine,
            program=self._program,
            settings=self._settings_of(name),
            **{**options(name), "display_name": given.get("display_name")},
        )

    def _settings_of(self, name: str) -> ContainerSettings:
        given = {**self.settings.get("*", {}), **self.settings.get(name, {})}
        unknown = sorted(set(given) - _SETTINGS)
        if unknown:
            raise TraitError(
                f"ContainerEnvironments.settings of {name}: there is no {unknown[0]!r}; the names are "
                f"{', '.join(sorted(_SETTINGS))}."
            )
        return ContainerSettings(**given)

    async def _look(self) -> None:
        while True:
            await self._reap()
            await asyncio.gather(*(self._look_at(environment) for environment in self._found.values()))
            await asyncio.sleep(self.look_seconds)

    async def _reap(self) -> None:
        """Remove what is left of servers that have ended; where the engine is away, the next time."""
        with contextlib.suppress(ExecError):
            for server in await asyncio.to_thread(self._unreaped.all):
                for what in await reap(self.engine, server):
                    self.log.info("Removed %s, which a server that has ended had left.", what)
                self._unreaped.remove(server)

    async def _look_at(self, environment: DockerPythonEnvironment) -> None:
        before = environment.status, environment.reason
        try:
            await environment.look()
        except ExecError:
            if before[1] != environment.reason:
                self.log.warning("%s is unavailable: %s", environment.name, environment.reason)
        except Exception:
            self.log.exception("The look at %s failed; the next one is in a while.", environment.name)
        if before != (environment.status, environment.reason):
            self.on_change()
