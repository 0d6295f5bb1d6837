"""A real log in a directory of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.log import EventLog

OpenLog = Callable[..., AbstractAsyncContextManager[EventLog]]


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    """The file of the test's log."""
    return tmp_path / "exec" / "log.sqlite"


@pytest.fixture
def open_log(log_path: Path) -> OpenLog:
    """``async with open_log(**traits) as log``: each call is one server."""

    @asynccontextmanager
    async def opened(**traits: Any) -> AsyncIterator[EventLog]:
        log = EventLog(**{"path": str(log_path), **traits})
        await log.open("server")
        try:
            yield log
        finally:
            await log.close()

    return opened
