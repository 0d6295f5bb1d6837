"""What the log keeps in memory: entries (events as they are written) and the records of executions.

All of it belongs to the event loop's thread; the writer thread only reads entries and rows it
was handed, and those are not changed afterwards.
"""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from ..events import Event, EventType
from ..models import CodeBlock, Execution

__all__ = [
    "LEFT_OUT",
    "LOST",
    "Delete",
    "Entry",
    "Operation",
    "Record",
    "Row",
    "blocks_json",
    "changed_row",
    "decode",
    "encode",
    "end_json",
    "end_of",
    "row_of",
]

# What an entry costs beside its bytes: the object, its place in two lists, the bytes' own header.
_OVERHEAD = 250
_PLACEHOLDER_OVER = 200
_LARGEST_DEPTH = 100
#: What stands in the place of output that cannot be read any more.
LOST = {"name": "stderr", "text": "\n[output that was lost when the execution log was damaged]\n"}

_strict = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str).encode

_BLOCKS = b'{"blocks":'
#: An event has them already, or they are too long to be stored more than once.
LEFT_OUT = {"output", "outputs", "code_blocks"}


def encode(data: dict[str, Any]) -> bytes:
    """Write data as JSON in UTF-8.

    What JSON or UTF-8 cannot say is replaced, never refused: output must not get lost for one
    value in it. NaN and the infinities become null (as in JavaScript), a lone surrogate U+FFFD.
    """
    try:
        return _strict(data).encode()
    except (ValueError, TypeError, RecursionError):
        return _strict(_clean(data, 0)).encode()


def _clean(value: Any, depth: int) -> Any:
    if depth > _LARGEST_DEPTH:
        return None
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_clean(str(key), depth): _clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item, depth + 1) for item in value]
    return value if value is None or isinstance(value, (bool, int)) else _clean(str(value), depth)


def decode(raw: Any) -> dict[str, Any]:
    """Read what `encode` wrote. Raises `ValueError`, and nothing else, where it is anything else."""
    if not isinstance(raw, (bytes, str)):
        raise ValueError("it is no text")
    try:
        data = from_json(raw)
    except ValueError as error:
        if "recursion" not in str(error):
            raise
        data = _decode_deep(raw)
    if not isinstance(data, dict):
        raise ValueError("it is no object")
    return data


def _decode_deep(raw: bytes | str) -> Any:
    try:
        return _clean(json.loads(raw), 0)
    except RecursionError:
        raise ValueError("it is too deep") from None


class Entry:
    """One logged event as it goes over the wire.

    Parameters
    ----------
    number : int
    type : EventType
    json : bytes
        The event's data with its ``time``, as JSON in UTF-8 on one line.
    """

    __slots__ = ("json", "number", "type")

    def __init__(self, number: int, type: EventType, json: bytes) -> None:
        self.number = number
        self.type = type
        self.json = json

    @property
    def size(self) -> int:
        """Bytes of memory, nearly."""
        return len(self.json) + _OVERHEAD

    def event(self) -> Event:
        """The event, made anew for every reader, so that none can change what another one sees."""
        try:
            data = decode(self.json)
            time = str(data.pop("time"))
            if self.type == "stream":
                data = {"name": str(data["name"]), "text": str(data["text"])}
        except (ValueError, KeyError):
            # SQLite has no checksums: damage within a text is found by nobody else.
            return Event("stream", dict(LOST), self.number)
        return Event(self.type, data, self.number, time)

    def shed(self) -> int:
        """Give up the content of a large output, keeping its number; return the bytes that were freed."""
        if len(self.json) <= _PLACEHOLDER_OVER or self.type in ("end", "status"):
            return 0
        before, data = len(self.json), decode(self.json)
        text = f"\n[{before} bytes were not kept: the log is in memory only, and its limit is reached]\n"
        self.type = "stream"
        self.json = encode({"name": data.get("name", "stderr"), "text": text, "time": data["time"]})
        return before - len(self.json)


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
