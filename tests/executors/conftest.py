"""Fixtures for the executors: a workspace, and a started executor in each containment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock

Make = Callable[..., Awaitable[LocalCommandLineCodeExecutor]]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A directory in which blocks run."""
    path = tmp_path / "workspace"
    path.mkdir()
    return path


@pytest.fixture
def make(jp_asyncio_loop: Any, workspace: Path) -> Any:
    """Start executors with ``await make(...)``; they are stopped when the test has ended."""
    stack = AsyncExitStack()

    async def start(environment: Any = None, **settings: Any) -> LocalCommandLineCodeExecutor:
        place = settings.pop("workspace", workspace)
        environment = environment or SystemPythonEnvironment("local")
        executor = LocalCommandLineCodeExecutor(environment, place, **settings)
        await stack.enter_async_context(executor)
        return executor

    yield start
    jp_asyncio_loop.run_until_complete(stack.aclose())


async def aiter_of(*pieces: bytes) -> AsyncIterator[bytes]:
    """The pieces as a stream."""
    for piece in pieces:
        yield piece


def block(code: str, language: str = "python") -> CodeBlock:
    return CodeBlock(code=code, language=language)


async def events_of(
    executor: LocalCommandLineCodeExecutor, *blocks: CodeBlock, **options: Any
) -> list[Event]:
    return [event async for event in executor.run(blocks, RunOptions(**options))]
