"""Files of a session over HTTP: bytes in, bytes out, streamed, and harmless in a browser."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
from tornado.httpclient import AsyncHTTPClient
from tornado.simple_httpclient import HTTPStreamClosedError

from jupyter_exec_ext.app import ExecApp


@pytest.fixture
def session(rest: Callable[..., Any], jp_asyncio_loop: Any, jp_root_dir: Path) -> str:
    """A session whose workspace is the folder `work`."""
    (jp_root_dir / "work").mkdir()
    body = {"environment": "local", "path": "work"}
    response = jp_asyncio_loop.run_until_complete(rest("POST", "sessions", body))
    return str(json.loads(response.body)["id"])


def memory() -> int:
    """What this process holds, in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def begun(folder: Path) -> list[str]:
    """The files that are being written there: under a name of their own, or open and under none."""
    opened = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{process.pid}/fd"):
                with contextlib.suppress(OSError):  # it is closed by now
                    opened.add(os.readlink(f"/proc/{process.pid}/fd/{descriptor}"))
    nameless = [path for path in opened if path.startswith(f"{folder}/#") and path.endswith(" (deleted)")]
    return nameless + [path.name for path in folder.glob(".exec-*.part")]


async def test_what_is_put_can_be_listed_read_and_deleted(
    rest: Callable[..., Any], session: str, jp_root_dir: Path
) -> None:
    # given
    path, content = f"sessions/{session}/files/data/täble 1.bin", bytes(range(256)) * 1000
    # when
    put = await rest("PUT", path, content)
    listed = json.loads((await rest("GET", f"sessions/{session}/files")).body)["files"]
    read = await rest("GET", path)
    # then
    assert put.code == 204
    assert (jp_root_dir / "work/data/täble 1.bin").read_bytes() == content
    (entry,) = [one for one in listed if one["type"] == "file"]
    assert set(entry) == {"path", "type", "size", "modified"}
    assert (entry["path"], entry["size"]) == ("data/täble 1.bin", len(content))
    assert (
        abs(dt.datetime.fromisoformat(entry["modified"].replace("Z", "+00:00")).timestamp() - time.time())
        < 60
    )
    assert read.body == content
    # when
    deleted = await rest("DELETE", path)
    # then
    assert deleted.code == 204
    assert (await rest("GET", path)).code == 404
    assert (await rest("DELETE", path)).code == 404


async def test_a_file_is_an_attachment_that_no_browser_runs(
    rest: Callable[..., Any], session: str, jp_root_dir: Path
) -> None:
    # given
    (jp_root_dir / "work/<b>.html").write_text("<script>alert(1)</script>")
    # when
    response = await rest("GET", f"sessions/{session}/files/<b>.html")
    # then
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"] == "attachment; filename*=utf-8''%3Cb%3E.html"
    assert "sandbox" in response.headers["Content-Security-Policy"].split("; ")
    assert response.headers["Cache-Control"] == "no-store"


async def test_an_empty_file_goes_both_ways(
    rest: Callable[..., Any], session: str, jp_root_dir: Path
) -> None:
    assert (await rest("PUT", f"sessions/{session}/files/empty", b"")).code == 204
    assert (jp_root_dir / "work/empty").read_bytes() == b""
    response = await rest("GET", f"sessions/{session}/files/empty")
    assert (response.code, response.body) == (200, b"")


@pytest.mark.parametrize(
    "path", ["../secret", "a/../../secret", "/etc/passwd", "link", "link/passwd", "x\0y", "n" * 300]
)
async def test_no_path_leads_out_of_the_workspace(
    exec_app: ExecApp,
    http_server_client: Any,
    jp_auth_header: dict[str, str],
    session: str,
    jp_root_dir: Path,
    path: str,
) -> None:
    # given
    (jp_root_dir / "secret").write_text("secret")
    (jp_root_dir / "work/link").symlink_to("/etc")
    for verb, body in (("GET", None), ("PUT", b"overwritten"), ("DELETE", None)):
        # when
        response = await http_server_client.fetch(
            f"/a%40b/api/exec/sessions/{session}/files/{quote(path, safe='')}",
            method=verb,
            body=body,
            headers=jp_auth_header,
            raise_error=False,
        )
        # then
        assert response.code in (400, 403, 404) or (verb, path) == ("DELETE", "link"), (verb, response.code)
        assert b"secret" not in response.body.replace(b"../secret", b"")
    assert (jp_root_dir / "secret").read_text() == "secret"


