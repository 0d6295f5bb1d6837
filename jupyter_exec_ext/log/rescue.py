"""Taking out of a damaged file what can still be read of it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from .entry import Entry, decode
from .record import end_of
from .stored import COLUMNS, LAST_SEQUENCE, MOST, SHIFT, Stored, as_text, lost_entry, missing, outline_of

__all__ = ["COPIED", "complete", "damaged_executions"]

#: Events of one execution that are looked for where nothing says how many there are.
UNSEEN = 200_000
COPIED = (
    "id, owner, environment, session, status, user, key, body_hash, created_at, ended_at,"
    " last_event, bytes, record"
)
_TABLES = {
    "executions": f"seq, {COPIED}",
    "events": "id, type, data",
    "code": "execution, blocks",
}


def complete(entries: list[Entry], cursor: int) -> list[Entry]:
    """The entries after number `cursor`, with one in the place of each that is missing; the first of them.

    So many cannot be missing that one would wait for the end of them: a number is damaged, then.
    """
    if not entries or entries[-1].number - cursor == len(entries):
        return entries
    filled: list[Entry] = []
    for entry in entries:
        filled += [Entry(number, *lost_entry()) for number in missing(cursor, entry.number)]
        filled.append(entry)
        cursor = entry.number
        if len(filled) > MOST:  # who reads on gets the rest
            break
    return filled


class Found(NamedTuple):
    """One execution as far as it can be read: its columns (see `COPIED`), its code, all its events."""

    columns: tuple[Any, ...]
    code: Any
    events: list[tuple[str, bytes]]


def damaged_executions(path: Path) -> Iterator[Found]:
    """The executions of a damaged file that can be read, each with its numbers complete."""
    name = f"file:{quote(str(path))}?mode=ro"
    if not path.with_name(path.name + "-wal").exists():
        name += "&immutable=1"  # else SQLite makes companion files beside it
    db = sqlite3.connect(name, uri=True, isolation_level=None)
    db.text_factory = as_text
    try:
        _hide(db)
        for sequence in _sequences(db):
            with contextlib.suppress(sqlite3.Error):
                yield _found(db, sequence)
    finally:
        db.close()


def _hide(db: sqlite3.Connection) -> None:
    """Put an empty table before what is no table with our columns in it: to read it may take for ever."""
    for name, columns in _TABLES.items():
        with contextlib.suppress(sqlite3.Error):
            if not _is_table(db, name, columns):
                db.execute(f"CREATE TEMP TABLE {name} ({columns})")


def _is_table(db: sqlite3.Connection, name: str, columns: str) -> bool:
    # Views and virtual tables have no pages of their own; what is computed is in no list of columns.
    query = "SELECT 1 FROM main.sqlite_master WHERE lower(name) = ? AND type = 'table' AND rootpage > 0"
    there = {column for _, column, *_ in db.execute(f"PRAGMA main.table_info({name})")}
    return db.execute(query, (name,)).fetchone() is not None and there.issuperset(columns.split(", "))


def _sequences(db: sqlite3.Connection) -> list[int]:
    found: set[int] = set()
    for index in ("NOT INDEXED", "INDEXED BY executions_created"):  # one of the trees may be whole
        with contextlib.suppress(sqlite3.Error):
            found.update(n for (n,) in db.execute(f"SELECT seq FROM executions {index}"))  # noqa: S608
    return sorted(found)


def _found(db: sqlite3.Connection, sequence: int) -> Found:
    columns = db.execute(f"SELECT {COPIED} FROM executions WHERE seq = ?", (sequence,)).fetchone()  # noqa: S608
    row = Stored(*db.execute(f"SELECT {COLUMNS} FROM executions WHERE seq = ?", (sequence,)).fetchone())  # noqa: S608
    last = _plausible(db, sequence, row.last_event)
    found = [_event(db, sequence * SHIFT + number) for number in range(1, last + 1)]
    events = [event or lost_entry() for event in found]
    if row.ended and not (events and events[-1][0] == "end"):
        if found and found[-1] is None:
            events.pop()
        events.append(("end", end_of(outline_of(row, len(events) + 1)).json))
    return Found((*columns[:10], len(events), *columns[11:]), _code(db, sequence), events)


def _code(db: sqlite3.Connection, sequence: int) -> Any:
    with contextlib.suppress(sqlite3.Error):
        found = db.execute("SELECT blocks FROM code WHERE execution = ?", (sequence,)).fetchone()
        if found is not None:
            return found[0]
    return b""


def _plausible(db: sqlite3.Connection, sequence: int, given: Any) -> int:
    """How many events to look for: what the execution says, unless that cannot be."""
    if not 0 < sequence <= LAST_SEQUENCE:
        return 0
    said: int = given if isinstance(given, int) else -1
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
