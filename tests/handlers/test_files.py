"""Files of a session over HTTP: bytes in, bytes out, streamed, and harmless in a browser."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from answers import told
from tornado.httpclient import AsyncHTTPClient

from jupyter_exec_ext.app import ExecApp


def memory() -> int:
    """What this process holds, in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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


async def test_a_file_whose_name_is_not_utf8_is_listed_and_reached_by_its_bytes(
    exec_app: ExecApp,
    http_server_client: Any,
    jp_auth_header: dict[str, str],
    rest: Callable[..., Any],
    session: str,
    jp_root_dir: Path,
) -> None:
    # given
    folder = jp_root_dir / "work" / os.fsdecode(b"dir \xe4")
    folder.mkdir()
    (folder / os.fsdecode(b"\xff.txt")).write_bytes(b"there")

    async def ask(verb: str, encoded: str, body: bytes | None = None) -> Any:
        url = f"/a%40b/api/exec/sessions/{session}/files/{encoded}"
        return await http_server_client.fetch(
            url, method=verb, body=body, headers=jp_auth_header, raise_error=False
        )

    # when
    listed = json.loads((await rest("GET", f"sessions/{session}/files")).body)["files"]
    # then
    assert [(file["path"], file["encoded"], file["type"]) for file in listed] == [
        ("dir \ufffd", "dir%20%E4", "directory"),
        ("dir \ufffd/\ufffd.txt", "dir%20%E4/%FF.txt", "file"),
    ]
    got = await ask("GET", listed[1]["encoded"])
    assert (got.code, got.body) == (200, b"there")
    assert got.headers["Content-Disposition"] == "attachment; filename*=utf-8''%EF%BF%BD.txt"
    assert (await ask("PUT", "dir%20%E4/%FE", b"new")).code == 204
    assert (folder / os.fsdecode(b"\xfe")).read_bytes() == b"new"
    assert (await ask("DELETE", listed[1]["encoded"])).code == 204
    assert os.listdir(os.fsencode(folder)) == [b"\xfe"]
    # and what is not there, or in the way, is an answer as ever
    assert told(await ask("GET", "%FF%00")) == (400, "invalid", "path")
    assert told(await ask("GET", listed[1]["encoded"])) == (404, "not_found", "path")
    assert told(await ask("DELETE", listed[0]["encoded"])) == (409, "conflict", "path")
    assert told(await ask("GET", "%FF" * 300)) == (400, "invalid", "path")


async def test_what_is_in_the_way_of_a_file_is_a_conflict_that_names_it(
    rest: Callable[..., Any], session: str, jp_root_dir: Path
) -> None:
    # given
    (jp_root_dir / "work/folder").mkdir()
    (jp_root_dir / "work/folder/file").write_text("kept")
    for verb, path, obstacle in (
        ("PUT", "folder/file/below", "'folder/file' is not a directory"),
        ("PUT", "folder", "'folder' is a directory"),
        ("DELETE", "folder", "'folder' is not empty"),
    ):
        # when
        response = await rest(verb, f"sessions/{session}/files/{path}", b"new" if verb == "PUT" else None)
        # then
        assert told(response) == (409, "conflict", "path")
        assert obstacle in json.loads(response.body)["message"]
    assert (jp_root_dir / "work/folder/file").read_text() == "kept"


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
