"""Whatever ends a server, no kernel of its own and no connection file is left. Real servers and kernels."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness.server import LiveServer

from jupyter_exec_ext.kernels.leftovers import MARK

Start = Callable[..., LiveServer]
PYTHON = "print('begun', flush=True)\nimport time; time.sleep(600)"
#: The child does not know of its parent's end, and is in a session of its own.
PARENT = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
{PYTHON}"""


@pytest.fixture
def with_faulty(live_server: Start, tmp_path: Path) -> Iterator[Start]:
    """The same as `live_server`, with the kernel ``faulty``, which does not learn that its server is gone."""
    folder = tmp_path / "server" / "data" / "kernels" / "faulty"
    folder.mkdir(parents=True)
    program = [sys.executable, str(Path(__file__).with_name("faulty_kernel.py"))]
    argv = ["env", "-u", "JPY_PARENT_PID", *program, "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Faulty", "language": "faults"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    yield live_server
    for process in left(tmp_path / "server"):
        process.kill()


def left(home: Path) -> list[psutil.Process]:
    """The processes that kernels of servers there are, or have started."""
    found = []
    for process in psutil.process_iter():
        try:
            environ = process.environ()
            if environ.get("TMPDIR") == str(home / "tmp") and MARK in environ:
                found.append(process)
        except psutil.Error:
            continue
    return found


def files(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "runtime").glob("kernel-*"))


def gone(home: Path, seconds: float) -> bool:
    """Whether nothing is left in that time."""
    until = time.monotonic() + seconds
    while (left(home) or files(home)) and time.monotonic() < until:
        time.sleep(0.1)
    return not left(home) and not files(home)


def begin(server: LiveServer, code: str, text: str, **where: Any) -> str:
    """Run that, and return the execution's identifier once the text is printed."""
    execution: str = server.call("POST", "executions", {"code": code, "timeout": 600, **where})["id"]
    until = time.monotonic() + 30
    while text not in (server.call("GET", f"executions/{execution}")["output"] or ""):
        assert time.monotonic() < until
        time.sleep(0.1)
    return execution


def begin_all(server: LiveServer) -> dict[str, str]:
    """Kernels of all sorts, in mid-run: what the executions have printed, by identifier."""
    session = server.call("POST", "sessions", {"environment": "kernel:python3"})["id"]
    return {
        begin(server, PYTHON, "begun", session=session): "begun\n",
        begin(server, PARENT, "begun", environment="kernel:python3"): "begun\n",
        begin(server, "hang", "hanging", environment="kernel:faulty"): "hanging\n",
    }


def guard_of(server: LiveServer) -> psutil.Process:
    """The process that waits for the end of that server."""
    children = psutil.Process(server.pid).children()
    (found,) = [child for child in children if "jupyter_exec_ext.kernels.guard" in child.cmdline()]
    return found


@pytest.mark.timeout(180)
def test_after_sigkill_no_kernel_and_no_connection_file_is_left(with_faulty: Start) -> None:
    # given: kernels in mid-run, also one that does not learn of it, and a child in a session of its own
    killed = with_faulty()
    printed = begin_all(killed)
    assert len(files(killed.home)) >= 3
    guard = guard_of(killed)
    # when
    killed.stop(signal.SIGKILL)
    # then: with no other server
    assert gone(killed.home, 5)
    assert not running(guard)
    following = with_faulty()
    for execution, output in printed.items():
        record = following.call("GET", f"executions/{execution}")
        assert (record["status"], record["output"]) == ("lost", output)


def running(process: psutil.Process, seconds: float = 5.0) -> bool:
    """Whether a process still runs after that time; one that nobody waits for has ended, too."""
    until = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.timeout(180)
def test_the_guard_costs_little_comes_back_and_ends_with_its_server(with_faulty: Start) -> None:
    server = with_faulty("--KernelPool.ready_per_environment=0")
    session = server.call("POST", "sessions", {"environment": "kernel:faulty"})
    first = guard_of(server)
    assert first.memory_info().rss < 4 * 2**20
    first.kill()
    server.call("POST", "sessions", {"environment": "kernel:faulty"})
    second = guard_of(server)
    assert second.pid != first.pid
    assert os.getsid(second.pid) == second.pid  # Ctrl-C does not reach it
    server.call("DELETE", f"sessions/{session['id']}")

    server.stop()

    assert not running(second)
    assert left(server.home) == []


@pytest.mark.timeout(180)
def test_after_sigkill_of_the_guard_too_the_next_server_leaves_nothing(with_faulty: Start) -> None:
    # given
    killed = with_faulty()
    printed = begin_all(killed)
    idle = killed.call("POST", "sessions", {"environment": "kernel:python3"})["kernel_id"]
    assert f"kernel-{idle}.json" in files(killed.home)
    assert len(files(killed.home)) == 4
    # when
    guard_of(killed).kill()
    killed.stop(signal.SIGKILL)
    time.sleep(2)
    assert left(killed.home), "the faulty kernel should have stayed"
    assert len(files(killed.home)) == 4
    following = with_faulty()
    # then
    assert gone(following.home, 5)
    assert [path.name for path in following.leases.iterdir() if (path / "kernels").exists()] == []
    for execution, output in printed.items():
        record = following.call("GET", f"executions/{execution}")
        assert (record["status"], record["output"]) == ("lost", output)


@pytest.mark.timeout(180)
def test_after_sigterm_no_kernel_and_no_connection_file_is_left(with_faulty: Start) -> None:
    # given: kernels that run something, and one that starts just now
    server = with_faulty()
    begin_all(server)
    server.call("POST", "executions", {"code": PYTHON, "environment": "kernel:python3"})
    time.sleep(0.3)
    # when
    server.stop()
    # then: also what a cell put into a session of its own
    assert left(server.home) == []
    assert files(server.home) == []
    assert list(server.leases.iterdir()) == []


@pytest.mark.timeout(180)
def test_what_a_cell_has_started_ends_with_its_kernel_and_nothing_else_does(with_faulty: Start) -> None:
    server = with_faulty("--KernelPool.ready_per_environment=0")
    code = PARENT.replace(PYTHON, "print('begun')")
    kept = server.call("POST", "sessions", {"environment": "kernel:python3"})["id"]
    begin(server, code, "begun", session=kept)
    (stays,) = [process for process in left(server.home) if "ipykernel" not in " ".join(process.cmdline())]
    # when: an execution with a kernel of its own, and then the session
    begin(server, code, "begun", environment="kernel:python3")
    until = time.monotonic() + 10
    while len(left(server.home)) > 2 and time.monotonic() < until:
        time.sleep(0.1)
    # then
    assert stays.is_running()
    assert len(left(server.home)) == 2
    server.call("DELETE", f"sessions/{kept}")
    assert gone(server.home, 5)


@pytest.mark.timeout(180)
def test_what_was_restarted_is_found_and_what_has_ended_is_forgotten(with_faulty: Start) -> None:
    # given
    server = with_faulty("--KernelPool.ready_per_environment=0")
    ended = server.call("POST", "sessions", {"environment": "kernel:faulty"})["id"]
    session = server.call("POST", "sessions", {"environment": "kernel:faulty"})
    # when
    server.call("DELETE", f"sessions/{ended}")
    server.call("POST", f"sessions/{session['id']}/restart")
    # then
    (lease,) = server.leases.iterdir()
    assert [path.name for path in (lease / "kernels").iterdir()] == [session["kernel_id"]]
    begin(server, "hang", "hanging", session=session["id"])
    server.stop(signal.SIGKILL)
    assert gone(with_faulty().home, 5)
