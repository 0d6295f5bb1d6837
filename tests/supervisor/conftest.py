"""Fixtures for the supervisor: one warm session for the tests of a file, forked and spawned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor

Make = Callable[..., Awaitable[LocalCommandLineCodeExecutor]]


@pytest.fixture
def make(jp_asyncio_loop: Any, tmp_path: Path) -> Any:
    """Start executors with ``await make(...)``; they are stopped when the test has ended."""
    stack = AsyncExitStack()

    async def start(environment: Any = None, **settings: Any) -> LocalCommandLineCodeExecutor:
        environment = environment or SystemPythonEnvironment("local")
        executor = LocalCommandLineCodeExecutor(environment, tmp_path, **settings)
        await stack.enter_async_context(executor)
        return executor

    yield start
    jp_asyncio_loop.run_until_complete(stack.aclose())
