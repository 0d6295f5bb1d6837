"""Whatever a row holds: it is shown as far as it can be read, it can be deleted, and it harms no other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_log_damage import edited
from test_log_events import begin, end
from test_log_properties import JSON

from jupyter_exec_ext.errors import NotFound
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log import EventLog

COLUMNS = {
    "executions": [
        *("seq", "id", "owner", "environment", "session", "status", "user", "key", "body_hash"),
        *("created_at", "ended_at", "last_event", "bytes", "record"),
    ],
    "code": ["execution", "blocks"],
    "events": ["id", "type", "data"],
}
PLACES = st.sampled_from([(table, column) for table, columns in COLUMNS.items() for column in columns])
INTS = st.integers(-(2**63), 2**63 - 1)
LARGE = [
    b'{"execution":5}',
    b"[" * 5000,
    b'{"a":' * 90_000,
    b"9" * 5000,
    b'{"exit_code":' + b"9" * 4200 + b"}",
]
VALUES = st.one_of(
    st.none(),
    INTS,
    st.floats(),
    st.binary(max_size=50),
    st.text(st.characters(codec="utf-8"), max_size=50),
    JSON.map(json.dumps).map(str.encode),
    JSON.map(lambda value: json.dumps({"blocks": value, "name": value, "text": value}).encode()),
    st.sampled_from([*LARGE, b'{"execution":5}', "end", "ok", "running"]),
)
#: What becomes of a value: another one, the same bytes as a text, or itself with one byte changed.
CHANGES = st.one_of(
    st.tuples(st.just("value"), VALUES),
    st.tuples(st.just("text"), st.binary(max_size=40)),
    st.tuples(st.just("byte"), st.tuples(st.integers(0, 1000), st.integers(0, 255))),
)


class Errors(logging.Handler):
    """What is logged as an error, or with a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, unless it is the warning of a file that was moved aside."""
        if record.exc_info or (record.levelno >= logging.ERROR and "moved to" not in record.getMessage()):
            self.records.append(record)


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[EventLog]:
    """A log that has nothing to complain of but damage."""
    log, errors = EventLog(path=str(path), flush_interval=0.001), Errors()
    log.log.addHandler(errors)
    await log.open("server")
    try:
        yield log
        assert not errors.records, [record.getMessage() for record in errors.records]
    finally:
        log.log.removeHandler(errors)
        await log.close()


def change(path: Path, sequence: int, place: tuple[str, str], how: tuple[str, Any]) -> None:
    """Change a column of all rows of one execution, as far as SQLite takes that."""
    table, column = place
    key = {"executions": "seq", "code": "execution", "events": "id >> 32"}[table]
    kind, value = how
    # It refuses some, and while what was changed before is noticed, there may be no table for a moment.
    with contextlib.suppress(sqlite3.IntegrityError, sqlite3.OperationalError), edited(path) as db:
        if kind == "byte":
            query = f"SELECT CAST({column} AS BLOB) FROM {table} WHERE {key} = ? LIMIT 1"
            found = db.execute(query, (sequence,)).fetchone() or (b"",)
            raw = bytearray(found[0] or b" ")
            raw[value[0] % len(raw)] = value[1]
            value = bytes(raw)
        new = "CAST(? AS TEXT)" if kind == "text" else "?"
        db.execute(f"UPDATE OR IGNORE {table} SET {column} = {new} WHERE {key} = ?", (value, sequence))


async def several(path: Path) -> list[str]:
    """Three executions that have ended, and one whose server died: their identifiers."""
    async with opened(path) as log:
        made = [begin(log, status="running", session="s") for _ in range(4)]
        for execution in made:
            log.append(execution.id, Event.stream("stdout", "printed\n"))
            log.append(execution.id, Event("display_data", {"data": {"text/plain": "shown"}, "metadata": {}}))
            log.append(execution.id, Event("error", {"ename": "E", "evalue": "", "traceback": ["raised"]}))
        for execution in made[:3]:
            end(log, execution)
        await log.flush()
    return [execution.id for execution in made]


async def looked_at(log: EventLog, identifier: str) -> tuple[Any, ...]:
    """An execution in all the forms in which it is shown."""
    document = json.loads(b"".join(await log.document(identifier)))
    entries = [entry async for entry in log.entries(identifier)]
    assert [entry.type for entry in entries].index("end") == len(entries) - 1
    counted = [entry.number for entry in entries]
    assert counted == sorted(set(counted))
    for entry in entries:
        assert b"\n" not in entry.json
        assert isinstance(json.loads(entry.json), dict)
    events = [event async for event in log.read(identifier)]
    assert [event.type for event in events] == [entry.type for entry in entries]
    full = json.loads((await log.get(identifier)).model_dump_json())
    assert full == document
    assert json.loads(events[-1].data and entries[-1].json)["execution"]["id"] == identifier
    return document, [(event.number, event.type, event.data) for event in events]


async def survive(path: Path, before: list[Any], *, running: bool) -> None:
    """The life of a log with damaged rows in it: `before` are the changes."""
    made = await several(path)

    def spoil() -> None:
        for place, how in before:
            for sequence in (2, 4):
                change(path, sequence, place, how)

    if not running:
        spoil()
    async with opened(path) as log:
        if running:
            spoil()
            await log.list(limit=10)
            with contextlib.suppress(NotFound):
                await log.outline(made[1])
            log._writer.tidy()
        new = end(log, begin(log))
        await log.flush()
        await asyncio.sleep(0.02)
        await log.flush()
        # then the others are there, and on disk
        assert "memory" not in (log.warning or "")
        for identifier in (made[0], made[2], new.id):
            document, events = await looked_at(log, identifier)
            assert document["status"] == "ok"
            assert document["code_blocks"] == [{"code": "print(1)", "language": "python"}]
            if identifier != new.id:
                assert document["output"] == "printed\nshown\nraised\n"
                assert len(events) == 4
        # and all that is shown can be looked at, and deleted
        listed = await log.list(limit=100)
        assert {made[0], made[2], new.id} <= {execution.id for execution in listed}
        for execution in listed:
            await asyncio.wait_for(looked_at(log, execution.id), 10)
            json.loads(execution.model_dump_json())
            await log.delete(execution.id)
        await log.flush()
        assert await log.list() == []
    with edited(path) as db:
        assert db.execute("SELECT count(*) FROM executions").fetchone() == (0,)


@given(st.lists(st.tuples(PLACES, CHANGES), min_size=1, max_size=3), st.booleans())
@example([(("code", "blocks"), ("value", b'{"blocjs":[]}'))], False)
@example([(("executions", "seq"), ("value", 2**63 - 1))], False)
@example([(("executions", "seq"), ("value", 2**31))], True)
@example([(("executions", "record"), ("value", b'{"verdict":{"wall_seconds":1e999}}'))], False)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_a_row_holds_the_log_is_on_disk_and_the_others_are_unharmed(
    changes: list[Any], running: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(survive(Path(folder) / "log.sqlite", changes, running=running))
