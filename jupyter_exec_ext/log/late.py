"""`Late`: what an execution shows once it has ended, such as a thread's output in a kernel that goes on.

``end`` is the last event of every execution. So it moves: a ``status``, which shows nothing, takes its
number; the late events and the new ``end`` come after that. No number is missing, and whoever has read the
old end and asks for what comes after its number gets all that is new.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ExecError
from ..events import Event, EventType
from ..models import now
from .entry import Entry, encode
from .queries import load
from .record import Record, changed_row, end_json, row_of

if TYPE_CHECKING:
    import logging

    from .memory import Memory

    Logger = logging.Logger | logging.LoggerAdapter[Any]

__all__ = ["Late", "read_again"]


class Late:
    """Adds events to executions that have ended, in the order in which they came.

    Parameters
    ----------
    memory : Memory
    read : callable
        Reads the record of an execution that is not in memory; None where there is none.
    changed : callable
        Is told which execution is not any more what it was.
    logger : logging.Logger
    """

    def __init__(
        self,
        memory: Memory,
        read: Callable[[str], Awaitable[Record | None]],
        changed: Callable[[str], object],
        logger: Logger,
    ) -> None:
        self._memory, self._read, self._changed, self._logger = memory, read, changed, logger
        self._waiting: dict[str, list[Event]] = {}
        self._task: asyncio.Task[None] | None = None

    def put(self, execution_id: str, event: Event) -> None:
        """Add an event soon. Nothing happens where the execution is not there any more."""
        self._waiting.setdefault(execution_id, []).append(event)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._work())

    async def finish(self) -> None:
        """Wait until all that was put is with the writer."""
        if self._task is not None:
            await self._task

    async def _work(self) -> None:
        while self._waiting:
            execution_id = next(iter(self._waiting))
            record = await self._record(execution_id)
            events = self._waiting.pop(execution_id)  # with those that came meanwhile
            if record is not None and record.ended:
                self._add(record, events)
                self._changed(execution_id)

    async def _record(self, execution_id: str) -> Record | None:
        try:
            found = self._memory.records.get(execution_id) or await self._read(execution_id)
        except Exception as error:  # whatever it is, others' late output comes after it
            trace = None if isinstance(error, ExecError) else error
            self._logger.warning(
                "Late output of execution %s is lost: %s", execution_id, error, exc_info=trace
            )
            return None
        if found is None or execution_id in self._memory.deleted:
            return None
        return self._memory.records.setdefault(execution_id, found)

    def _add(self, record: Record, events: Sequence[Event]) -> None:
        record.reopen()
        before = Event("status", {"status": record.execution.status})
        for event in (before, *events):
            record.execution.truncated |= event.truncated
            self._put(record, event.type, encode({**event.data, "time": event.time}))
        record.execution.last_event = record.last + 1
        record.row = changed_row(record.row, record.execution)
        self._put(record, "end", end_json(record.row.record, now()))

    def _put(self, record: Record, kind: EventType, data: bytes) -> None:
        # Where the disk takes nothing, there may be no room for it: then what is on disk stays as it is.
        if not record.dropped:
            self._memory.add(record, Entry(record.last + 1, kind, data))


def read_again(db: sqlite3.Connection, execution_id: str) -> Record | None:
    """The record of an execution that has ended and is on disk, with nothing of it in memory."""
    execution = load(db, execution_id)
    query = "SELECT user, key, body_hash FROM executions WHERE id = ?"
    found = db.execute(query, (execution_id,)).fetchone()
    if execution is None or found is None or not execution.ended:
        return None
    user, key, body_hash = found
    record = Record(execution, row_of(execution, user=user, key=key, body_hash=body_hash))
    record.base = record.flushed = execution.last_event
    record.stored = record.ended = record.whole = True
    return record