async def test_a_large_file_streams_both_ways(
    rest: Callable[..., Any], exec_app: ExecApp, session: str, jp_root_dir: Path
) -> None:
    # given
    server = exec_app.serverapp
    url = f"http://127.0.0.1:{server.port}{server.base_url}api/exec/sessions/{session}/files/big"
    headers = {"Authorization": f"token {server.identity_provider.token}"}
    size, received, peak = 200 * 2**20, 0, 0
    before = memory()

    async def send(write: Callable[[bytes], Any]) -> None:
        nonlocal peak
        for _ in range(size // 2**20):
            await write(b"x" * 2**20)
            peak = max(peak, memory())

    def receive(piece: bytes) -> None:
        nonlocal received, peak
        received += len(piece)
        peak = max(peak, memory())

    client = AsyncHTTPClient(force_instance=True)
    client.max_body_size = 2 * size  # type: ignore[attr-defined]
    # when
    put = await client.fetch(url, method="PUT", body_producer=send, headers=headers, request_timeout=60)
    get = await client.fetch(url, streaming_callback=receive, headers=headers, request_timeout=60)
    client.close()
    # then
    assert (put.code, get.code) == (204, 200)
    assert (jp_root_dir / "work/big").stat().st_size == received == size
    assert peak - before < 64 * 2**20


async def test_a_file_over_the_limit_is_413_and_leaves_nothing(
    rest: Callable[..., Any], exec_app: ExecApp, session: str, jp_root_dir: Path
) -> None:
    # given
    exec_app.max_file_bytes = 1000
    # when
    fits = await rest("PUT", f"sessions/{session}/files/fits", b"x" * 1000)
    over = await rest("PUT", f"sessions/{session}/files/over", b"x" * 1001)
    # then
    assert fits.code == 204
    assert over.code == 413
    await asyncio.sleep(0.3)  # what was begun is removed on the other side of a pipe
    assert [path.name for path in (jp_root_dir / "work").iterdir()] == ["fits"]
    assert begun(jp_root_dir / "work") == []


async def test_an_upload_that_breaks_off_leaves_the_old_file(
    rest: Callable[..., Any], exec_app: ExecApp, session: str, jp_root_dir: Path
) -> None:
    # given
    server = exec_app.serverapp
    (jp_root_dir / "work/file").write_text("old")
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        f"PUT {server.base_url}api/exec/sessions/{session}/files/file HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: token {server.identity_provider.token}\r\nContent-Length: 1000\r\n\r\n".encode()
    )
    writer.write(b"new")
    await writer.drain()
    await asyncio.sleep(0.3)
    assert len(begun(jp_root_dir / "work")) == 1
    # when
    writer.close()
    await asyncio.sleep(0.5)
    # then
    assert begun(jp_root_dir / "work") == []
    assert (jp_root_dir / "work/file").read_text() == "old"
    assert [path.name for path in (jp_root_dir / "work").iterdir()] == ["file"]


async def test_nothing_is_written_without_the_right_to(
    exec_app: ExecApp, session: str, jp_root_dir: Path
) -> None:
    # given: a body that has begun to arrive
    server = exec_app.serverapp
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    # when
    writer.write(
        f"PUT {server.base_url}api/exec/sessions/{session}/files/file HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Authorization: token wrong\r\nContent-Length: 1000\r\n\r\nnew".encode()
    )
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    # then
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert list((jp_root_dir / "work").iterdir()) == []


