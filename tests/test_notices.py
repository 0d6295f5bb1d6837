"""What happens is told by Jupyter's events."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
import shutil
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp

from jupyter_exec_ext.notices import SCHEMAS

CODE = {"code": "print(1)", "language": "python"}


def read(response: Any, status: int = 200) -> Any:
    """The JSON of an answer that has that status."""
    assert response.code == status, response.body
    return json.loads(response.body)


async def test_who_ran_what_is_a_jupyter_event(
    rest: Callable[..., Any], jp_serverapp: ServerApp, jp_logging_stream: Any
) -> None:
    # given
    sink = io.StringIO()
    jp_serverapp.event_logger.register_handler(logging.StreamHandler(sink))
    # when
    execution = read(await rest("POST", "executions", CODE, wait=20), 201)
    read(await rest("POST", "sessions", {"environment": "local"}), 201)
    # then
    events = [json.loads(line) for line in sink.getvalue().splitlines()]
    ours = [event for event in events if event["__schema__"] == SCHEMAS["execution"]]
    assert [(event["action"], event["status"]) for event in ours] == [
        ("created", "queued"),
        ("started", "running"),
        ("ended", "ok"),
    ]
    for event in ours:
        assert event["id"] == execution["id"]
        assert event["environment"] == "local"
        assert event["code_sha256"] == hashlib.sha256(b"print(1)").hexdigest()
        assert event["user"]
        assert "print(1)" not in json.dumps(event)
    assert len({event["user"] for event in ours}) == 1
    assert {event["action"] for event in events if event["__schema__"] == SCHEMAS["session"]} >= {"created"}
    assert "was not emitted" not in jp_logging_stream.getvalue()


async def test_an_environment_that_comes_and_goes_is_a_jupyter_event(
    rest: Callable[..., Any], jp_serverapp: ServerApp
) -> None:
    # given
    sink = io.StringIO()
    jp_serverapp.event_logger.register_handler(logging.StreamHandler(sink))
    # when
    read(await rest("POST", "environments", {"kind": "venv", "name": "venv:seen"}), 201)
    await rest("GET", "environments/venv:seen/events")
    await rest("GET", "environments")
    await rest("DELETE", "environments/venv:seen")
    await rest("GET", "environments")
    await asyncio.sleep(0.1)
    # then
    events = [json.loads(line) for line in sink.getvalue().splitlines()]
    ours = [event for event in events if event["__schema__"] == SCHEMAS["environment"]]
    assert {event["name"] for event in ours} == {"venv:seen"}
    assert [event["action"] for event in ours][0] == "created"
    assert [event["action"] for event in ours][-1] == "deleted"
    assert ("changed", "ready") in [(event["action"], event["status"]) for event in ours]


class TestWhileNobodyAsks:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: dict[str, Any]) -> dict[str, Any]:
        """Look often."""
        return {**jp_server_config, "EnvironmentRegistry": {"discover_seconds": 0.2}}

    async def test_an_environment_that_comes_and_goes_on_disk_is_an_event(
        self, rest: Callable[..., Any], jp_serverapp: ServerApp, jp_root_dir: Path
    ) -> None:
        # given
        read(await rest("GET", "environments"))
        sink = io.StringIO()
        jp_serverapp.event_logger.register_handler(logging.StreamHandler(sink))
        await asyncio.sleep(0.5)

        async def told(action: str) -> None:
            until = asyncio.get_running_loop().time() + 20
            while not any(
                event["__schema__"] == SCHEMAS["environment"] and event["action"] == action
                for event in map(json.loads, sink.getvalue().splitlines())
            ):
                assert asyncio.get_running_loop().time() < until, sink.getvalue()
                await asyncio.sleep(0.05)

        # when, then
        venv.create(jp_root_dir / "found", symlinks=True)
        await told("created")
        shutil.rmtree(jp_root_dir / "found")
        await told("deleted")


async def test_a_sink_that_fails_fails_nothing_else(
    rest: Callable[..., Any], jp_serverapp: ServerApp
) -> None:
    # given
    class Broken(logging.StreamHandler):  # type: ignore[type-arg]
        def handle(self, record: Any) -> bool:
            raise RuntimeError("no space left")

    jp_serverapp.event_logger.register_handler(Broken(io.StringIO()))
    # when
    execution = read(await rest("POST", "executions", CODE, wait=20), 201)
    # then
    assert execution["status"] == "ok"
