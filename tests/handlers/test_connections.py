"""A connection lives on after a refusal, or the answer says that it does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from jupyter_exec_ext.app import ExecApp

BODY = json.dumps({"code": "pass", "language": "python", "environment": "venv:nowhere"}).encode()

#: Verb, path and status: all are refused before the body is read.
EARLY = [
    ("POST", "executions?foo=1", 400),
    ("GET", "executions?foo=1", 400),
    ("PUT", "executions", 405),
    ("PATCH", "environments/local", 405),
    ("POST", "nonsense", 404),
    ("PUT", "sessions/abc/files/x", 404),
]


class Wire:
    """One connection, seen from below."""

    def __init__(self, app: ExecApp, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._app, self._reader, self.writer = app, reader, writer

    def send(self, verb: str, path: str, body: bytes = b"", **headers: str) -> None:
        """Send a request."""
        server = self._app.serverapp
        lines = {
            "Host": f"127.0.0.1:{server.port}",
            "Authorization": f"token {server.identity_provider.token}",
            "Content-Length": str(len(body)),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        start = f"{verb} {server.base_url}api/exec/{path} HTTP/1.1\r\n"
        self.writer.write(f"{start}{text}\r\n".encode() + body)

    async def answer(self) -> tuple[int, dict[str, str]]:
        """The next answer's status and headers; its body is read and dropped."""
        head = (await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 5)).decode().lower()
        status, *lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        await self._reader.readexactly(int(headers.get("content-length", 0)))
        return int(status.split()[1]), headers

    async def ended(self) -> bool:
        """Whether the server closes the connection within a moment."""
        try:
            return await asyncio.wait_for(self._reader.read(1), 0.3) == b""
        except asyncio.TimeoutError:
            return False


@asynccontextmanager
async def connected(app: ExecApp) -> AsyncIterator[Wire]:
    """A connection to the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", app.serverapp.port)
    yield Wire(app, reader, writer)
    writer.close()


async def test_a_refusal_before_the_body_costs_no_later_request_of_the_connection(
    exec_app: ExecApp, http_server: object
) -> None:
    # given one connection that is kept alive
    server, used = exec_app.serverapp, set()
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{server.port}{server.base_url}api/exec/",
        headers={"Authorization": f"token {server.identity_provider.token}"},
        limits=httpx.Limits(max_connections=1),
        trust_env=False,
    ) as client:
        for verb, path, status in EARLY * 10:
            # when
            refused = await client.request(verb, path, content=BODY)
            valid = await client.post("executions", content=BODY)
            # then
            assert (refused.status_code, valid.status_code) == (status, 422), f"{verb} {path}"
            used |= {_address(refused), _address(valid)}
    assert len(used) == 1


def _address(response: httpx.Response) -> object:
    """The client's end of the connection that brought this answer."""
    return response.extensions["network_stream"].get_extra_info("client_addr")


@pytest.mark.parametrize(("verb", "path", "status"), EARLY)
async def test_a_small_body_is_taken_before_the_refusal_and_the_connection_lives(
    exec_app: ExecApp, http_server: object, verb: str, path: str, status: int
) -> None:
    async with connected(exec_app) as wire:
        # when
        wire.send(verb, path, BODY)
        # then
        answered, said = await wire.answer()
        assert (answered, said.get("connection")) == (status, None)
        wire.send("GET", "environments")
        assert (await wire.answer())[0] == 200


@pytest.mark.parametrize(
    ("verb", "path", "headers", "status"),
    [
        ("POST", "executions?foo=1", {"Content_Length": str(1 << 20)}, 400),
        ("POST", "executions?foo=1", {"Content_Length": "", "Transfer_Encoding": "chunked"}, 400),
        ("PUT", "sessions/abc/files/x", {"Content_Length": str(1 << 20)}, 404),
        ("POST", "executions", {"Content_Length": str(1 << 40)}, 413),
        ("POST", "executions", {"Content_Length": str(1 << 30), "Expect": "100-continue"}, 413),
        ("POST", "executions", {"Content_Length": "1000", "Authorization": ""}, 403),
        ("FETCH", "executions", {}, 405),
    ],
)
async def test_an_answer_before_the_body_says_that_the_connection_closes(
    exec_app: ExecApp, http_server: object, verb: str, path: str, headers: dict[str, str], status: int
) -> None:
    async with connected(exec_app) as wire:
        # when: of the body nothing comes
        wire.send(verb, path, **headers)
        # then
        answered, said = await wire.answer()
        assert (answered, said.get("connection")) == (status, "close")
        assert await wire.ended()


async def test_somebody_without_a_login_who_sends_no_body_keeps_the_connection(
    exec_app: ExecApp, http_server: object
) -> None:
    async with connected(exec_app) as wire:
        wire.send("GET", "environments", Authorization="")
        answered, said = await wire.answer()
        assert (answered, said.get("connection")) == (403, None)
        wire.send("GET", "environments")
        assert (await wire.answer())[0] == 200


@pytest.mark.parametrize("length", ["x", "-1", "9" * 5000])
async def test_a_length_that_is_none_is_no_failure_of_the_server(
    exec_app: ExecApp, http_server: object, length: str
) -> None:
    async with connected(exec_app) as wire:
        wire.send("POST", "executions", Content_Length=length)
        assert (await wire.answer())[0] in (400, 413)
        assert await wire.ended()