async def test_a_reader_that_stops_reading_is_disconnected(
    rest: Callable[..., Any], exec_app: ExecApp, session: str, jp_root_dir: Path
) -> None:
    # given
    exec_app.stalled_reader_seconds = 0.3
    (jp_root_dir / "work/big").write_bytes(b"x" * 50_000_000)
    server = exec_app.serverapp
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        f"GET {server.base_url}api/exec/sessions/{session}/files/big HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: token {server.identity_provider.token}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    # when: it reads nothing for a while
    await asyncio.sleep(1.5)
    received = 0
    try:
        while piece := await asyncio.wait_for(reader.read(2**20), 10):
            received += len(piece)
    except ConnectionError:
        pass
    writer.close()
    # then
    assert received < 50_000_000


async def test_an_upload_that_stalls_is_disconnected_and_leaves_nothing(
    exec_app: ExecApp, session: str, jp_root_dir: Path
) -> None:
    exec_app.stalled_reader_seconds = 0.5
    server = exec_app.serverapp
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        f"PUT {server.base_url}api/exec/sessions/{session}/files/file HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: token {server.identity_provider.token}\r\nContent-Length: 1000\r\n\r\n".encode()
    )
    for _ in range(4):  # slow, and yet a piece each time
        writer.write(b"new")
        await asyncio.sleep(0.3)
    assert len(begun(jp_root_dir / "work")) == 1
    # when: nothing comes any more
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    # then
    await asyncio.sleep(0.2)
    assert begun(jp_root_dir / "work") == []
    assert list((jp_root_dir / "work").iterdir()) == []


async def test_an_upload_over_the_limit_that_comes_slowly_is_refused_in_words(
    exec_app: ExecApp, session: str, jp_root_dir: Path
) -> None:
    exec_app.stalled_reader_seconds, exec_app.max_file_bytes = 0.5, 10
    server = exec_app.serverapp
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        f"PUT {server.base_url}api/exec/sessions/{session}/files/file HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: token {server.identity_provider.token}\r\nContent-Length: 24\r\n\r\n".encode()
    )
    for _ in range(8):
        writer.write(b"new")
        await asyncio.sleep(0.2)
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
    writer.close()
    assert b" 413 " in answer
    assert list((jp_root_dir / "work").iterdir()) == []


async def test_what_fails_in_the_middle_of_an_answer_cuts_the_connection(
    rest: Callable[..., Any], session: str, jp_root_dir: Path
) -> None:
    # given: a file that is read while its session ends
    (jp_root_dir / "work/big").write_bytes(b"x" * 50_000_000)
    reading = asyncio.ensure_future(rest("GET", f"sessions/{session}/files/big"))
    await asyncio.sleep(0.05)
    # when
    await rest("DELETE", f"sessions/{session}")
    # then: nobody takes a part for the whole
    (response,) = await asyncio.gather(reading, return_exceptions=True)
    cut = isinstance(response, HTTPStreamClosedError)
    assert cut or response.code == 404 or len(response.body) == 50_000_000


@pytest.mark.parametrize("pieces", [0, 1, 2, 3, 10])
async def test_a_download_that_is_broken_off_or_stalls_holds_up_no_block(
    rest: Callable[..., Any], exec_app: ExecApp, session: str, jp_root_dir: Path, pieces: int
) -> None:
    # given
    with (jp_root_dir / "work/big").open("wb") as file:
        file.truncate(1 << 30)
    server = exec_app.serverapp
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=65536)
    writer.write(
        f"GET {server.base_url}api/exec/sessions/{session}/files/big HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: token {server.identity_provider.token}\r\n\r\n".encode()
    )
    for _ in range(pieces):
        await reader.read(65536)
    body = {"session": session, "code": "echo hi", "language": "bash", "timeout": 3}
    # when
    stalled = json.loads((await rest("POST", "executions", body, wait=8)).body)
    writer.close()
    after = json.loads((await rest("POST", "executions", body, wait=8)).body)
    # then
    assert (stalled["status"], stalled["output"]) == ("ok", "hi\n")
    assert (after["status"], after["output"]) == ("ok", "hi\n")
