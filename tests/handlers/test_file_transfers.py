"""Files that come or go slowly, break off or are too large: nothing half is left, nobody is held up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tornado.simple_httpclient import HTTPStreamClosedError

from jupyter_exec_ext.app import ExecApp


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
