"""The log's part in memory: the records of live executions, and the account of what is not on disk yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..errors import Conflict, NotFound
from ..models import Execution
from .entry import Entry
from .record import Delete, Operation, Record, Row
from .writer import Writer

__all__ = ["Memory"]

_TAIL_BYTES = 256 << 10


class Memory:
    """Everything the event loop's thread knows without asking the disk.

    Parameters
    ----------
    writer : Writer
        Takes what is to be written.
    most : int
        Bytes that may wait for a disk that cannot be written.
    evicted : callable
        Is given each record that is forgotten because there is no room for it.
    """

    def __init__(self, writer: Writer, most: int, evicted: Callable[[Record], None]) -> None:
        self.records: dict[str, Record] = {}
        self.keys: dict[str, tuple[str, str]] = {}
        self.deleted: set[str] = set()
        self.unwritten_bytes = 0
        self.stuck = False
        self._writer = writer
        self._most = most
        self._evicted = evicted
        self._put = self._done = 0
        self._waiting: list[asyncio.Future[None]] = []

    def live(self, execution_id: str) -> Record:
        """The record of an execution that can take events."""
        record = self.records.get(execution_id)
        if record is None:
            raise NotFound(f"There is no live execution {execution_id} in the log.")
        if record.ended:
            raise Conflict(f"Execution {execution_id} has ended; nothing can be added to it.")
        return record

    def begin(self, execution: Execution, row: Row) -> None:
        """Take a new execution."""
        if execution.id in self.records or (row.key is not None and row.key in self.keys):
            raise Conflict("There is an execution of this id or idempotency key already; ask for that one.")
        record = self.records[execution.id] = Record(execution, row)
        if row.key is not None:
            self.keys[row.key] = (execution.id, row.body_hash or "")
        self.put(record)

    def add(self, record: Record, entry: Entry) -> None:
        """Take an event: the readers first, then the writer."""
        record.add(entry)
        self.unwritten_bytes += entry.size
        self.put(record, entry)

    def put(self, record: Record, entry: Entry | None = None) -> None:
        """Queue a record, with an event or without."""
        record.unwritten += 1
        self._put += 1
        self._writer.put(Operation(record, record.row, entry))
        if self.stuck and self.unwritten_bytes > self._most:
            self._shed()

    def delete(self, execution_id: str) -> None:
        """Forget an execution at once, here and then on disk."""
        record = self.records.get(execution_id)
        if record is not None:
            self._drop(record)
        self._remove(execution_id)

    def _remove(self, execution_id: str) -> None:
        self.deleted.add(execution_id)
        self._put += 1
        self._writer.put(Delete(execution_id))

    def put_again(self) -> None:
        """Write what there is in memory into a new file."""
        for record in self.records.values():
            self.put(record)
            for entry in record.tail[: max(0, record.flushed - record.base)]:
                self.unwritten_bytes += entry.size
                self.put(record, entry)

    def written(self, operations: list[Operation | Delete]) -> None:
        """Account for what is on disk now, and forget what need not be here any more."""
        touched = set()
        for operation in operations:
            if isinstance(operation, Delete):
                self._done += 1
                self.deleted.discard(operation.execution)
            elif not operation.record.dropped:
                self._settle(operation)
                touched.add(operation.record)
            elif not operation.record.whole and operation.row.id not in self.deleted:
                # It was forgotten while it was being written: what came to disk must not look as if it ran.
                self._remove(operation.row.id)
        for record in touched:
            record.trim(_TAIL_BYTES)
            if record.ended and record.unwritten == 0:
                self._forget(record)
        self.notify()

    def _settle(self, operation: Operation) -> None:
        record, _, entry = operation
        self._done += 1
        record.unwritten -= 1
        record.stored = True
        if entry is not None:
            if record.holds(entry):
                record.flushed = max(record.flushed, entry.number)
            self.unwritten_bytes -= entry.size

    async def flushed(self) -> None:
        """Wait until all that was put so far is on disk, or the disk is known to refuse it."""
        mark = self._put
        while self._done < mark and not self.stuck:
            self._writer.hurry()
            await self._change()

    async def below(self, most: int) -> None:
        """Wait while more than so many bytes are not on disk and the disk takes them."""
        while self.unwritten_bytes > most and not self.stuck:
            await self._change()

    async def _change(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def notify(self) -> None:
        """Let all that wait for the disk look again."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _forget(self, record: Record) -> None:
        self.records.pop(record.row.id, None)
        if record.row.key is not None:
            self.keys.pop(record.row.key, None)

    def _drop(self, record: Record) -> None:
        record.dropped = True
        self._done += record.unwritten
        self.unwritten_bytes -= sum(entry.size for entry in record.tail if entry.number > record.flushed)
        self._forget(record)
        record.wake()

    def _shed(self) -> None:
        """Keep within bounds: forget whole executions that have ended, then the content of large outputs."""
        goal = self._most * 3 // 4
        self._shed_ended(goal)
        self._writer.forget()
        for record in self.records.values():
            for entry in record.tail[max(0, record.flushed - record.base) :]:
                if self.unwritten_bytes <= goal:
                    return
                freed = entry.shed()
                self.unwritten_bytes -= freed
                record.tail_bytes -= freed

    def _shed_ended(self, goal: int) -> None:
        for record in [record for record in self.records.values() if record.ended]:
            if self.unwritten_bytes <= goal:
                return
            if record.whole:
                self._drop(record)
                continue
            if record.stored:  # what is on disk of it never ended there, and must not look as if it ran
                self.delete(record.row.id)
            else:
                self._drop(record)
            self._evicted(record)
