"""Blocks one right after the other: the next one's process is made while one runs; no run is the worse."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_exec_ext.supervisor.frames import control

from .session import Session, alive, until

MARK = "standby-3907"
LINUX = sys.platform.startswith("linux")


@pytest.fixture(params=[False, True], ids=["subreaper", "namespace"])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    """A session in both containments."""
    with Session(tmp_path, variables={"MARK": MARK}, namespace=request.param, burst=60.0) as session:
        session.run("print('warm')")
        yield session


#: Python that has the pids of all who wait for a block, as seen from a block.
OTHERS = f"""
import os, time
time.sleep(0.05)
others = []
for name in os.listdir("/proc"):
    if name.isdigit() and int(name) not in (1, os.getpid(), os.getppid()):
        try:
            marked = {MARK!r} in open(f"/proc/{{name}}/environ").read()
            python = os.path.basename(os.readlink(f"/proc/{{name}}/exe")).startswith("python")
        except OSError:
            continue
        if marked and python:
            others.append(int(name))
print(len(others))
"""


@pytest.mark.skipif(not LINUX, reason="only Linux can tell that nobody else is left")
def test_in_a_burst_the_next_process_waits_while_a_block_runs_and_a_run_ends_all_the_same(
    session: Session,
) -> None:
    assert session.run(OTHERS).stdout == "1\n"
    assert session.run("print('next')").stdout == "next\n"


@pytest.mark.skipif(not LINUX, reason="only Linux can tell that nobody else is left")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT])
def test_a_block_that_signals_the_waiting_process_does_not_reach_the_next_block(
    session: Session, number: signal.Signals
) -> None:
    signalled = session.run(f"{OTHERS}\nfor pid in others: os.kill(pid, {int(number)})")
    assert signalled.stdout == "1\n"

    after = [session.run(f"print({count})").stdout for count in range(3)]

    assert after == ["0\n", "1\n", "2\n"]


@pytest.mark.skipif(not LINUX, reason="only Linux can tell that nobody else is left")
def test_what_a_block_leaves_in_a_burst_is_found_and_killed(session: Session) -> None:
    daemon = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        time.sleep(60)\n    os._exit(0)\nprint('left one')"
    )

    ended = [session.run(source) for source in ("print(1)", daemon, "print(2)", daemon)]

    assert [run.report["survivors"] for run in ended] == [0, 0, 0, 0]
    assert [run.code for run in ended] == [0, 0, 0, 0]
    assert until(
        lambda: len(alive(MARK)) <= 3
    )  # unshare where there is a namespace, the supervisor, who waits


def test_a_burst_that_is_stopped_goes_on_with_the_next_block(session: Session) -> None:
    session.run("print(1)")
    channel = session.begin("import time; print('begun'); time.sleep(60)", grace=[0.2, 0.2])
    session.send(control(channel, "stop"))
    stopped = session.wait(channel)

    assert stopped.report["stopped"] == "cancelled"
    assert [session.run(f"print({count})").stdout for count in (2, 3)] == ["2\n", "3\n"]


def test_the_cpu_time_of_the_waiting_process_is_no_runs(session: Session) -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass"

    reports = [session.run(source).report for source in ("print(1)", burn, "print(1)", "print(1)")]

    assert 0.2 <= reports[1]["cpu"] < 0.3
    assert all(report["cpu"] < 0.1 for report in (reports[0], reports[2], reports[3]))


def test_shells_and_python_in_turns_leave_nothing_and_lose_nothing(session: Session) -> None:
    for number in range(20):
        language = "bash" if number % 3 == 1 else "python"
        code = f"echo {number}" if language == "bash" else f"print({number})"
        assert session.run(code, language).stdout == f"{number}\n"

    assert os.path.isdir(session.workspace)


def test_a_timeout_further_away_than_poll_can_wait_is_kept(session: Session) -> None:
    for timeout in (3_000_000.0, 1e300):
        assert session.run("print(1)", timeout=timeout).stdout == "1\n"
        assert session.run("echo 1; sleep 0.1", "bash", timeout=timeout).stdout == "1\n"
