"""What the log keeps in memory: the records of executions, and what of them is written.

All of it belongs to the event loop's thread; the writer thread only reads entries and rows it
was handed, and those are not changed afterwards.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from pydantic_core import to_json

from ..models import CodeBlock, Execution
from .entry import Entry, encode

__all__ = [
    "LEFT_OUT",
    "Delete",
    "Operation",
    "Record",
    "Row",
    "blocks_json",
    "changed_row",
    "end_json",
    "end_of",
    "row_of",
]

_BLOCKS = b'{"blocks":'
#: An event has them already, or they are too long to be stored more than once.
LEFT_OUT = {"output", "outputs", "code_blocks"}


class Row(NamedTuple):
    """An execution as the database has it; `code` is written once."""

    id: str
    environment: str
    session: str | None
    status: str
    user: str
    key: str | None
    body_hash: str | None
    created_at: str
    ended_at: str | None
    record: bytes
    code: bytes


def row_of(
    execution: Execution, *, user: str = "", key: str | None = None, body_hash: str | None = None
) -> Row:
    """Write a new execution as a row."""
    return Row(
        id=execution.id,
        environment=execution.environment,
        session=execution.session,
        status=execution.status,
        user=user,
        key=key,
        body_hash=body_hash,
        created_at=execution.created_at,
        ended_at=execution.finished_at if execution.ended else None,
        record=_record_json(execution),
        code=_code_of(execution.code_blocks),
    )


def _code_of(blocks: list[CodeBlock]) -> bytes:
    try:
        return to_json({"blocks": blocks})  # code can be long: this makes it bytes at once
    except ValueError:
        return encode({"blocks": [block.model_dump() for block in blocks]})


def blocks_json(code: bytes) -> memoryview:
    """The list within what a row has as code: as it is, where it is."""
    return memoryview(code)[len(_BLOCKS) : -1]


def changed_row(row: Row, execution: Execution) -> Row:
    """The row of an execution that has changed; its code and what identifies it do not."""
    return row._replace(
        session=execution.session,
        status=execution.status,
        ended_at=execution.finished_at if execution.ended else None,
        record=_record_json(execution),
    )


def _record_json(execution: Execution) -> bytes:
    return encode(execution.model_dump(exclude=LEFT_OUT))


def end_json(record: bytes, time: str) -> bytes:
    """The data of an ``end`` event: the execution's record as it is stored, not written again."""
    return b'{"execution":%b,"time":"%b"}' % (record, time.encode())


def end_of(execution: Execution, time: str | None = None) -> Entry:
    """The ``end`` of an execution that has ended, made anew."""
    time = time or execution.finished_at or execution.created_at
    return Entry(execution.last_event, "end", end_json(_record_json(execution), time))


class Record:
    """One execution that is live, or whose end is not on disk yet.

    `tail` holds the entries after number `base`: at least all that are not on disk.
    """

    def __init__(self, execution: Execution, row: Row) -> None:
        self.execution = execution
        self.row = row
        self.base = 0
        self.tail: list[Entry] = []
        self.tail_bytes = 0
        self.flushed = 0
        self.unwritten = 0
        self.ended = False
        self.dropped = False
        self.stored = False
        #: Whether an end of it is on disk, so that it may be forgotten here at any time.
        self.whole = False
        self.waiting: list[asyncio.Future[None]] = []

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self.base + len(self.tail)

    def add(self, entry: Entry) -> None:
        """Take the next entry and wake whoever waits for it."""
        self.tail.append(entry)
        self.tail_bytes += entry.size
        self.wake()

    def reopen(self) -> None:
        """Take the end away, so that something may come before it."""
        if self.tail:
            self.tail_bytes -= self.tail.pop().size
        else:
            self.base -= 1
        self.flushed = min(self.flushed, self.last)

    def holds(self, entry: Entry) -> bool:
        """Whether that entry is the one of its number; an end may have been taken away."""
        return entry.number <= self.base or self.tail[entry.number - self.base - 1] is entry

    def wake(self) -> None:
        """Let all that wait look again."""
        if self.waiting:
            waiting, self.waiting = self.waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    async def changed(self) -> None:
        """Wait for the next entry."""
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        try:
            await future
        finally:
            if future in self.waiting:
                self.waiting.remove(future)

    def after(self, number: int, most: int, most_bytes: int) -> list[Entry]:
        """The entries after a number that is not below `base`; at least one where there is one."""
        entries: list[Entry] = []
        for entry in self.tail[number - self.base : number - self.base + most]:
            entries.append(entry)
            most_bytes -= entry.size
            if most_bytes <= 0:
                break
        return entries

    def trim(self, keep_bytes: int) -> None:
        """Forget the oldest entries that are on disk, until the tail is as short as it may be."""
        count = 0
        while self.tail_bytes > keep_bytes and self.base + count < self.flushed:
            self.tail_bytes -= self.tail[count].size
            count += 1
        del self.tail[:count]
        self.base += count

    def summary(self) -> Execution:
        """The execution as it is now, without its output; the caller may change it."""
        return self.execution.model_copy(update={"last_event": self.last})


class Operation(NamedTuple):
    """Write an execution's row as it was then, with one more event or none."""

    record: Record
    row: Row
    entry: Entry | None = None


class Delete(NamedTuple):
    """Forget an execution that has ended."""

    execution: str
