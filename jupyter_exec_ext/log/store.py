"""The SQLite side of the log: the statements of the writer.

Everything here blocks and runs in threads. An event's key is its execution's sequence number
times 2**32 plus its own number, so that a replay is one walk along the table's own tree.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .entry import Entry
from .place import Files, files_at, leads_away
from .record import Delete, Operation, Row
from .schema import Schema, format_of, is_newer
from .stored import FIT, LAST_SEQUENCE, RUN_OUT, SHIFT, as_text, lost_entry

__all__ = ["Replaced", "Store", "doom", "is_damage", "is_locked"]

# What SQLite says of a file that is not what was written.
_DAMAGE = ("malformed", "not a database")


class Replaced(OSError):
    """The file, or one of its companions, is not the one that is open any more."""


class Change:
    """What a batch does to one execution: its newest row, and the entries to add.

    One that was `whole` on disk and is not there any more was deleted, and stays so.
    """

    __slots__ = ("entries", "row", "whole")

    def __init__(self, row: Row, *, whole: bool = False) -> None:
        self.row, self.whole = row, whole
        self.entries: list[Entry] = []


class Store:
    """The writer's connection. Made, used and closed in the writer's thread.

    Parameters
    ----------
    path : Path
        The database file, which is there; see `prepare`.
    owner : str
        Whose executions the ones written here are.
    """

    def __init__(self, path: Path, owner: str) -> None:
        self.path = path
        self.owner = owner
        self._sequence: dict[str, int] = {}
        #: What is open here; None while it is being opened.
        self.files: Files | None = None
        self.db = _connect(path)
        self._schema = Schema(self.db)
        try:
            self._prepare()
            self.files = files_at(path)
        except BaseException:
            self.db.close()
            raise

    def in_place(self) -> bool:
        """Whether the files at the path are still those that are open here."""
        return self.files in (None, files_at(self.path))

    def save(self) -> bool:
        """Bring into the file what is in a companion that was removed, but is still open here.

        Return whether the file itself is in place. Raises `sqlite3.OperationalError` while others use it.
        """
        if self.files is None or self.files[:2] != files_at(self.path)[:2]:
            return False
        busy = 0
        with contextlib.suppress(sqlite3.Error):  # another server, which has the same open, may have done it
            (busy, *_) = self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("database is locked")
        return True

    def _prepare(self) -> None:
        db = self.db
        version = format_of(db)
        if is_newer(db):
            raise sqlite3.NotSupportedError(f"it was written by a newer version (format {version})")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("PRAGMA journal_size_limit=16777216")
        if version == 0:
            db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        db.execute("PRAGMA journal_mode=WAL")
        self._look()

    def _look(self) -> None:
        """Make the tables, or look whether they are ours still, which each transaction does."""
        self.transaction(lambda: None)

    def transaction(self, body: Callable[[], Any]) -> Any:
        """Run `body` in a transaction that has the write lock from its beginning."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            # With the lock: another server may have begun a new -wal file, and would not see what goes here.
            if not self.in_place():
                raise Replaced(f"{self.path} was removed or replaced")
            self._schema.settle()
            result = body()
            self.db.execute("COMMIT")
        except BaseException:
            self._sequence.clear()
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise
        return result

    def check(self) -> None:
        """Raise `sqlite3.DatabaseError` where the file is damaged."""
        self._look()
        # By a connection of its own: this one would answer from the pages that it has in memory.
        fresh = sqlite3.connect(_uri(self.path), uri=True, timeout=0.25)
        try:
            found = fresh.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            fresh.close()
        if found != "ok":
            raise sqlite3.DatabaseError(f"database disk image is malformed: {found}")

    def close(self) -> None:
        """Close the connection; the last one to do so removes the -wal file."""
        self.db.close()

    # ---- batches

    def apply(self, batch: Iterable[Operation | Delete]) -> None:
        """Write a batch, all or nothing. Writing it again does no harm."""
        changes, deleted = _gathered(batch)
        self.transaction(lambda: self._apply(changes, deleted))

    def _apply(self, changes: Iterable[Change], deleted: Iterable[str]) -> None:
        for change in changes:
            sequence = self._write_row(change)
            if sequence is None:
                continue
            key = sequence * SHIFT
            self.db.executemany(
                "INSERT OR REPLACE INTO events VALUES (?, ?, ?)",
                [(key + entry.number, entry.type, entry.json) for entry in change.entries],
            )
            if change.row.ended_at is not None:
                self._sequence.pop(change.row.id, None)
        for execution in deleted:
            # It has ended, but its end need not have come to disk.
            doom(self.db, "id = ?", execution)
            self._sequence.pop(execution, None)

    def _write_row(self, change: Change) -> int | None:
        # Not in order where an earlier part is written again, into a new file.
        row, numbers = change.row, [entry.number for entry in change.entries]
        last = max(numbers, default=0)
        size = sum(len(entry.json) for entry in change.entries)
        sequence = self._sequence.get(row.id) or self._find(row.id)
        if sequence is None and change.whole:
            return None
        if sequence is None:
            sequence = self._insert(row, last, size)
            self._fill(sequence, min(numbers, default=1))
            return sequence
        self.db.execute(
            "UPDATE executions SET session = ?, status = ?, ended_at = ?, record = ?,"
            " last_event = max(last_event, ?), bytes = bytes + ? WHERE seq = ?",
            (row.session, row.status, row.ended_at, row.record, last, size, sequence),
        )
        self._sequence[row.id] = sequence
        return sequence

    def _find(self, execution: str) -> int | None:
        query = f"SELECT seq FROM executions WHERE id = ? AND {FIT}"  # noqa: S608
        found = self.db.execute(query, (execution,)).fetchone()
        return found[0] if found else None

    def _insert(self, row: Row, last: int, size: int) -> int:
        *columns, record, code = row
        identifier, *rest = columns
        cursor = self.db.execute(
            "INSERT INTO executions (id, owner, environment, session, status, user, key, body_hash,"
            " created_at, ended_at, last_event, bytes, record) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (identifier, self.owner, *rest, last, size + len(code) + len(record), record),
        )
        sequence = cursor.lastrowid
        assert sequence is not None  # noqa: S101 - an INSERT has one
        if sequence > LAST_SEQUENCE:
            raise sqlite3.DatabaseError(RUN_OUT)
        self._clear(sequence)
        self.db.execute("INSERT INTO code VALUES (?, ?)", (sequence, code))
        self._sequence[row.id] = sequence
        return sequence

    def _clear(self, sequence: int) -> None:
        """Remove what has a number that is given out: SQLite never gives one twice, but a block may have."""
        key = sequence * SHIFT
        self.db.execute("DELETE FROM events WHERE id BETWEEN ? AND ?", (key, key + SHIFT - 1))
        for table in ("code", "garbage"):
            self.db.execute(f"DELETE FROM {table} WHERE execution = ?", (sequence,))  # noqa: S608

    def _fill(self, sequence: int, first: int) -> None:
        """Stand in for events that went away with a damaged file: no number is ever missing."""
        self.db.executemany(
            "INSERT OR IGNORE INTO events VALUES (?, ?, ?)",
            [(sequence * SHIFT + number, *lost_entry()) for number in range(1, first)],
        )


