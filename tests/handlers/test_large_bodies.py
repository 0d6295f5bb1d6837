"""Bodies that are too large are refused before they are in memory, or sent at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from answers import told
from tornado.httpclient import AsyncHTTPClient

from jupyter_exec_ext.app import ExecApp

CODE = {"code": "print(1)", "language": "python"}


def _memory() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


async def test_a_body_over_the_limit_is_413(rest: Callable[..., Any], exec_app: ExecApp) -> None:
    # given
    exec_app.max_body_bytes = 1024
    # when
    fits = await rest("POST", "executions", json.dumps(CODE).ljust(1024), wait=10)
    over = await rest("POST", "executions", json.dumps(CODE).ljust(1025))
    # then
    assert fits.code == 201
    assert told(over)[:2] == (413, "too_large")
    assert "1024 bytes" in json.loads(over.body)["message"]


async def test_100_megabytes_are_refused_before_they_are_in_memory(
    rest: Callable[..., Any], exec_app: ExecApp
) -> None:
    # given
    piece, sent = b"x" * 65536, 0
    before = peak = _memory()

    async def body(write: Callable[[bytes], Any]) -> None:
        nonlocal peak, sent
        for _ in range(100 * 16):
            await write(piece)
            sent += len(piece)
            peak = max(peak, _memory())

    # when: in chunks, so that no Content-Length tells
    response = await _send(rest, exec_app, body)
    # then
    assert told(response)[:2] == (413, "too_large")
    assert sent == 100 * 2**20
    assert peak - before < 64 * 2**20


async def _send(rest: Callable[..., Any], exec_app: ExecApp, producer: Any) -> Any:
    server = exec_app.serverapp
    client = AsyncHTTPClient(force_instance=True)
    try:
        return await client.fetch(
            f"http://127.0.0.1:{server.port}{server.base_url}api/exec/executions",
            method="POST",
            body_producer=producer,
            headers={"Authorization": f"token {server.identity_provider.token}"},
            raise_error=False,
        )
    finally:
        client.close()


async def test_a_client_that_asks_first_is_told_before_it_sends(
    rest: Callable[..., Any], exec_app: ExecApp
) -> None:
    # given
    server = exec_app.serverapp
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    # when
    writer.write(
        f"POST {server.base_url}api/exec/executions HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: token {server.identity_provider.token}\r\n"
        "Content-Length: 104857600\r\nExpect: 100-continue\r\n\r\n".encode()
    )
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    # then
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"reason": "too_large"' in answer


async def test_somebody_without_a_login_sends_no_body(rest: Callable[..., Any], exec_app: ExecApp) -> None:
    # given
    server = exec_app.serverapp
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    # when: the body never comes
    writer.write(
        f"POST {server.base_url}api/exec/executions HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        "Content-Length: 1000\r\n\r\n".encode()
    )
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    # then
    assert answer.startswith(b"HTTP/1.1 403 ")
