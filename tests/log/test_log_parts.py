"""The files of the log are removed or replaced while it is open: what was in them is written again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from test_log_events import begin, end, numbers

from jupyter_exec_ext.events import Event

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")

PARTS = pytest.mark.parametrize("parts", [("-wal",), ("-shm",), ("-wal", "-shm")], ids="".join)


def beside(path: Path, suffix: str) -> Path:
    """A companion of the log's file."""
    return path.with_name(path.name + suffix)


async def told(log: Any, words: str) -> str:
    """The warning, once it says so."""
    for _ in range(200):
        if words in (log.warning or ""):
            break
        await asyncio.sleep(0.01)
    return str(log.warning)


@PARTS
async def test_a_part_that_is_removed_is_noticed_by_the_next_reader_and_costs_nothing(
    open_log: Any, log_path: Path, caplog: pytest.LogCaptureFixture, parts: tuple[str, ...]
) -> None:
    # given history of which nothing is in the file itself yet, and readers that have it open
    async with open_log() as log:
        old, live = end(log, begin(log)), begin(log)
        log.append(live.id, Event.stream("stdout", "before"))
        await log.flush()
        await asyncio.gather(*(log.list() for _ in range(8)))
        # when
        for part in parts:
            beside(log_path, part).unlink()
        found = {execution.id for execution in await log.list()}
        # then
        assert found == {old.id, live.id}
        assert "it is made anew" in await told(log, "A part")
        assert "removed or replaced" in caplog.text
        assert all(beside(log_path, part).exists() for part in ("", *parts))
        log.append(live.id, Event.stream("stdout", " after"))
        end(log, live)
        await log.flush()
        # and it is all on disk: another program sees it
        with contextlib.closing(sqlite3.connect(log_path)) as db:
            assert db.execute("SELECT count(*) FROM executions WHERE ended_at NOT NULL").fetchone() == (2,)
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    async with open_log() as log:
        assert (await log.get(live.id)).output == "before after"
        assert await numbers(log, live) == [1, 2, 3]
        assert log.warning is None


@PARTS
async def test_a_part_that_is_replaced_is_noticed_by_the_next_writer(
    open_log: Any, log_path: Path, parts: tuple[str, ...]
) -> None:
    async with open_log() as log:
        old = end(log, begin(log))
        await log.flush()
        for part in parts:
            beside(log_path, part).unlink()
            beside(log_path, part).write_bytes(os.urandom(5000))
        new = end(log, begin(log))
        await log.flush()
        assert "A part" in await told(log, "A part")
        assert {execution.id for execution in await log.list()} == {old.id, new.id}
    async with open_log() as log:
        assert {execution.id for execution in await log.list()} == {old.id, new.id}
        assert log.warning is None


@PARTS
async def test_two_servers_go_on_together_after_a_part_was_removed(
    open_log: Any, log_path: Path, parts: tuple[str, ...]
) -> None:
    async with open_log() as one, open_log() as two:
        before = [end(log, begin(log)) for log in (one, two)]
        await asyncio.gather(one.flush(), two.flush())
        await asyncio.gather(one.list(), two.list())
        for part in parts:
            beside(log_path, part).unlink()
        made = [end(log, begin(log)) for _ in range(20) for log in (one, two)]
        await asyncio.gather(one.flush(), two.flush())
        await asyncio.gather(one.list(), two.list())
        made += [end(log, begin(log)) for log in (one, two)]
        await asyncio.gather(one.flush(), two.flush())
        expected = {execution.id for execution in (*before, *made)}
        for log in (one, two):
            assert {execution.id for execution in await log.list(limit=100)} == expected
            assert "memory" not in (log.warning or "")
    async with open_log() as log:
        assert {execution.id for execution in await log.list(limit=100)} == expected
        assert log.warning is None