def _gathered(batch: Iterable[Operation | Delete]) -> tuple[Iterable[Change], list[str]]:
    """What a batch does to each execution, and which ones it deletes."""
    changes: dict[str, Change] = {}
    deleted = []
    for operation in batch:
        if isinstance(operation, Delete):
            deleted.append(operation.execution)
            continue
        change = changes.get(operation.row.id)
        if change is None:
            change = changes[operation.row.id] = Change(operation.row, whole=operation.record.whole)
        change.row = operation.row
        if operation.entry is not None:
            change.entries.append(operation.entry)
    return changes.values(), deleted


def _connect(path: Path) -> sqlite3.Connection:
    """Open the file that is there, and no link: SQLite has a flag for that which Python cannot set."""
    before = files_at(path)[:2]
    db = sqlite3.connect(_uri(path), uri=True, timeout=0.25, isolation_level=None)
    if leads_away(path) or files_at(path)[:2] != before:
        db.close()
        raise Replaced(f"{path} was removed or replaced")
    db.text_factory = as_text
    return db


def _uri(path: Path) -> str:
    """The name of a file that must be there."""
    return f"file:{quote(str(path))}?mode=rw"


def is_damage(error: Exception) -> bool:
    """Whether an error says that the file is not what SQLite wrote."""
    return isinstance(error, sqlite3.DatabaseError) and any(sign in str(error) for sign in _DAMAGE)


def is_locked(error: Exception) -> bool:
    """Whether an error says that somebody else is writing."""
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def doom(db: sqlite3.Connection, condition: str, *values: Any) -> int:
    """Take executions out of sight at once; their events are deleted later, in small steps."""
    db.execute(f"INSERT OR IGNORE INTO garbage SELECT seq FROM executions WHERE {condition}", values)  # noqa: S608
    return db.execute(f"DELETE FROM executions WHERE {condition}", values).rowcount  # noqa: S608
