"""Taking out of a damaged file what can still be read of it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..models import now
from .record import encode

__all__ = ["COPIED", "SHIFT", "damaged_executions", "lost_entry"]

#: An event's key is its execution's sequence number times this, plus its own number.
SHIFT = 1 << 32
COPIED = (
    "id, owner, environment, session, status, user, key, body_hash, created_at, ended_at,"
    " last_event, bytes, record"
)


def lost_entry() -> tuple[str, bytes]:
    """What stands in the place of an event that cannot be read any more, so that no number is missing."""
    text = "\n[output that was lost when the execution log was damaged]\n"
    return "stream", encode({"name": "stderr", "text": text, "time": now()})


def damaged_executions(path: Path) -> Iterator[tuple[tuple[Any, ...], bytes, dict[int, tuple[str, bytes]]]]:
    """For each execution that can be read: its columns, its code, and its readable events by number."""
    db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
    try:
        for sequence in _sequences(db):
            with contextlib.suppress(sqlite3.Error, TypeError):
                row = db.execute(f"SELECT {COPIED} FROM executions WHERE seq = ?", (sequence,)).fetchone()  # noqa: S608
                code = db.execute("SELECT blocks FROM code WHERE execution = ?", (sequence,)).fetchone()
                yield tuple(row), code[0], _events(db, sequence, row[10])
    finally:
        db.close()


def _sequences(db: sqlite3.Connection) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(sqlite3.Error):
        found.extend(sequence for (sequence,) in db.execute("SELECT seq FROM executions ORDER BY seq"))
    return found


def _events(db: sqlite3.Connection, sequence: int, last: int) -> dict[int, tuple[str, bytes]]:
    """Read one by one, since a damaged page ends every longer walk."""
    events: dict[int, tuple[str, bytes]] = {}
    for number in range(1, last + 1):
        with contextlib.suppress(sqlite3.Error):
            key = sequence * SHIFT + number
            row = db.execute("SELECT type, data FROM events WHERE id = ?", (key,)).fetchone()
            if row is not None:
                events[number] = (row[0], row[1])
    return events
