"""How the tests run something long, follow its events and wait for its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from answers import read

from jupyter_exec_ext.app import ExecApp

SLEEP = {"code": "import time\nprint('begun', flush=True)\ntime.sleep(60)", "language": "python"}


def parse(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    """The events of a stream: number, type, data."""
    events = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            events.append((int(lines["id"]), lines["event"], json.loads(lines["data"])))
    return events


class Reader:
    """A client of an event stream that reads only when it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def until(self, mark: bytes, seconds: float = 10) -> bytes:
        """Everything up to a mark."""
        return await asyncio.wait_for(self._reader.readuntil(mark), seconds)

    async def rest(self, seconds: float = 10) -> bytes:
        """Everything up to the end of the connection."""
        pieces = bytearray()
        with contextlib.suppress(ConnectionError):
            while piece := await asyncio.wait_for(self._reader.read(65536), seconds):
                pieces += piece
        return bytes(pieces)

    def leave(self) -> None:
        """Close the connection."""
        self._writer.close()


@contextlib.asynccontextmanager
async def following(exec_app: ExecApp, path: str, *headers: str) -> AsyncIterator[Reader]:
    """Open an event stream by hand, without a client library that would read ahead."""
    server = exec_app.serverapp
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**20)
    lines = [
        f"GET {server.base_url}api/exec/{path} HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        f"Authorization: token {server.identity_provider.token}",
        *headers,
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        yield Reader(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def until_ended(rest: Callable[..., Any], execution_id: str) -> Any:
    """Wait for an execution's end and return it."""
    for _ in range(400):
        execution = read(await rest("GET", f"executions/{execution_id}"))
        if execution["finished_at"]:
            return execution
        await asyncio.sleep(0.05)
    raise AssertionError(f"it has not ended: {execution}")
