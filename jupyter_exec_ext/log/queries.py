"""What is asked of the log's file, by whoever has a connection to it."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from pydantic_core import to_json

from ..errors import InvalidRequest, NotFound
from ..models import Execution
from .entry import Entry
from .record import end_of
from .stored import (
    COLUMNS,
    FIT,
    LAST_NUMBER,
    SHIFT,
    SOUND,
    Stored,
    code_of,
    entry_of,
    execution_of,
    last_of,
    lost_entry,
    missing,
    outline_of,
    time_of,
)

__all__ = [
    "PAGE_CODE",
    "Filter",
    "code",
    "code_size",
    "find_key",
    "listing",
    "load",
    "loaded",
    "moment",
    "outline",
    "page",
    "position",
    "size_of",
    "whole",
]

#: Characters of code after which a page of a list ends, so that a few long ones do not fill the memory.
PAGE_CODE = 2 * 1024 * 1024
# Entries in the place of missing ones in one record, beside one for each that is there: a few rows far from
# each other must not become very many.
_MOST_LOST = 10_000


class Filter(NamedTuple):
    """Which executions a list asks for; `before` is a place in the order (created_at, id)."""

    environment: str | None = None
    session: str | None = None
    status: str | None = None
    before: tuple[str, str] | None = None

    def admits(self, execution: Execution) -> bool:
        """Whether an execution that is in memory belongs into the list."""
        return (
            self.environment in (None, execution.environment)
            and self.session in (None, execution.session)
            and self.status in (None, execution.status)
            and (self.before is None or (execution.created_at, execution.id) < self.before)
        )


def _row(db: sqlite3.Connection, execution: str) -> Stored | None:
    query = f"SELECT {COLUMNS} FROM executions WHERE id = ? AND {FIT}"  # noqa: S608
    found = db.execute(query, (execution,)).fetchone()
    return Stored(*found) if found else None


def page(
    db: sqlite3.Connection, execution: str, since: int, most: int, most_bytes: int
) -> list[Entry] | None:
    """Some entries after a number, at least one where there is one; None where the execution is unknown."""
    row = _row(db, execution)
    if row is None:
        return None
    low, last = row.seq * SHIFT, last_of(db, row)
    cursor = db.execute(
        "SELECT id, type, data FROM events WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
        (low + min(since, LAST_NUMBER), low + last, most),
    )
    entries: list[Entry] = []
    for key, type_, data in cursor:
        is_end = key - low == last and (row.ended or type_ == "end")
        entries.append(_end(db, row, data) if is_end else entry_of(key - low, type_, data))
        most_bytes -= len(entries[-1].json)
        if most_bytes <= 0:
            break
    cursor.close()
    return entries


def _end(db: sqlite3.Connection, row: Stored, data: Any) -> Entry:
    """The end, from the execution's row: the two are written at once. Only its time is its own."""
    query = f"SELECT {COLUMNS} FROM executions WHERE seq = ?"  # noqa: S608
    found = db.execute(query, (row.seq,)).fetchone()
    row = row if found is None else Stored(*found)  # it may have ended since, or been deleted
    return end_of(outline_of(row, last_of(db, row)), time_of(data))


def whole(db: sqlite3.Connection, execution: str, until: int) -> Iterator[Entry]:
    """All entries up to a number, as they are asked for, with one in the place of each that is missing."""
    row = _row(db, execution)
    if row is None:
        return
    low = row.seq * SHIFT
    rows = db.execute(
        "SELECT id, type, data FROM events WHERE id > ? AND id <= ? ORDER BY id",
        (low, low + min(until, LAST_NUMBER)),
    )
    found = (entry_of(key - low, type_, data) for key, type_, data in rows)
    cursor, room = 0, _MOST_LOST
    for number, entry in chain(((entry.number, entry) for entry in found), [(until + 1, None)]):
        gap = missing(cursor, number)[:room]
        yield from (Entry(lost, *lost_entry()) for lost in gap)
        if entry is not None:
            yield entry
        cursor, room = number, room + 1 - len(gap)


