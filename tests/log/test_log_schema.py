"""What a block can do to the tables of the log: nothing is lost to it, and it is told of in our own words."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from test_log_damage import moved_aside
from test_log_events import begin, end, numbers

from jupyter_exec_ext.errors import Unavailable
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log import EventLog

FOR_EVER = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT {} FROM c"
CHANGES = {
    "drops": "CREATE TRIGGER t BEFORE INSERT ON events BEGIN SELECT RAISE(IGNORE); END",
    "refuses": "CREATE TRIGGER t BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'nope'); END",
    "computes": "CREATE TRIGGER t AFTER INSERT ON events BEGIN INSERT INTO garbage "
    f"{FOR_EVER.format('max(x)')}; END",
    "deletes": "CREATE TRIGGER t AFTER UPDATE ON executions BEGIN DELETE FROM events; END",
    "adds a column": "ALTER TABLE events ADD COLUMN x",
    "adds a column to executions": "ALTER TABLE executions ADD COLUMN nope",
    "adds an index": "CREATE UNIQUE INDEX nope ON events (type, id)",
    "adds a table": "CREATE TABLE nope (x)",
    "renames": "ALTER TABLE events RENAME TO nope",
    "puts a view": "DROP TABLE events; CREATE VIEW events AS SELECT 1 AS id, 2 AS type, 3 AS data",
    "puts a view that computes": "DROP TABLE events; CREATE VIEW events AS "
    + FOR_EVER.format("0 AS id, 2 AS type, x AS data"),
    "puts one for executions": "DROP TABLE executions; CREATE VIEW executions AS "
    + FOR_EVER.format("x AS seq, x AS id"),
    "computes a column": "DROP TABLE code; "
    "CREATE TABLE code (execution, blocks AS (printf('%.*c', 900000000, 'x')))",
    "removes": "DROP TABLE events; DROP TABLE garbage",
}
#: Those after which what had been printed is not there any more.
LOST = ("renames", "puts", "removes")


def printed(log: EventLog, text: str) -> Any:
    """An execution that has printed that."""
    execution = begin(log)
    log.append(execution.id, Event.stream("stdout", text))
    return end(log, execution)


def change(path: Path, script: str) -> None:
    """Do to the file what a block can."""
    with contextlib.closing(sqlite3.connect(path, timeout=5)) as db:
        db.executescript(script)


async def listed(log: EventLog) -> list[str]:
    """The list, for which one may have to ask again."""
    for _ in range(50):
        with contextlib.suppress(Unavailable):
            return [one.id for one in await log.list()]
        await asyncio.sleep(0.05)
    raise AssertionError("it could not be read")


@pytest.mark.parametrize("script", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("first", ["write", "read", "start"])
async def test_a_changed_schema_is_moved_aside_and_nothing_that_is_printed_then_is_lost(
    open_log: Any, log_path: Path, script: str, first: str, request: pytest.FixtureRequest
) -> None:
    # given history, and a block that changes the tables
    async with open_log() as log:
        before = printed(log, "before")
        await log.flush()
        running = begin(log)
        await log.flush()
        if first != "start":
            change(log_path, script)
        # when the log is written or read
        if first == "read":
            await asyncio.wait_for(listed(log), 5)
        log.append(running.id, Event.stream("stdout", "running"))
        end(log, running)
        after = printed(log, "after")
        await asyncio.wait_for(log.flush(), 5)
        if first == "start":
            change(log_path, script)
        else:
            assert told(log, log_path)
    async with open_log() as log:
        latest = printed(log, "latest")
        await asyncio.wait_for(log.flush(), 5)
        if first == "start":
            assert told(log, log_path)
        # then what was printed since is all there, and what was printed before where it can be read
        there = {latest.id: "latest"}
        is_kept = not any(sign in request.node.callspec.id for sign in LOST)
        if first != "start" or is_kept:
            there |= {running.id: "running", after.id: "after"}
        if is_kept:
            there |= {before.id: "before"}
        assert {one: (await log.get(one)).output for one in there} == there
        assert [await numbers(log, await log.get(one)) for one in there] == [[1, 2]] * len(there)
        assert there.keys() <= set(await listed(log))
    assert len(moved_aside(log_path)) == 1


def told(log: EventLog, path: Path) -> bool:
    """Whether the warning says what has happened, and nothing that the block has said."""
    (aside,) = moved_aside(path)
    return log.warning == f"The execution log was damaged; it was moved to {aside} and a new one begun."


@pytest.mark.parametrize("version", [0, 9])
async def test_a_changed_format_number_is_put_right(open_log: Any, log_path: Path, version: int) -> None:
    async with open_log() as log:
        before = printed(log, "before")
    change(log_path, f"PRAGMA user_version={version}")
    async with open_log() as log:
        assert log.warning is None
        assert (await log.get(before.id)).output == "before"
        after = printed(log, "after")
        await log.flush()
    async with open_log() as log:
        assert await listed(log) == [after.id, before.id]
    assert moved_aside(log_path) == []


async def test_what_an_administrator_leaves_is_no_damage(open_log: Any, log_path: Path) -> None:
    async with open_log() as log:
        before = printed(log, "before")
        await log.flush()
        change(log_path, "ANALYZE; VACUUM")
        after = printed(log, "after")
        await log.flush()
        assert await listed(log) == [after.id, before.id]
        assert log.warning is None
    assert moved_aside(log_path) == []
