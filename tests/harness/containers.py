"""Cases in containers, with the executor as a library."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from jupyter_exec_ext.containers.engine import Engine
from jupyter_exec_ext.environments.docker import DockerPythonEnvironment
from jupyter_exec_ext.executors.docker import DockerCommandLineCodeExecutor

from .engine import IMAGE, OwnEngine
from .library import LibrarySession
from .watch import Census, OwnMeter

__all__ = ["Containers"]


class Containers:
    """Containers of the test's image, on the test's own engine.

    Parameters
    ----------
    root : Path
        Not used by them.
    engine : OwnEngine
    """

    def __init__(self, root: Path, engine: OwnEngine) -> None:
        self.root, self._engine, self.meter = root, engine, OwnMeter()
        self._executors: list[DockerCommandLineCodeExecutor] = []

    @contextlib.asynccontextmanager
    async def session(self, path: str) -> AsyncIterator[LibrarySession]:
        """A container."""
        with contextlib.closing(Engine(self._engine.address)) as engine:
            executor = DockerCommandLineCodeExecutor(DockerPythonEnvironment(IMAGE, engine=engine))
            async with executor:
                assert executor.guarantee == "pid_namespace"
                self._executors.append(executor)
                yield LibrarySession(executor)
                self._executors.remove(executor)

    def census(self, *, paths: bool = True) -> Census:
        """What this process has open, what is on the engine, and the processes of the live containers."""
        own = Census.take(os.getpid(), os.getpid())
        left = frozenset(f"{kind} {name}" for kind, names in self._engine.left().items() for name in names)
        return Census(self._processes(), own.descriptors, left if paths else frozenset())

    def _processes(self) -> int:
        with contextlib.closing(self._engine.client()) as client:
            return sum(len(client.top(each._container)["Processes"]) for each in self._executors)

    def complaints(self) -> str:
        """It logs nothing."""
        return ""
