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
#: Entries that are made up at once: a number may be damaged, too.
MOST = 1000
#: Events of one execution that are looked for where nothing says how many there are.
UNSEEN = 200_000
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
    record, ended_at, last = columns[12], columns[9], _plausible(db, sequence, columns[10])
    execution_of(record, code, last)
    found = [_event(db, sequence * SHIFT + number) for number in range(1, last + 1)]
    events = [event or lost_entry() for event in found]
    if ended_at is not None and not (events and events[-1][0] == "end"):
        if found and found[-1] is None:
            events.pop()
        events.append(("end", end_json(record, ended_at)))
    return Found((*columns[:10], len(events), *columns[11:]), code, events)


def _plausible(db: sqlite3.Connection, sequence: int, said: int) -> int:
    """How many events to look for: what the execution says, unless that cannot be."""
    first, following = sequence * SHIFT, (sequence + 1) * SHIFT
    try:
        query = "SELECT max(id) FROM events WHERE id > ? AND id < ?"
        (highest,) = db.execute(query, (first, following)).fetchone()
    except sqlite3.Error:
        return min(max(said, 0), UNSEEN)
    there = 0 if highest is None else int(highest) - first
    there = min(there, UNSEEN) if there > said else there  # a key may be damaged, too
    return said if there <= said <= there + MOST else there


def _event(db: sqlite3.Connection, key: int) -> tuple[str, bytes] | None:
    """Read one by one, since a damaged page ends every longer walk; None where it cannot be read."""
    with contextlib.suppress(sqlite3.Error, ValueError):
        row = db.execute("SELECT type, data FROM events WHERE id = ?", (key,)).fetchone()
        if row is not None and decode(row[1]):
            return row[0], row[1]
    return None