def load(db: sqlite3.Connection, execution: str) -> Execution | None:
    """One execution without its output."""
    row = _row(db, execution)
    return None if row is None else loaded(db, row)


def loaded(db: sqlite3.Connection, row: Stored) -> Execution:
    """The execution of a row, with its code blocks."""
    return execution_of(row, _code(db, row.seq), last_of(db, row))


def outline(db: sqlite3.Connection, execution: str) -> Execution | None:
    """One execution without its output and its code blocks."""
    row = _row(db, execution)
    return None if row is None else outline_of(row, last_of(db, row))


def size_of(db: sqlite3.Connection, execution: str) -> int:
    """How much an execution takes in the file, by its row; 0 where there is none."""
    found = db.execute("SELECT bytes FROM executions WHERE id = ?", (execution,)).fetchone()
    return found[0] if found and isinstance(found[0], int) else 0


def code(db: sqlite3.Connection, execution: str) -> bytes:
    """The code blocks of an execution as JSON. Raises `NotFound` where it was deleted meanwhile."""
    row = _row(db, execution)
    if row is None:
        raise NotFound(f"There is no execution {execution} any more.")
    return to_json(code_of(_code(db, row.seq)))


def _code(db: sqlite3.Connection, sequence: int) -> Any:
    found = db.execute("SELECT blocks FROM code WHERE execution = ?", (sequence,)).fetchone()
    return found and found[0]


def position(db: sqlite3.Connection, execution: str) -> tuple[str, str] | None:
    """The place of an execution in the order of lists."""
    query = f"SELECT created_at, id FROM executions WHERE id = ? AND {SOUND}"  # noqa: S608
    row = db.execute(query, (execution,)).fetchone()
    return (row[0], row[1]) if row else None


def listing(db: sqlite3.Connection, wanted: Filter, limit: int) -> tuple[list[Execution], bool]:
    """Executions without their output, newest first, and whether there was too much code for more of them.

    One of which the place in this order cannot be read is there once `mend` has given it one.
    """
    conditions, values = [FIT, SOUND], []
    for name in ("environment", "session", "status"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(f"{name} = ?")
            values.append(value)
    if wanted.before is not None:
        conditions.append("(created_at, id) < (?, ?)")
        values.extend(wanted.before)
    where = " AND ".join(conditions)
    query = f"SELECT {COLUMNS} FROM executions WHERE {where} ORDER BY created_at DESC, id DESC LIMIT ?"  # noqa: S608
    found: list[Execution] = []
    size = 0
    for columns in db.execute(query, (*values, limit)):
        if size > PAGE_CODE:
            return found, True
        found.append(loaded(db, Stored(*columns)))
        size += code_size(found[-1])
    return found, False


def code_size(execution: Execution) -> int:
    """How many characters of code it has."""
    return sum(len(block.code) for block in execution.code_blocks)


def find_key(db: sqlite3.Connection, key: str) -> tuple[str, str] | None:
    """The newest execution of an idempotency key, and the hash of its request."""
    row = db.execute(
        f"SELECT id, coalesce(body_hash, '') FROM executions WHERE key = ? AND {SOUND}"  # noqa: S608
        " ORDER BY seq DESC LIMIT 1",
        (key,),
    ).fetchone()
    return (row[0], row[1]) if row else None


def moment(time: str) -> str:
    """A time as executions have it, so that texts compare as times do. Raises `InvalidRequest`."""
    try:
        at = dt.datetime.fromisoformat(time.replace("Z", "+00:00"))
        at = at.replace(tzinfo=at.tzinfo or dt.timezone.utc).astimezone(dt.timezone.utc)
    except (ValueError, OverflowError):  # in UTC it may be before the year 1, or after 9999
        raise InvalidRequest(
            "before is neither the id of an execution nor a time in RFC 3339.", field="before"
        ) from None
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
