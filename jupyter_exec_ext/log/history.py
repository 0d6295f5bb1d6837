"""The half of the event log that reads: memory where it reaches, else the disk."""

from __future__ import annotations

import asyncio
import builtins
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from traitlets.config import LoggingConfigurable

from ..errors import InvalidRequest, NotFound, Unavailable
from ..events import Event
from ..models import Execution
from .document import Part, Parts, document
from .entry import Entry
from .full import document_of, filled, in_full
from .memory import Memory
from .queries import (
    PAGE_CODE,
    Filter,
    code_size,
    find_key,
    listing,
    load,
    moment,
    outline,
    page,
    position,
    size_of,
)
from .reader import Reader
from .record import blocks_json, end_of
from .rescue import complete

__all__ = ["History"]

_PAGE_EVENTS = 256
# A reader that does not go on holds a page: hundreds of them must not fill the memory.
_PAGE_BYTES = 1 << 18
# How often an execution of another server is looked at: nobody here is told of its events.
_POLL_SECONDS = 0.2
_ID = re.compile(r"^[0-9a-f]{32}$")

T = TypeVar("T")


class _Found(NamedTuple):
    """An execution without its output (and code, where that is on disk), and where that is."""

    execution: Execution
    on_disk: int  # the number of the last entry that has to be read there
    tail: builtins.list[Entry]  # the entries after it
    code: Part | None  # the code blocks as JSON, where they are in memory


