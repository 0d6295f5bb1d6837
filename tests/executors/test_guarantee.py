"""What stop can promise is said by the environment before anything runs, and is what a session then has."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_exec_ext.executors.containment import guarantee

from .conftest import Make


@pytest.mark.parametrize("settings", [{}, {"namespace": False}, {"portable": True}], ids=str)
async def test_what_is_promised_is_what_a_session_has(make: Make, settings: dict[str, Any]) -> None:
    executor = await make(**settings)

    assert await guarantee(**settings) == executor.guarantee


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a subreaper is Linux's")
async def test_without_a_namespace_it_is_a_subreaper() -> None:
    assert await guarantee(namespace=False) == "subreaper"


async def test_the_list_says_it(rest: Callable[..., Any]) -> None:
    await rest("POST", "executions", {"code": "print(1)", "language": "python"}, wait=10)

    listed = json.loads((await rest("GET", "environments")).body)["environments"]

    assert listed[0]["spec"]["guarantee"] == await guarantee()
