"""`DockerCommandLineCodeExecutor`: code blocks in a container of their session's own."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath
from typing import Any

from ..containers.images import Image
from ..containers.labels import labels
from ..containers.program import MAIN
from ..containers.settings import PRIVATE, WORKSPACE
from ..containers.stream import ContainerProcess
from ..environments.base import PythonEnvironment
from ..environments.docker import DockerPythonEnvironment
from ..errors import ExecError, InvalidRequest, NotFound, OutOfMemory, SessionLost
from ..supervisor.client import SupervisorClient
from .commandline import GRACE, OUTPUT_LIMIT, CommandLineCodeExecutor
from .printing import printing
from .verdict import OUT_OF_MEMORY, container_full

__all__ = ["DockerCommandLineCodeExecutor"]


class DockerCommandLineCodeExecutor(CommandLineCodeExecutor):
    """Runs blocks in a container, which it makes at its start and removes at its end.

    The supervisor is the container's first process, so that all that a run starts can be ended, and is
    reached by the container's attached streams: no port, no mount of a directory of this machine.

    Parameters
    ----------
    environment : DockerPythonEnvironment
    workspace
        Not used: code runs in the container's own workspace, which goes with it.
    private
        Not used, except that its name is that of the session, where none is given.
    session : str, optional
        Whose it is, for its label.
    output_limit, grace, fork
        As `CommandLineCodeExecutor`.
    """

    environment: DockerPythonEnvironment

    def __init__(
        self,
        environment: DockerPythonEnvironment,
        workspace: str | os.PathLike[str] | None = None,
        private: str | os.PathLike[str] | None = None,
        *,
        session: str = "",
        output_limit: int = OUTPUT_LIMIT,
        grace: tuple[float, float] = GRACE,
        fork: bool = True,
    ) -> None:
        if not isinstance(environment, DockerPythonEnvironment):
            raise InvalidRequest(
                f"{environment.name} is no container environment; give a DockerPythonEnvironment.",
                field="environment",
            )
        super().__init__(environment, os.curdir, output_limit=output_limit, grace=grace, fork=fork)
        self.workspace = PurePosixPath(WORKSPACE)
        self.container_bytes = environment.settings.memory_bytes
        self._session = session or Path(private or "").name
        self._volume: str | None = None
        self._container: str | None = None

    @classmethod
    def default_environment(cls) -> PythonEnvironment:
        """Containers of ``python:3-slim``, as ag2 0.14 has it."""
        return DockerPythonEnvironment()

    async def _make_private(self) -> Path:
        return Path(PRIVATE)

    async def _remove_private(self) -> None:
        pass  # it goes with the container

    def shared_file(self, name: str) -> Path | None:
        """None: each session has a workspace of its own."""
        return None

    async def _connect(self, private: Path) -> SupervisorClient:
        image = await self.environment.image()
        python = self.environment.get_executable()
        if self._volume is None:
            self._volume = await self.environment.program.take(image.id)
        self.variables = self.environment.variables()
        await self._make(image, self._volume, [python, "-u", MAIN, json.dumps(self._config(private))])
        process = await ContainerProcess.start(self.environment.engine, str(self._container))
        return await SupervisorClient.over(process)

    def _config(self, private: Path) -> dict[str, Any]:
        return {
            "workspace": str(self.workspace),
            "private": str(private),
            "preload": list(self.environment.preload),
            "guard": False,
            "portable": False,
        }

    async def _make(self, image: Image, volume: str, command: list[str]) -> None:
        settings, variables = self.environment.settings, {**self.variables, **printing(self.variables)}
        made = await self.environment.engine.call(
            lambda client: client.create_container(
                image.id,
                command=command,
                entrypoint="",
                user=settings.user,
                working_dir=WORKSPACE,
                environment=variables,
                labels=labels(self.environment.program.server, self._session),
                healthcheck={"test": ["NONE"]},
                stdin_open=True,
                host_config=client.create_host_config(**settings.host_config(volume, image.volumes)),
            )
        )
        self._container = made["Id"]

    async def _explained(self, error: ExecError) -> ExecError:
        """Ask the engine why a container has ended: the first process was killed, and not by us.

        The engine's word alone would not do, since it also says so where some other process was killed.
        """
        if not isinstance(error, SessionLost) or self._container is None:
            return error
        try:
            found = await self.environment.engine.call(
                lambda client: client.inspect_container(self._container)
            )
        except NotFound:
            return SessionLost("The session's container was removed while this ran.")
        except ExecError as away:
            return SessionLost(f"{error.message} {away.message}")
        state = found.get("State") or {}
        if state.get("OOMKilled") and state.get("ExitCode") == OUT_OF_MEMORY:
            return OutOfMemory(container_full(self.environment.settings.memory_bytes))
        return error

    async def _end(self) -> None:
        await super()._end()
        if self._container is not None:
            container, self._container = self._container, None
            await self.environment.discard(container)

    async def stop(self) -> None:
        """End whatever runs, and remove the container and what else we put on the engine."""
        await super().stop()
        if self._volume is not None:
            self._volume = None
            await self.environment.program.give_back()
