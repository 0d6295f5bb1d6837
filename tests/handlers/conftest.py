"""Fixtures for the handlers: a session to ask for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def session(rest: Callable[..., Any], jp_asyncio_loop: Any, jp_root_dir: Path) -> str:
    """A session whose workspace is the folder `work`."""
    (jp_root_dir / "work").mkdir()
    body = {"environment": "local", "path": "work"}
    response = jp_asyncio_loop.run_until_complete(rest("POST", "sessions", body))
    return str(json.loads(response.body)["id"])
