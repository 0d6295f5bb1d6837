"""Reading the log's file: two threads, each with a connection of its own.

In WAL mode readers wait for nobody, and nobody waits for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from ..errors import Unavailable
from .place import Files, files_at
from .schema import Schema
from .store import is_damage
from .stored import as_text
from .writer import Writer

__all__ = ["Reader"]

_THREADS = 2
# The writer begins a new file within milliseconds, unless somebody has the old one locked.
_SETTLE_SECONDS = 1.0
_ATTEMPTS, _PAUSE_SECONDS = 3, 0.05

T = TypeVar("T")


class _Desk:
    """One thread's connection, and the lock under which it is used."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: sqlite3.Connection | None = None
        self.schema: Schema | None = None
        self.files: Files | None = None

    def open(self, connection: sqlite3.Connection, files: Files) -> None:
        self.connection, self.files, self.schema = connection, files, Schema(connection)

    def is_there(self) -> bool:
        return self.schema is not None and self.schema.is_there()

    def close(self) -> None:
        connection, self.connection, self.files, self.schema = self.connection, None, None, None
        if connection is not None:
            connection.close()


class Reader:
    """The threads that read; they tell the writer where they find the file damaged, or another one."""

    def __init__(self, path: Path, writer: Writer) -> None:
        self._path = path
        self._writer = writer
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="exec-log-reader")
        self._local = threading.local()
        self._desks: list[_Desk] = []
        self._reading: set[Future[Any]] = set()

    async def run(self, work: Callable[..., T], *arguments: Any, default: T) -> T:
        """Call ``work(connection, *arguments)`` in a thread; `default` where there is no log on disk.

        Raises
        ------
        Unavailable
            Where the file cannot be read.
        """
        future = self._pool.submit(self._run, work, arguments, default)
        self._reading.add(future)
        future.add_done_callback(self._reading.discard)
        return await asyncio.wrap_future(future)

    def _run(self, work: Callable[..., T], arguments: tuple[Any, ...], default: T) -> T:
        for _ in range(_ATTEMPTS):
            files = self._settled()
            try:
                return self._read(files, work, arguments, default)
            except sqlite3.Error as error:
                failure = error
            if is_damage(failure):
                self._writer.suspect()
            if files == self._writer.files == files_at(self._path):
                break
            time.sleep(_PAUSE_SECONDS)  # it is just being begun anew
        raise Unavailable(f"The execution log cannot be read ({failure}); try again shortly.") from failure

    def _read(self, files: Files, work: Callable[..., T], arguments: tuple[Any, ...], default: T) -> T:
        desk = self._desk()
        with desk.lock:
            try:
                connection = self._connection(desk, files)
                if connection is None:
                    return default
                with _transaction(connection):
                    return work(connection, *arguments) if desk.is_there() else default
            except sqlite3.Error:
                desk.close()
                raise

    def _settled(self) -> Files:
        """The files, once the writer has seen to it that they are the log's: it has what was in others."""
        files, until = files_at(self._path), time.monotonic() + _SETTLE_SECONDS
        while self._writer.files not in (None, files) and time.monotonic() < until:
            self._writer.hurry()
            time.sleep(0.01)
            files = files_at(self._path)
        return files

    def _desk(self) -> _Desk:
        if not hasattr(self._local, "desk"):
            self._local.desk = _Desk()
            self._desks.append(self._local.desk)
        desk: _Desk = self._local.desk
        return desk

    def _connection(self, desk: _Desk, files: Files) -> sqlite3.Connection | None:
        """A connection, opened anew where one of the files has been replaced."""
        if not _is_file(self._path):
            desk.close()
            return None
        if desk.connection is None or desk.files != files:
            desk.close()
            desk.open(_connect(self._path), files)
        return desk.connection

    def renew(self) -> None:
        """Close the connections, each after what is read with it. Called in the writer's thread."""
        for desk in list(self._desks):
            with desk.lock:
                desk.close()

    async def close(self, seconds: float) -> None:
        """Close the connections, after what is being read; that is left alone after so many seconds."""
        await asyncio.to_thread(self._close, seconds)

    def _close(self, seconds: float) -> None:
        left = wait(list(self._reading), seconds).not_done
        self._pool.shutdown(wait=not left)
        if not left:
            self.renew()


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is read in it is of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _connect(path: Path) -> sqlite3.Connection:
    name = f"file:{quote(str(path))}?mode=ro"
    # A file in WAL mode needs companions that cannot be made where nothing can be written;
    # there, nobody else can write either.
    if not os.access(path.parent, os.W_OK):
        name += "&immutable=1"
    db = sqlite3.connect(name, uri=True, timeout=2.0, isolation_level=None, check_same_thread=False)
    db.text_factory = as_text
    return db
