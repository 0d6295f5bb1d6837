"""Fixtures for the manager: see `house`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from house import House, OnlyFactory, TameExecutor, open_house


@pytest.fixture
def house(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[House]]:
    """Open one with ``async with house(...) as it``; the arguments are the manager's."""

    def open_here(**options: Any) -> AbstractAsyncContextManager[House]:
        return open_house(tmp_path, **options)

    return open_here


@pytest.fixture
def tame() -> type[TameExecutor]:
    """The class to derive a test's own executor from."""
    return TameExecutor


@pytest.fixture
def only() -> type[OnlyFactory]:
    """A factory that makes executors of one class."""
    return OnlyFactory