class History(LoggingConfigurable):
    """Reading by execution, by list and by idempotency key."""

    _memory: Memory
    _reader: Reader
    _documents: WeakValueDictionary[str, Parts]
    _closed = True

    async def read(self, execution_id: str, since: int = 0) -> AsyncIterator[Event]:
        """Events after number `since`: replayed, then live, until ``end``.

        Where `since` is beyond the last number, that is ``end`` alone, whether it has come yet or not.
        The data of ``end`` is ``{"execution": ...}`` without `output`, `outputs` and
        `code_blocks`, which `get` has.

        Raises
        ------
        NotFound
            Where there is no such execution, or it was deleted meanwhile.
        Unavailable
            Where the log was closed before the end.
        """
        async for entry in self.entries(execution_id, since):
            yield entry.event()

    async def entries(self, execution_id: str, since: int = 0) -> AsyncIterator[Entry]:
        """The same as `read`, with the data as the bytes that are stored: for what goes over the wire."""
        cursor, ended = await self._from(execution_id, since), False
        while not ended:
            entries = await self._page(execution_id, cursor)
            ended = not entries
            for entry in entries:
                cursor, ended = entry.number, entry.type == "end"
                if ended or cursor > since:
                    yield entry

    async def _from(self, execution_id: str, since: int) -> int:
        """The number after which to look: there may not be one as high as asked for before ``end``.

        Nor after it: a server that was killed has lost events that its readers have, and they want the end.
        """
        if since <= 0:
            return 0
        execution = await self.outline(execution_id)
        last = execution.last_event
        return last - 1 if execution.ended and since > last else min(since, last)

    async def _page(self, execution_id: str, cursor: int) -> builtins.list[Entry]:
        """Some entries after a number, waited for where there are none yet; none after the end."""
        while True:
            record = self._memory.records.get(execution_id)
            if record is None or cursor < record.base:
                entries = await self._stored_page(execution_id, cursor)
                if entries is not None:
                    return entries
            elif cursor < record.last:
                return record.after(cursor, _PAGE_EVENTS, _PAGE_BYTES)
            elif record.ended:
                return []
            elif self._closed:
                raise Unavailable("The server is stopping; read on from here when it is back.")
            else:
                await record.changed()

    async def _stored_page(self, execution_id: str, cursor: int) -> builtins.list[Entry] | None:
        """A page from disk; None where one should look again."""
        entries: builtins.list[Entry] | None = None
        if execution_id not in self._memory.deleted:
            entries = await self._query(page, execution_id, cursor, _PAGE_EVENTS, _PAGE_BYTES, default=None)
        if entries and entries[-1].type == "end" and await self._moved(execution_id, entries[-1]):
            entries.pop()
            if not entries:
                return None
        if entries:
            return complete(entries, cursor)
        if execution_id not in self._memory.records:
            execution = await self.outline(execution_id)
            if execution.ended:
                return await self._stored_end(execution, cursor)
        await asyncio.sleep(_POLL_SECONDS)
        return None

    async def _moved(self, execution_id: str, end: Entry) -> bool:
        """Whether something late has come before the end since that was read."""
        return (await self.outline(execution_id)).last_event > end.number

    async def _stored_end(self, execution: Execution, cursor: int) -> builtins.list[Entry] | None:
        if cursor >= execution.last_event:
            return []
        # It may have ended between the two looks. Else what is missing went away with a damaged file.
        entries = await self._query(page, execution.id, cursor, _PAGE_EVENTS, _PAGE_BYTES, default=None)
        if entries is None:
            await asyncio.sleep(_POLL_SECONDS)
            return None
        return complete(entries or [end_of(execution)], cursor)

    async def get(self, execution_id: str) -> Execution:
        """One execution with its `output` and `outputs`. Raises `NotFound`."""
        execution, until, tail, code = await self._found(execution_id)
        if code is None:
            execution = await self.summary(execution_id)
        if until == 0:
            return filled(execution, tail)
        return await self._query(in_full, execution, until, tail, default=execution)

    async def _found(self, execution_id: str) -> _Found:
        record = self._memory.records.get(execution_id)
        if record is not None:
            code = blocks_json(record.row.code)
            return _Found(record.summary(), record.base, builtins.list(record.tail), code)
        execution = await self.outline(execution_id)
        return _Found(execution, execution.last_event, [], None)

    async def document(self, execution_id: str) -> Parts:
        """The same as `get`, as JSON in parts: for what goes over the wire. Raises `NotFound`.

        Of an execution that has ended, all who hold it at the same time hold the same: it may be as long as
        the output, and they may be slow readers.
        """
        execution, until, tail, code = await self._found(execution_id)
        if not until:
            return document(execution, tail, code)
        held = self._documents.get(execution_id) if execution.ended else None
        if held is not None:
            return held
        found = await self._query(document_of, execution, until, tail, code, default=None)
        if found is None:
            return document(execution, tail, code)
        return self._documents.setdefault(execution_id, found) if execution.ended else found

    async def length(self, execution_id: str) -> int:
        """Bytes that what it has printed and its code have as JSON, about; 0 where there is no such one."""
        record = self._memory.records.get(execution_id)
        if record is not None and not record.base:
            return record.tail_bytes + len(record.row.code)
        beside = 0 if record is None else record.tail_bytes
        return beside + await self._query(size_of, execution_id, default=0)

    async def summary(self, execution_id: str) -> Execution:
        """One execution without its output. Raises `NotFound`."""
        return await self._short(execution_id, load)

    async def outline(self, execution_id: str) -> Execution:
        """The same without its code blocks, where those would have to be read. Raises `NotFound`."""
        return await self._short(execution_id, outline)

    async def _short(
        self, execution_id: str, read: Callable[[sqlite3.Connection, str], Execution | None]
    ) -> Execution:
        record = self._memory.records.get(execution_id)
        if record is not None:
            return record.summary()
        found = None
        if execution_id not in self._memory.deleted:
            found = await self._query(read, execution_id, default=None)
        if found is None or execution_id in self._memory.deleted:
            raise NotFound(f"There is no execution {execution_id}; it may have been deleted or be too old.")
        return found

    async def list(
        self,
        *,
        environment: str | None = None,
        session: str | None = None,
        status: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> builtins.list[Execution]:
        """Executions without their output, newest first.

        `before` is the id of an execution (the last of the page before), or a time in RFC 3339. A page
        also ends after `PAGE_CODE` characters of code; the last page is the one with nothing in it.
        """
        place = None if before is None else await self._place(before)
        wanted = Filter(environment, session, status, place)
        # What is in memory is newer than what is on disk; both are looked at as of this moment.
        memory, deleted = dict(self._memory.records), set(self._memory.deleted)
        most = limit + len(memory) + len(deleted)
        nothing: tuple[builtins.list[Execution], bool] = ([], False)
        rows, cut = await self._query(listing, wanted, most, default=nothing)
        found = [row for row in rows if row.id not in memory and row.id not in deleted]
        found += [record.summary() for record in memory.values() if wanted.admits(record.execution)]
        found.sort(key=_age, reverse=True)
        if cut:  # what is older than the last that was read may have others before it
            found = [execution for execution in found if _age(execution) >= _age(rows[-1])]
        return builtins.list(_page_of(found[:limit]))

    async def _place(self, before: str) -> tuple[str, str]:
        if not _ID.match(before):
            return (moment(before), "")
        record = self._memory.records.get(before)
        if record is not None:
            return (record.execution.created_at, before)
        place = await self._query(position, before, default=None)
        if place is None:
            raise InvalidRequest(f"There is no execution {before} to list from; begin anew.", field="before")
        return place

    async def find_key(self, key: str) -> tuple[str, str] | None:
        """The execution's id and the request's hash for an idempotency key."""
        found = self._memory.keys.get(key) or await self._query(find_key, key, default=None)
        return None if found is None or found[0] in self._memory.deleted else found

    async def _query(self, work: Callable[..., T], *arguments: Any, default: T) -> T:
        if self._closed:
            raise Unavailable("The server is stopping; ask again when it is back.")
        return await self._reader.run(work, *arguments, default=default)


def _age(execution: Execution) -> tuple[str, str]:
    return execution.created_at, execution.id


def _page_of(executions: Iterable[Execution]) -> Iterator[Execution]:
    size = 0
    for execution in executions:
        if size > PAGE_CODE:
            return
        size += code_size(execution)
        yield execution
