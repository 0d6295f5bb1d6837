"""Taking out of a damaged file what can still be read of it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from ..events import EventType
from ..models import now
from .record import LOST, Entry, decode, encode, end_json, execution_of

__all__ = ["COPIED", "SHIFT", "complete", "damaged_executions", "lost_entry"]

#: An event's key is its execution's sequence number times this, plus its own number.
SHIFT = 1 << 32
#: An event takes more bytes of a file than these: its key, its type, and JSON with a time.
_LEAST = 48
#: Entries that are made up at once: a number of an event may be damaged, too.
MOST = 1000
COPIED = (
    "id, owner, environment, session, status, user, key, body_hash, created_at, ended_at,"
    " last_event, bytes, record"
)


def lost_entry() -> tuple[EventType, bytes]:
    """What stands in the place of an event that cannot be read any more, so that no number is missing."""
    return "stream", encode({**LOST, "time": now()})


def complete(entries: list[Entry], cursor: int) -> list[Entry]:
    """The entries after number `cursor`, with one in the place of each that is missing; the first of them."""
    if not entries or entries[-1].number - cursor == len(entries):
        return entries
    there = {entry.number: entry for entry in entries}
    last = min(entries[-1].number, cursor + MOST)  # who reads on gets the rest
    return [there.get(n) or Entry(n, *lost_entry()) for n in range(cursor + 1, last + 1)]


class Found(NamedTuple):
    """One execution as far as it can be read: its columns (see `COPIED`), its code, all its events."""

    columns: tuple[Any, ...]
    code: bytes
    events: list[tuple[str, bytes]]


def damaged_executions(path: Path) -> Iterator[Found]:
    """The executions of a damaged file that can be read, each with its numbers complete."""
    name = f"file:{quote(str(path))}?mode=ro"
    if not path.with_name(path.name + "-wal").exists():
        name += "&immutable=1"  # else SQLite makes companion files beside it
    db = sqlite3.connect(name, uri=True, isolation_level=None)
    try:
        for sequence in _sequences(db):
            with contextlib.suppress(sqlite3.Error, ValueError, TypeError):
                yield _found(db, sequence)
    finally:
        db.close()


def _sequences(db: sqlite3.Connection) -> list[int]:
    found: set[int] = set()
    for index in ("NOT INDEXED", "INDEXED BY executions_created"):  # one of the trees may be whole
        with contextlib.suppress(sqlite3.Error):
            found.update(n for (n,) in db.execute(f"SELECT seq FROM executions {index}"))  # noqa: S608
    return sorted(found)


def _found(db: sqlite3.Connection, sequence: int) -> Found:
    columns = db.execute(f"SELECT {COPIED} FROM executions WHERE seq = ?", (sequence,)).fetchone()  # noqa: S608
    (code,) = db.execute("SELECT blocks FROM code WHERE execution = ?", (sequence,)).fetchone()
    # SQLite has no checksums: what is there need not be what was written.
    record, ended_at, last = columns[12], columns[9], min(columns[10], _last(db, sequence))
    execution_of(record, code, last)
    columns = (*columns[:10], last, *columns[11:])
    events = [_event(db, sequence * SHIFT + number) for number in range(1, last + 1)]
    if ended_at is not None and events and events[-1][0] != "end":
        events[-1] = ("end", end_json(record, ended_at))
    return Found(columns, code, events)


def _last(db: sqlite3.Connection, sequence: int) -> int:
    """The highest number there is; where it cannot be read, as many as the file could hold."""
    with contextlib.suppress(sqlite3.Error, TypeError):
        first, following = sequence * SHIFT, (sequence + 1) * SHIFT
        query = "SELECT max(id) FROM events WHERE id > ? AND id < ?"
        return int(db.execute(query, (first, following)).fetchone()[0]) - first
    (pages,), (size,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    return int(pages * size // _LEAST)


def _event(db: sqlite3.Connection, key: int) -> tuple[str, bytes]:
    """Read one by one, since a damaged page ends every longer walk."""
    with contextlib.suppress(sqlite3.Error, ValueError):
        row = db.execute("SELECT type, data FROM events WHERE id = ?", (key,)).fetchone()
        if row is not None and decode(row[1]):
            return row[0], row[1]
    return lost_entry()
