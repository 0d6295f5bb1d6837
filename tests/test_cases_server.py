"""Faults of the server's own side: killed or stopped in mid-run, flooded with requests, not read from."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from harness.server import LiveServer, needs_room, room
from harness.watch import MEBIBYTE, Sampler

pytestmark = needs_room

#: A room stays for so long after its server's end, so that what is left of it can be seen.
LINGER = 20.0

NO_NAMESPACE = '--ExecApp.executor_settings={"namespace": False}'

# Prints what time it is every 2 ms, and has children that want to live.
CLOCK = """
import os, signal, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 100)
        os.execve("/bin/sleep", ["sleep", "600"], {})
    os._exit(0)
if os.fork() == 0:
    os.setsid()
    os.closerange(0, 100)
    while True:
        if os.fork():
            os._exit(0)
while True:
    print(f"{time.time():.6f}", flush=True)
    time.sleep(0.002)
"""

# Has all that it can open of whoever started it, so that nothing of that ends with the server alone.
HOLDER = (
    """
import os
held = []
for number in {1, os.getppid()}:
    for name in os.listdir(f"/proc/{number}/fd"):
        for how in (os.O_RDONLY, os.O_WRONLY):
            try:
                held.append(os.open(f"/proc/{number}/fd/{name}", how | os.O_NONBLOCK))
            except OSError:
                pass
"""
    + CLOCK
)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., LiveServer]]:
    """Start servers in rooms, one after the other in the same place."""
    servers: list[LiveServer] = []

    def start_one(*options: str) -> LiveServer:
        home = tmp_path / "server"
        prefix = room(home, seconds=120, linger=LINGER)
        servers.append(LiveServer(home, *options, prefix=prefix))
        return servers[-1]

    yield start_one
    for server in servers:
        server.process.kill()
        server.process.wait()


def leave(server: LiveServer, how: signal.Signals) -> list[psutil.Process]:
    """Send the server a signal, and return what is still alive of it and of its runs after 5 s."""
    top = psutil.Process(server.process.pid)
    (shell,) = top.children()
    psutil.Process(server.pid).send_signal(how)
    until = time.monotonic() + 5
    while left := [process for process in shell.children(recursive=True) if not _lingers(process)]:
        if time.monotonic() > until:
            break
        time.sleep(0.02)
    return left


def _lingers(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE or process.cmdline() == ["sleep", str(LINGER)]
    except psutil.NoSuchProcess:
        return True


def run_clock(server: LiveServer, code: str = CLOCK) -> str:
    """Start the clock; its execution's id, once it goes."""
    begun = server.call("POST", "executions?wait=1.5", {"code": code, "language": "python", "timeout": 60})
    assert begun["status"] == "running"
    assert begun["output"].count("\n") > 10
    return str(begun["id"])


def record_of(server: LiveServer, identifier: str) -> tuple[dict[str, Any], float]:
    """The record of a clock, and the last time it told."""
    record = server.call("GET", f"executions/{identifier}")
    return record, float(record["output"].rstrip("\n").rsplit("\n", 1)[-1] or 0)


@pytest.mark.parametrize("options", [(), (NO_NAMESPACE,)], ids=["namespace", "subreaper"])
def test_A20_a_killed_server_loses_at_most_50_ms_of_output_and_leaves_nothing_alive(
    start: Callable[..., LiveServer], options: tuple[str, ...]
) -> None:
    lost = []
    for _ in range(3):
        # given
        server = start(*options)
        identifier = run_clock(server)
        # when
        killed = time.time()
        left = leave(server, signal.SIGKILL)
        # then
        assert left == []
        server.process.kill()
        again = start(*options)
        record, last = record_of(again, identifier)
        lost.append(killed - last)
        assert record["status"] == "lost"
        assert record["verdict"]["cause"]
        assert [path.name for path in again.leases.iterdir()] == [
            path.name for path in again.leases.iterdir() if (path / "lock").exists()
        ]
        assert len(list(again.leases.iterdir())) == 1
        assert again.call("POST", "executions?wait=20", {"code": "print(1)"})["output"] == "1\n"
        again.process.kill()
    # A machine with more to do than it can may be late once; the rule is a matter of milliseconds.
    assert sorted(lost)[1] < 0.05, lost


@pytest.mark.parametrize("lines", [10**9, 10**4], ids=["goes on", "is followed by another block"])
def test_A20_of_a_flood_that_its_server_did_not_outlive_the_record_says_that_it_is_not_whole(
    start: Callable[..., LiveServer], lines: int
) -> None:
    # given
    server = start()
    code = [f"for n in range({lines}): print('x' * 1000)", "import time; time.sleep(60)"]
    body = {"code_blocks": [{"code": text, "language": "python"} for text in code]}
    identifier = server.call("POST", "executions", body)["id"]
    # when
    until = time.monotonic() + 20
    while not server.call("GET", "executions")["executions"][0]["truncated"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(0.1)
    assert leave(server, signal.SIGKILL) == []
    server.process.kill()
    # then
    record = start().call("GET", f"executions/{identifier}")
    assert (record["status"], record["truncated"]) == ("lost", True)
    assert record["verdict"]["limits_hit"] == ["output"]


@pytest.mark.parametrize("options", [(), (NO_NAMESPACE,)], ids=["namespace", "subreaper"])
def test_A20_a_program_that_holds_its_supervisors_descriptors_dies_with_the_server(
    start: Callable[..., LiveServer], options: tuple[str, ...]
) -> None:
    server = start(*options)
    run_clock(server, HOLDER)

    assert leave(server, signal.SIGKILL) == []


@pytest.mark.parametrize("options", [(), (NO_NAMESPACE,)], ids=["namespace", "subreaper"])
def test_A19_a_stopped_server_keeps_all_output_and_leaves_nothing_alive(
    start: Callable[..., LiveServer], options: tuple[str, ...]
) -> None:
    # given
    server = start(*options)
    identifier = run_clock(server)
    # when
    stopped = time.time()
    left = leave(server, signal.SIGTERM)
    # then
    assert left == []
    assert "Traceback" not in server.log.read_text()
    assert list(server.leases.iterdir()) == []
    server.process.kill()
    record, last = record_of(start(*options), identifier)
    assert last > stopped - 0.05
    assert record["status"] == "lost"
    assert "stopped" in record["verdict"]["cause"]


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


def _silent_reader(server: LiveServer, path: str) -> socket.socket:
    connection = socket.create_connection(("localhost", _port(server)), timeout=20)
    lines = (f"GET /api/exec/{path} HTTP/1.1", "Host: localhost", f"Authorization: token {server.token}")
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
