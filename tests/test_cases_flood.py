"""More of a server than it can hold: requests by the thousand, readers that do not read, a full disk."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from harness.server import LiveServer, needs_room, room
from harness.watch import MEBIBYTE, Sampler

pytestmark = needs_room


async def test_A18_of_a_thousand_submissions_at_once_what_is_accepted_ends_and_the_rest_is_429(
    start: Callable[..., LiveServer],
) -> None:
    # given
    server = start("--ExecutionManager.max_queued=200")
    meter = Sampler(server.url, server.token, server.pid, server.home / "samples")
    sessions = [server.call("POST", "sessions", {"environment": "local"})["id"] for _ in range(4)]
    holding = "import os, time\nwhile not os.path.exists('go'): time.sleep(.05)"
    bodies = [{"session": sessions[n % 4], "code": f"print({n})", "language": "python"} for n in range(1000)]
    for session in sessions:
        server.call("POST", "executions", {"session": session, "code": holding, "language": "python"})
    await meter.since(time.monotonic())
    began = time.monotonic()
    # when
    answers = await asyncio.gather(*(_post(server, "executions", body) for body in bodies))
    # then
    accepted = {answer["id"]: n for n, (status, answer) in enumerate(answers) if status == 201}
    assert {status for status, _ in answers} == {201, 429}
    assert len(accepted) == 200
    (server.root / "go").touch()
    await asyncio.to_thread(_all_ended, server, set(accepted))
    for identifier, number in accepted.items():
        record = server.call("GET", f"executions/{identifier}")
        assert (record["status"], record["output"]) == ("ok", f"{number}\n")
    readings = await meter.since(began)
    meter.stop()
    assert readings.slowest < 1.0, readings
    assert readings.grown < 64 * MEBIBYTE, readings


async def _post(server: LiveServer, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """A request on a connection of its own: clients with a pool would send one after the other."""
    content = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("localhost", _port(server))
    lines = (
        f"POST /api/exec/{path} HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        f"Authorization: token {server.token}",
        f"Content-Length: {len(content)}",
    )
    writer.write("\r\n".join([*lines, "", ""]).encode() + content)
    head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(answer)


def _port(server: LiveServer) -> int:
    return int(server.url.rsplit(":", 1)[1].strip("/"))


def _all_ended(server: LiveServer, identifiers: set[str]) -> None:
    """Wait until these have ended; the list tells, without their output."""
    until = time.monotonic() + 60
    while identifiers:
        assert time.monotonic() < until
        time.sleep(0.1)
        listed = server.call("GET", "executions?limit=1000")["executions"]
        identifiers = identifiers - {record["id"] for record in listed if record["finished_at"]}


async def test_A17_readers_that_stop_reading_cost_a_bounded_memory_and_nobody_else_anything(
    start: Callable[..., LiveServer],
) -> None:
    # given
    server = start("--ExecApp.stalled_reader_seconds=1")
    meter = Sampler(server.url, server.token, server.pid, server.home / "samples")
    code = (
        "import time\nfor n in range(7000):\n    print('x' * 1000, flush=True)\n    n % 70 or time.sleep(.02)"
    )
    running = server.call("POST", "executions", {"code": code, "language": "python"})
    path = f"executions/{running['id']}/events"
    await meter.since(time.monotonic())
    began = time.monotonic()
    # when: twenty readers read nothing
    readers = [_silent_reader(server, path) for _ in range(20)]
    await asyncio.to_thread(_all_ended, server, {running["id"]})
    await asyncio.sleep(2)
    # then
    readings = await meter.since(began)
    meter.stop()
    assert readings.slowest < 1.0
    assert readings.grown < 64 * MEBIBYTE, readings.grown / MEBIBYTE
    for reader in readers:
        received = _rest(reader)
        assert b"event: end\n" not in received
        reader.close()
    ended = server.call("GET", f"executions/{running['id']}")
    assert (ended["status"], len(ended["output"])) == ("ok", 7000 * 1001)
    # then: one that comes back gets what it has not seen
    numbers = [int(line[4:]) for line in received.split(b"\n") if line.startswith(b"id: ")]
    events = await asyncio.to_thread(_events, server, f"{path}?since={numbers[-2]}")
    assert [number for number, _ in events] == list(range(numbers[-2] + 1, ended["last_event"] + 1))
    assert events[-1][1] == "end"


async def test_A17_readers_of_many_long_records_that_stop_reading_cost_a_bounded_memory_and_are_cut_off(
    start: Callable[..., LiveServer],
) -> None:
    # given: records of 8 MB each
    server = start("--ExecApp.stalled_reader_seconds=6")
    session = server.call("POST", "sessions", {"environment": "local"})["id"]
    body = {"session": session, "code": "print('x' * 8_000_000)", "language": "python"}
    records = [
        server.call("POST", "executions?wait=60", {**body, "idempotency_key": f"{n}"})["id"]
        for n in range(20)
    ]
    small = server.call("POST", "executions?wait=60", {**body, "code": "print('small')"})["id"]
    meter = Sampler(server.url, server.token, server.pid, server.home / "samples")
    await meter.since(time.monotonic())
    began = time.monotonic()
    # when: twenty readers read nothing
    readers = [_silent_reader(server, f"executions/{record}") for record in records]
    await asyncio.sleep(3)
    # then: a short record waits for nobody
    before = time.monotonic()
    assert len((await asyncio.to_thread(server.call, "GET", f"executions/{small}"))["output"]) == 6
    assert time.monotonic() - before < 1
    await asyncio.sleep(15)
    readings = await meter.since(began)
    meter.stop()
    for reader in readers:
        assert len(_rest(reader)) < 16_000_000
        reader.close()
    assert readings.slowest < 1.0
    assert readings.grown < 64 * MEBIBYTE, readings.grown / MEBIBYTE
    # then: and a long one can be read again
    assert len(server.call("GET", f"executions/{records[0]}")["output"]) == 8_000_001


def _silent_reader(server: LiveServer, path: str) -> socket.socket:
    connection = socket.create_connection(("localhost", _port(server)), timeout=20)
    lines = (
        f"GET /api/exec/{path} HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        f"Authorization: token {server.token}",
    )
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def _rest(connection: socket.socket) -> bytes:
    pieces = []
    try:
        while piece := connection.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pass  # what was on its way when it was cut off is lost
    return b"".join(pieces)


def _events(server: LiveServer, path: str) -> list[tuple[int, str]]:
    headers = {"Authorization": f"token {server.token}"}
    answer = httpx.get(f"{server.url}api/exec/{path}", headers=headers, timeout=60, trust_env=False)
    blocks = [
        dict(line.split(b": ", 1) for line in block.split(b"\n"))
        for block in answer.content.split(b"\n\n")[:-1]
    ]
    assert all(json.loads(block[b"data"]) for block in blocks)
    return [(int(block[b"id"]), block[b"event"].decode()) for block in blocks]


def test_F13_an_upload_that_finds_no_room_is_507_and_leaves_nothing(tmp_path: Path) -> None:
    server = LiveServer(tmp_path, prefix=room(tmp_path, seconds=120))
    try:
        session = server.call("POST", "sessions", {"environment": "local", "path": "small"})["id"]
        address, headers = (
            f"{server.url}api/exec/sessions/{session}/files",
            {"Authorization": f"token {server.token}"},
        )
        answer = httpx.put(f"{address}/large", content=b"x" * 1_000_000, headers=headers)
        assert answer.status_code == 507
        assert (answer.json()["reason"], answer.json()["field"]) == ("no_space", "path")
        assert httpx.get(address, headers=headers).json()["files"] == []
    finally:
        server.stop()
