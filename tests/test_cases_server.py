"""A server that is killed or stopped in mid-run loses no more than it must and leaves nothing alive."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from harness.server import LINGER, LiveServer, needs_room

pytestmark = needs_room

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
    begun = server.call("POST", "executions", {"code": code, "language": "python", "timeout": 60})
    until = time.monotonic() + 10
    while (begun["output"] or "").count("\n") <= 100:
        assert time.monotonic() < until
        assert not begun["finished_at"]
        time.sleep(0.05)
        begun = server.call("GET", f"executions/{begun['id']}")
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
    server = start(*options)
    for _ in range(3):  # each time it is the server that found what the one before it had left
        # given
        identifier = run_clock(server)
        # when
        killed = time.time()
        left = leave(server, signal.SIGKILL)
        # then
        assert left == []
        server.process.kill()
        server = start(*options)
        record, last = record_of(server, identifier)
        lost.append(killed - last)
        assert record["status"] == "lost"
        assert record["verdict"]["cause"]
        assert [path.name for path in server.leases.iterdir()] == [
            path.name for path in server.leases.iterdir() if (path / "lock").exists()
        ]
        assert len(list(server.leases.iterdir())) == 1
        assert server.call("POST", "executions?wait=20", {"code": "print(1)"})["output"] == "1\n"
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
