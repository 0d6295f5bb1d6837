"""Rows that nothing could find or order, made fit for it; see `stored` for what else may be damaged."""

from __future__ import annotations

import sqlite3

from ..models import new_id, now
from .stored import FIT, IS_ID, IS_TIME, LAST_SEQUENCE, LONG_AGO, RUN_OUT

__all__ = ["mend"]


def mend(db: sqlite3.Connection) -> None:
    """Give each execution an identifier and times, where what it has is none. In a transaction.

    So it is in the list again, can be deleted there, and is forgotten in its time. Raises
    `sqlite3.DatabaseError` where only a new file helps.
    """
    _check_sequences(db)
    _mend_times(db)
    for (sequence,) in _wrong(db, IS_ID):
        db.execute("UPDATE executions SET id = ? WHERE seq = ?", (new_id(), sequence))


def _wrong(db: sqlite3.Connection, right: str) -> list[tuple[int]]:
    return db.execute(f"SELECT seq FROM executions WHERE NOT ({right})").fetchall()  # noqa: S608


def _mend_times(db: sqlite3.Connection) -> None:
    for sequence in _wrong(db, IS_TIME.format("created_at")):
        db.execute("UPDATE executions SET created_at = ? WHERE seq = ?", (LONG_AGO, *sequence))
    for sequence in _wrong(db, f"ended_at IS NULL OR {IS_TIME.format('ended_at')}"):
        db.execute("UPDATE executions SET ended_at = ? WHERE seq = ?", (now(), *sequence))


def _check_sequences(db: sqlite3.Connection) -> None:
    """Raise `sqlite3.DatabaseError` where there is a number, or comes next, that fits into no event's key."""
    db.execute(f"DELETE FROM garbage WHERE NOT (execution BETWEEN 1 AND {LAST_SEQUENCE})")  # noqa: S608
    query = "SELECT max(CAST(seq AS INTEGER)) FROM sqlite_sequence WHERE name = 'executions'"
    (latest,) = db.execute(query).fetchone()
    if _wrong(db, FIT) or (latest or 0) >= LAST_SEQUENCE:
        raise sqlite3.DatabaseError(RUN_OUT)
