"""What is too old, too many or too large goes, in the background; what is live stays."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Any

from test_log_events import begin, end

from jupyter_exec_ext.events import Event


async def tidied(log: Any, most: int) -> None:
    """Wait until so many executions are left and all that belonged to the others is gone."""
    log._writer.tidy()
    for _ in range(500):
        with sqlite3.connect(log.path) as db:
            garbage = db.execute("SELECT count(*) FROM garbage").fetchone()[0]
            free = db.execute("PRAGMA freelist_count").fetchone()[0]
        db.close()
        if not garbage and not free and len(await log.list(limit=1000)) <= most:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(await log.list(limit=1000))} executions are left")


async def test_old_executions_are_forgotten(open_log: Any) -> None:
    async with open_log(max_age_days=1.0) as log:
        old = begin(log)
        old.finished_at = "2020-01-01T00:00:00.000000Z"
        end(log, old)
        young, live = end(log, begin(log)), begin(log, created_at="2020-01-01T00:00:00.000000Z")
        await log.flush()
        await tidied(log, 2)
        assert {e.id for e in await log.list()} == {young.id, live.id}


async def test_the_newest_are_kept_by_count_and_live_ones_always(open_log: Any) -> None:
    async with open_log(max_executions=5) as log:
        live = begin(log)
        made = [end(log, begin(log)) for _ in range(20)]
        await log.flush()
        await tidied(log, 6)
        kept = {e.id for e in await log.list()}
        assert kept == {live.id, *(e.id for e in made[-5:])}


async def test_the_file_shrinks_below_its_limit(open_log: Any, log_path: Path) -> None:
    # given 20 executions with 1 MiB each
    async with open_log(max_bytes=4 << 20) as log:
        for _ in range(20):
            execution = begin(log)
            for _ in range(16):
                log.append(execution.id, Event.stream("stdout", "x" * 65_536))
            end(log, execution)
            await log.drain()
        await log.flush()
        newest = execution.id
        # when
        await tidied(log, 4)
        # then the newest is there and whole, and the file is as small as it should be
        assert len((await log.get(newest)).output) == 1 << 20
        assert len(await log.list()) >= 2
    # (a transaction more or less: a batch that was written since)
    assert os.stat(log_path).st_size <= (4 << 20) + (256 << 10)


async def test_flushing_goes_on_while_old_output_is_deleted(open_log: Any) -> None:
    async with open_log() as log:
        large = begin(log)
        for _ in range(5000):
            log.append(large.id, Event.stream("stdout", "x" * 4096))
            await log.drain()
        end(log, large)
        await log.flush()
        # when a large one is deleted, and another one writes
        await log.delete(large.id)
        execution, slowest = begin(log), 0.0
        for _ in range(50):
            log.append(execution.id, Event.stream("stdout", "x"))
            began = asyncio.get_running_loop().time()
            await log.flush()
            slowest = max(slowest, asyncio.get_running_loop().time() - began)
        # then no step kept it waiting
        assert slowest < 0.5
        end(log, execution)
        await tidied(log, 1)
