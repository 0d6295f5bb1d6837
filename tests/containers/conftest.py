"""Fixtures for containers: a real engine, and executors on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from harness.engine import IMAGE, OwnEngine

from jupyter_exec_ext.containers.engine import Engine
from jupyter_exec_ext.containers.program import ProgramVolume
from jupyter_exec_ext.containers.settings import ContainerSettings
from jupyter_exec_ext.environments.docker import DockerPythonEnvironment
from jupyter_exec_ext.executors.docker import DockerCommandLineCodeExecutor

Make = Callable[..., Awaitable[DockerCommandLineCodeExecutor]]


@pytest.fixture
def engine(own_engine: OwnEngine) -> Iterator[Engine]:
    """Our end of it; when the test has ended, nothing of ours may be left there."""
    ours = Engine(own_engine.address)
    yield ours
    ours.close()
    assert own_engine.left() == {"containers": [], "volumes": []}


@pytest.fixture
def make(jp_asyncio_loop: Any, engine: Engine) -> Any:
    """Start executors with ``await make(...)``; they are stopped when the test has ended."""
    stack = AsyncExitStack()

    async def start(image: str = IMAGE, **options: Any) -> DockerCommandLineCodeExecutor:
        settings = ContainerSettings(**options.pop("settings", {}))
        program = ProgramVolume(engine, options.pop("server", None))
        own = {name: options.pop(name) for name in ("preload", "limits", "env_allow") if name in options}
        environment = DockerPythonEnvironment(image, engine=engine, settings=settings, program=program, **own)
        executor = DockerCommandLineCodeExecutor(environment, **options)
        await stack.enter_async_context(executor)
        return executor

    yield start
    jp_asyncio_loop.run_until_complete(stack.aclose())
