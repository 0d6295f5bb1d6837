"""A write to the log that does not return: runs go on and end, somebody is told, and nothing gets lost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.hungdisk import hung
from test_log_events import begin, end, numbers

from jupyter_exec_ext.errors import NotFound
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log import EventLog

HERE = Path(__file__).parent
PATIENCE = "jupyter_exec_ext.log.writer._PATIENCE_SECONDS"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for something to become true."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not become true"
        await asyncio.sleep(0.02)


async def flood(log: EventLog, execution: Any, events: int) -> float:
    """Print so many times 64 KiB; return the longest that one of them had to wait."""
    slowest = 0.0
    for _ in range(events):
        at = time.monotonic()
        log.append(execution.id, Event.stream("stdout", "x" * 65_536))
        await log.drain()
        slowest = max(slowest, time.monotonic() - at)
    return slowest


async def test_a_write_that_does_not_return_holds_up_nobody_for_long_and_loses_nothing(
    open_log: Any, log_path: Path
) -> None:
    async with open_log() as log:
        first = begin(log)
        await log.flush()
        with hung(log_path):
            # when more is printed than may wait for a disk that works
            slowest = await flood(log, first, 200)
            # then it waits for less than the 5 seconds that an end may take after a timeout
            assert 2 < slowest < 4.5
            assert (
                f"in memory only and will be gone when the server stops: a write to {log_path}" in log.warning
            )
            assert await flood(log, first, 50) < 0.5
            end(log, first)
            second = end(log, begin(log))
            await asyncio.wait_for(log.flush(), 1)
            assert len((await log.get(first.id)).output) == 250 * 65_536
            assert await numbers(log, first) == list(range(1, 252))
            assert {one.id for one in await log.list()} == {first.id, second.id}
        # and when it returns, all of it comes to disk
        await until(lambda: log.warning is None)
        await asyncio.wait_for(log.flush(), 10)
    async with open_log() as log:
        assert len((await log.get(first.id)).output) == 250 * 65_536
        assert await numbers(log, first) == list(range(1, 252))
        assert (await log.get(second.id)).status == "ok"


async def test_what_memory_had_no_room_for_is_not_on_disk_when_a_hung_write_returns(
    open_log: Any, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PATIENCE, 0.2)
    async with open_log(max_memory=1 << 20) as log:
        kept = begin(log)
        await log.flush()
        with hung(log_path):
            # given one whose beginning is just being written, and which ends
            forgotten = begin(log)
            await asyncio.sleep(0.2)
            await until(lambda: log.warning)
            await flood(log, forgotten, 8)
            end(log, forgotten)
            # when memory is full
            await flood(log, kept, 100)
            # then what has no room is not kept anywhere
            with pytest.raises(NotFound):
                await log.get(forgotten.id)
            assert log._memory.unwritten_bytes <= 1 << 20
            queued = [one.entry.size for one in log._writer._queue if one.entry]
            assert sum(queued) <= 1 << 20
            end(log, kept)
        await until(lambda: log.warning is None)
        await log.flush()
        assert [one.id for one in await log.list()] == [kept.id]
        assert log._memory.unwritten_bytes == 0
    async with open_log() as log:
        assert [one.id for one in await log.list()] == [kept.id]
        assert await numbers(log, kept) == list(range(1, 102))


def test_a_server_whose_log_hangs_can_be_stopped(tmp_path: Path) -> None:
    command = [sys.executable, f"{HERE}/scenario_hung.py", str(tmp_path / "log.sqlite")]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "closed\n", done.stderr
    assert time.monotonic() - began < 10
