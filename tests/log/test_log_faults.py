"""Kill, lock, fill and write-protect: nothing that was printed gets lost, and somebody is told."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_log_events import begin, end, numbers

from jupyter_exec_ext.errors import NotFound
from jupyter_exec_ext.events import Event

HERE = Path(__file__).parent


def killed_server(path: Path, seconds: float, *words: str) -> tuple[str, str, dict[int, float], float]:
    """Run a server that writes, and kill it: its executions, its events' times, the time of the kill."""
    command = [sys.executable, str(HERE / "scenario_killed.py"), str(path), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        queued, running = server.stdout.readline().split()
        time.sleep(seconds)
        at = time.monotonic()
        server.send_signal(signal.SIGKILL)
        lines = [line.split() for line in server.stdout if line.endswith("\n")]
    return queued, running, {int(number): float(when) for number, when in lines}, at


async def test_what_a_killed_server_had_written_50_ms_before_is_there_and_lost_has_a_cause(
    open_log: Any, log_path: Path
) -> None:
    # given
    queued, running, written, killed = killed_server(log_path, 0.7)
    # when
    async with open_log() as log:
        # then
        events = [event async for event in log.read(running)]
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert [event.type for event in events].count("end") == 1
        assert events[-1].type == "end"
        due = [number for number, when in written.items() if when < killed - 0.05]
        assert len(due) > 50
        assert len(events) - 1 >= max(due)
        found = await log.get(running)
        assert (found.status, found.last_event, found.verdict.state_kept) == ("lost", len(events), False)
        assert "while it ran" in found.verdict.cause
        assert found.output.startswith("line ")
        other = await log.get(queued)
        assert (other.status, other.last_event) == ("lost", 1)
        assert "before it began" in other.verdict.cause
    # and a further restart adds nothing
    async with open_log() as log:
        assert [event async for event in log.read(running)] == events


async def test_what_had_more_output_than_is_kept_says_so_when_its_server_was_killed(
    open_log: Any, log_path: Path
) -> None:
    queued, running, _, _ = killed_server(log_path, 0.3, "truncated")
    async with open_log() as log:
        found, other = await log.get(running), await log.get(queued)
        assert (found.status, found.truncated, found.verdict.limits_hit) == ("lost", True, ["output"])
        assert "the beginning of what had been printed is kept" in found.verdict.cause
        assert (other.status, other.truncated, other.verdict.limits_hit) == ("lost", False, [])
        *_, end = [event async for event in log.read(running)]
        assert end.data["execution"]["truncated"]


async def test_servers_that_live_on_mark_what_a_killed_one_left(open_log: Any, log_path: Path) -> None:
    async with open_log() as log:
        _, running, _, _ = killed_server(log_path, 0.3)
        assert (await log.get(running)).status == "running"
        reader = asyncio.ensure_future(numbers(log, await log.get(running)))
        log._writer.tidy()
        assert (await asyncio.wait_for(reader, 5))[-1] == (await log.get(running)).last_event
        assert (await log.get(running)).status == "lost"


async def test_a_locked_file_is_waited_for_without_loss_and_without_blocking_the_loop(
    open_log: Any, log_path: Path
) -> None:
    async with open_log() as log:
        execution = begin(log)
        await log.flush()
        lock = sqlite3.connect(log_path, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        reader = asyncio.ensure_future(numbers(log, execution))
        began, slowest, count = time.monotonic(), 0.0, 0
        # when it is locked for two seconds
        while time.monotonic() - began < 2:
            at = time.monotonic()
            count = log.append(execution.id, Event.stream("stdout", "x"))
            await log.drain()
            await asyncio.sleep(0.001)
            slowest = max(slowest, time.monotonic() - at)
        assert len((await log.get(execution.id)).output) == count
        lock.execute("COMMIT")
        lock.close()
        # then
        end(log, execution)
        await asyncio.wait_for(log.flush(), 2)
        assert log.warning is None
        assert await reader == list(range(1, count + 2))
        assert slowest < 0.25
        assert await numbers(log, execution) == list(range(1, count + 2))


async def test_a_file_that_is_locked_at_the_start_is_opened_when_it_can_be(
    open_log: Any, log_path: Path
) -> None:
    async with open_log() as log:
        old = end(log, begin(log))
    lock = sqlite3.connect(log_path, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    async with open_log() as log:
        execution = begin(log)
        log.append(execution.id, Event.stream("stdout", "meanwhile"))
        lock.close()
        end(log, execution)
        await log.flush()
        assert (await log.get(execution.id)).output == "meanwhile"
        assert {e.id for e in await log.list()} == {old.id, execution.id}


async def test_a_file_that_stays_locked_puts_the_log_in_memory_until_it_is_free(
    open_log: Any, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_exec_ext.log.writer._PATIENCE_SECONDS", 0.5)
    async with open_log() as log:
        lock = sqlite3.connect(log_path, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        execution = begin(log)
        await asyncio.wait_for(log.flush(), 5)
        assert "locked" in log.warning
        for _ in range(200):  # more than may wait for a disk that works
            log.append(execution.id, Event.stream("stdout", "x" * 65_536))
            await asyncio.wait_for(log.drain(), 1)
        lock.close()
        end(log, execution)
        for _ in range(100):
            if log.warning is None:
                break
            await asyncio.sleep(0.05)
        await log.flush()
        assert log.warning is None
    async with open_log() as log:
        assert len((await log.get(execution.id)).output) == 200 * 65_536


async def test_what_memory_had_no_room_for_does_not_look_as_if_it_ran(
    open_log: Any, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given an execution that began on disk and ended while nothing could be written
    monkeypatch.setattr("jupyter_exec_ext.log.writer._PATIENCE_SECONDS", 0.1)
    async with open_log(max_memory=1 << 20) as log:
        first = begin(log)
        await log.flush()
        lock = sqlite3.connect(log_path, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        end(log, first)
        second = begin(log)
        await asyncio.wait_for(log.flush(), 5)
        # when memory is full
        for _ in range(50):
            log.append(second.id, Event.stream("stdout", "x" * 65_536))
        # then the ended one is gone, the live one has all its numbers, and so it stays
        with pytest.raises(NotFound):
            await log.get(first.id)
        assert log._memory.unwritten_bytes <= 1 << 20
        lock.close()
        end(log, second)
    async with open_log() as log:
        assert [execution.id for execution in await log.list()] == [second.id]
        assert await numbers(log, second) == list(range(1, 52))


async def test_a_file_that_somebody_removes_is_begun_anew(open_log: Any, log_path: Path) -> None:
    async with open_log() as log:
        execution = begin(log)
        log.append(execution.id, Event.stream("stdout", "before"))
        await log.flush()
        os.unlink(log_path)
        log.append(execution.id, Event.stream("stdout", " after"))
        end(log, execution)
        await log.flush()
        await asyncio.sleep(0.1)
        await log.flush()
        assert "was removed" in log.warning
    async with open_log() as log:
        assert (await log.get(execution.id)).output == "before after"
        assert log.warning is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
@pytest.mark.parametrize("make", [os.mkdir, getattr(os, "mkfifo", None)])
async def test_what_is_no_file_in_the_place_of_the_log_leaves_it_in_memory(
    open_log: Any, log_path: Path, make: Any
) -> None:
    log_path.parent.mkdir()
    make(log_path)
    async with open_log() as log:
        execution = end(log, begin(log, id="a" * 32))
        await asyncio.sleep(0.3)
        assert "in memory only" in log.warning
        assert [one.id for one in await log.list()] == [execution.id]
        assert await log.find_key("no such key") is None
        assert await numbers(log, execution) == [1]


def content(path: Path) -> bytes:
    """The bytes of a file."""
    return path.read_bytes()


async def test_a_log_of_a_newer_version_is_left_alone(open_log: Any, log_path: Path) -> None:
    log_path.parent.mkdir()
    with sqlite3.connect(log_path) as db:
        db.execute("PRAGMA user_version = 99")
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = content(log_path)
    async with open_log() as log:
        execution = end(log, begin(log))
        assert await numbers(log, execution) == [1]
        assert "newer version" in log.warning
    assert content(log_path) == before


@pytest.mark.skipif(sys.platform != "linux", reason="needs a mount namespace")
@pytest.mark.parametrize("scenario", ["full_disk", "read_only"])
def test_without_a_disk_the_log_works_in_memory_says_so_and_comes_back(tmp_path: Path, scenario: str) -> None:
    command = ["unshare", "--map-root-user", "--mount", sys.executable, f"{HERE}/scenario_{scenario}.py"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "passed\n", done.stderr


def test_a_directory_without_permissions_has_lost_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for above in tmp_path.parents[:2]:
        above.chmod(0o755)  # another user has to come by
    command = [sys.executable, f"{HERE}/scenario_hidden.py", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "passed\n", done.stderr
