"""Bodies that do not come, or too many at one time: what the server holds of them is bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from jupyter_server.auth import Authorizer

from jupyter_exec_ext.app import ExecApp
from jupyter_exec_ext.handlers import base

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def begin(
    app: ExecApp, declared: int, sent: bytes, verb: str = "POST", login: bool = True
) -> Connection:
    """Begin to send a request to run something."""
    server = app.serverapp
    token = server.identity_provider.token
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        f"{verb} {server.base_url}api/exec/executions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: token {token if login else 'none'}\r\nContent-Length: {declared}\r\n\r\n".encode()
    )
    writer.write(sent)
    await writer.drain()
    return reader, writer


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(
    exec_app: ExecApp, rest: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(base, "_BODY_SECONDS", 0.5)
    exec_app.max_body_bytes = 2000
    # when: all but its last bytes
    reader, writer = await begin(exec_app, 1000, b'{"code": "' + b"1" * 900)
    # then
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_more_bodies_than_the_server_holds_are_refused_and_later_ones_are_not(
    exec_app: ExecApp, rest: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: clients that leave out the last byte
    exec_app.max_body_bytes = 200_000
    exec_app.bodies.limit = 300_000
    unfinished = [await begin(exec_app, 190_000, b"x" * 189_999) for _ in range(2)]
    await asyncio.sleep(0.3)
    body = json.dumps({"code": "1 #" + "x" * 100_000, "language": "python"})
    # when
    refused = await rest("POST", "executions", body)
    # then
    assert refused.code == 429
    assert "large requests" in json.loads(refused.body)["message"]
    # and when they have gone
    for _, writer in unfinished:
        writer.close()
    await asyncio.sleep(0.3)
    assert (await rest("POST", "executions", body)).code == 201


class ReadOnly(Authorizer):
    """Lets everybody look, and nobody change anything."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        """Whether it is a look."""
        return action == "read"


async def test_who_may_not_write_is_refused_before_the_body(
    exec_app: ExecApp, rest: Callable[..., Any]
) -> None:
    settings = exec_app.serverapp.web_app.settings
    before, settings["authorizer"] = settings["authorizer"], ReadOnly()
    try:
        reader, writer = await begin(exec_app, 5_000_000, b"{")
        assert b" 403 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
    finally:
        settings["authorizer"] = before


@pytest.mark.parametrize(("verb", "login"), [("OPTIONS", False), ("GET", True)])
async def test_bodies_of_verbs_that_have_none_take_nobodys_room(
    exec_app: ExecApp, rest: Callable[..., Any], verb: str, login: bool
) -> None:
    exec_app.max_body_bytes = 200_000
    exec_app.bodies.limit = 300_000
    unfinished = [await begin(exec_app, 190_000, b"x" * 189_999, verb, login) for _ in range(4)]
    await asyncio.sleep(0.3)

    response = await rest("POST", "executions", {"code": "1 #" + "x" * 150_000, "language": "python"})

    for _, writer in unfinished:
        writer.close()
    assert response.code == 201


async def test_a_body_that_was_read_is_not_held_while_the_request_waits(
    exec_app: ExecApp, rest: Callable[..., Any]
) -> None:
    exec_app.max_body_bytes = 200_000
    exec_app.bodies.limit = 300_000
    body = {"code": "import time; time.sleep(2) #" + "x" * 150_000, "language": "python"}
    waiting = []
    for number in range(1, 4):  # one after the other: on their way they do count
        waiting.append(asyncio.ensure_future(rest("POST", "executions", body, wait=10)))
        while len(json.loads((await rest("GET", "executions")).body)["executions"]) < number:
            pass

    assert (
        await rest("POST", "executions", {"code": "1 #" + "x" * 150_000, "language": "python"})
    ).code == 201
    assert [response.code for response in await asyncio.gather(*waiting)] == [201] * 3
