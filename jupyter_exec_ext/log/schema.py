"""The tables of the log's file, and whether they are still those that were made.

A block can change them: a trigger can drop every row that is inserted, or compute for ever, and so can a
view in the place of a table. So nothing is read or written before they have been looked at, in the same
transaction. SQLite counts changes of the schema: it need only be looked at where that number is another one.
"""

from __future__ import annotations

import contextlib
import sqlite3
from functools import lru_cache
from typing import Any

__all__ = ["Schema", "format_of", "is_newer"]

#: The format's number. A newer one has to have other tables as well: a block can change the number alone.
FORMAT = 1
_TABLES = """
CREATE TABLE executions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
    environment TEXT NOT NULL, session TEXT, status TEXT NOT NULL, user TEXT NOT NULL,
    key TEXT, body_hash TEXT, created_at TEXT NOT NULL, ended_at TEXT,
    last_event INTEGER NOT NULL, bytes INTEGER NOT NULL, record BLOB NOT NULL);
CREATE INDEX executions_created ON executions (created_at, id);
CREATE INDEX executions_key ON executions (key) WHERE key IS NOT NULL;
CREATE INDEX executions_live ON executions (owner) WHERE ended_at IS NULL;
CREATE INDEX executions_ended ON executions (ended_at) WHERE ended_at IS NOT NULL;
CREATE TABLE code (execution INTEGER PRIMARY KEY, blocks BLOB NOT NULL);
CREATE TABLE events (id INTEGER PRIMARY KEY, type TEXT NOT NULL, data BLOB NOT NULL);
CREATE TABLE garbage (execution INTEGER PRIMARY KEY);
"""
# Nobody's words are in it: they would come into a warning.
_FOREIGN = "database disk image is malformed: its tables are not those that were made"


class Schema:
    """Looks at the schema of a connection's file. Each call is made within a transaction.

    Parameters
    ----------
    db : sqlite3.Connection
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: int | None = None

    def settle(self) -> None:
        """Make the tables in a new file. Raises `sqlite3.DatabaseError` where there are others."""
        if self._is_known():
            return
        if not _found(self._db) and format_of(self._db) == 0:  # another server may have been faster
            _make(self._db)
        elif not _is_ours(self._db):
            raise sqlite3.DatabaseError(_FOREIGN)
        if format_of(self._db) != FORMAT:
            self._db.execute(f"PRAGMA user_version={FORMAT}")
        self._known = self._number()

    def is_there(self) -> bool:
        """Whether the tables can be read: a new file has none yet, and those of a newer version are others.

        Raises `sqlite3.DatabaseError` where they are something else.
        """
        if self._is_known():
            return True
        if is_newer(self._db) or not _found(self._db):
            return False
        if not _is_ours(self._db):
            raise sqlite3.DatabaseError(_FOREIGN)
        self._known = self._number()
        return True

    def _is_known(self) -> bool:
        return self._known is not None and self._known == self._number()

    def _number(self) -> int:
        return int(self._db.execute("PRAGMA schema_version").fetchone()[0])


def is_newer(db: sqlite3.Connection) -> bool:
    """Whether a newer version has written the file."""
    return format_of(db) > FORMAT and not _is_ours(db)


def format_of(db: sqlite3.Connection) -> int:
    """The number of the file's format; 0 for a new one."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _make(db: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";"):
        db.execute(statement)


def _is_ours(db: sqlite3.Connection) -> bool:
    return _found(db) == _made()


def _found(db: sqlite3.Connection) -> list[Any]:
    # What ANALYZE leaves is an administrator's, and does nothing by itself.
    return db.execute(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_master"
        " WHERE NOT (type = 'table' AND name GLOB 'sqlite_stat*') ORDER BY type, name"
    ).fetchall()


@lru_cache
def _made() -> list[Any]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        _make(db)
        return _found(db)
