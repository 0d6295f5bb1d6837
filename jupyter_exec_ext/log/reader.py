"""Reading the log's file: two threads, each with a connection of its own.

In WAL mode readers wait for nobody, and nobody waits for them.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from pydantic_core import to_json

from ..errors import NotFound, Unavailable
from ..models import Execution
from .record import Entry, end_of
from .store import is_damage
from .stored import (
    COLUMNS,
    FIT,
    LAST_NUMBER,
    SHIFT,
    SOUND,
    Stored,
    as_text,
    code_of,
    entry_of,
    execution_of,
    last_of,
    outline_of,
    time_of,
)

__all__ = [
    "PAGE_CODE",
    "Filter",
    "Reader",
    "code",
    "code_size",
    "find_key",
    "listing",
    "load",
    "loaded",
    "outline",
    "page",
    "position",
    "whole",
]

_THREADS = 2
#: Characters of code after which a page of a list ends, so that a few long ones do not fill the memory.
PAGE_CODE = 2 * 1024 * 1024

T = TypeVar("T")


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


class Reader:
    """The threads that read; they call `damaged` where they find that the file is."""

    def __init__(self, path: Path, damaged: Callable[[], None]) -> None:
        self._path = path
        self._damaged = damaged
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="exec-log-reader")
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []

    async def run(self, work: Callable[..., T], *arguments: Any, default: T) -> T:
        """Call ``work(connection, *arguments)`` in a thread; `default` where there is no log on disk.

        Raises
        ------
        Unavailable
            Where the file cannot be read.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._run, work, arguments, default)

    def _run(self, work: Callable[..., T], arguments: tuple[Any, ...], default: T) -> T:
        try:
            connection = self._connection()
            return default if connection is None else work(connection, *arguments)
        except (sqlite3.Error, ValueError) as error:
            self._forget()
            if is_damage(error) or isinstance(error, ValueError):
                self._damaged()
            if "no such table" in str(error):  # the writer has not come so far
                return default
            raise Unavailable(f"The execution log cannot be read ({error}); try again shortly.") from error

    def _connection(self) -> sqlite3.Connection | None:
        """This thread's connection, opened anew where the file has been replaced."""
        try:
            found = self._path.stat()
        except OSError:
            found = None
        if found is None or not stat.S_ISREG(found.st_mode):
            self._forget()
            return None
        inode = found.st_ino
        if getattr(self._local, "inode", None) != inode:
            self._forget()
            self._local.connection = _connect(self._path)
            self._local.inode = inode
            self._open.append(self._local.connection)
        connection: sqlite3.Connection = self._local.connection
        return connection

    def _forget(self) -> None:
        connection = getattr(self._local, "connection", None)
        self._local.inode = self._local.connection = None
        if connection is not None:
            self._open.remove(connection)
            connection.close()

    async def close(self) -> None:
        """Wait for what is being read, and close the connections."""
        await asyncio.to_thread(self._pool.shutdown)
        while self._open:
            self._open.pop().close()


def _connect(path: Path) -> sqlite3.Connection:
    name = f"file:{quote(str(path))}?mode=ro"
    # A file in WAL mode needs companions that cannot be made where nothing can be written;
    # there, nobody else can write either.
    if not os.access(path.parent, os.W_OK):
        name += "&immutable=1"
    db = sqlite3.connect(name, uri=True, timeout=2.0, isolation_level=None, check_same_thread=False)
    db.text_factory = as_text
    return db


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
    row = Stored(*db.execute(query, (row.seq,)).fetchone())  # it may have ended since
    return end_of(outline_of(row, last_of(db, row)), time_of(data))


def whole(db: sqlite3.Connection, execution: str, until: int) -> Iterator[Entry]:
    """All entries up to a number, as they are asked for."""
    row = _row(db, execution)
    if row is None:
        return
    low = row.seq * SHIFT
    rows = db.execute(
        "SELECT id, type, data FROM events WHERE id > ? AND id <= ? ORDER BY id",
        (low, low + min(until, LAST_NUMBER)),
    )
    for key, type_, data in rows:
        yield entry_of(key - low, type_, data)


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
