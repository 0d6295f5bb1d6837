"""`EventLog`: what the manager writes to and the readers follow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from traitlets import Float, Integer, Unicode, default

from ..errors import Conflict, Unavailable
from ..events import Event
from ..models import Execution, now
from .entry import Entry, encode
from .history import History
from .late import Late, read_again
from .memory import Memory
from .notice import Notice, Observer, Telling, notice_of
from .reader import Reader
from .record import Delete, Operation, Record, changed_row, end_json, row_of
from .upkeep import Limits
from .watch import Watch
from .writer import Writer

__all__ = ["EventLog"]

_BACKLOG_BYTES = 8 << 20
_FAIR_BYTES = 64 << 10
_OPEN_SECONDS = 2.0
_CLOSE_SECONDS = 5.0


class EventLog(History):
    """Numbered events of all executions, on disk, for any number of readers from any number.

    The manager calls `create`, `append`, `update` and `finish` on the event loop; none of them
    does I/O. A thread writes what they leave, in batches. Readers are woken by `append` and
    read from memory while they keep up, else from disk: a slow one costs only its cursor.
    """

    path = Unicode(help="The SQLite file of the execution log.").tag(config=True)
    flush_interval = Float(0.02, help="Collect writes for so many seconds, at most 0.04.").tag(config=True)
    max_age_days = Float(90.0, help="Forget what ended so many days ago; 0: never.").tag(config=True)
    max_executions = Integer(10_000, help="Keep so many executions; 0: no limit.").tag(config=True)
    max_bytes = Integer(1 << 30, help="Keep the file below so many bytes; 0: no limit.").tag(config=True)
    max_memory = Integer(
        32 << 20, help="Keep so many bytes in memory while the log cannot be written to disk."
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        #: Are told, on the event loop, of each execution that the log ended or removed by itself: by the
        #: one server that did it. Who is added before `open` hears of what that finds, too.
        self.observers: list[Observer] = []

    @default("path")
    def _default_path(self) -> str:
        from jupyter_core.paths import jupyter_data_dir

        return str(Path(jupyter_data_dir()) / "exec" / "log.sqlite")

    async def open(self, server: str) -> None:
        """Open or make the file, and end as ``lost`` what dead servers left unfinished.

        Never fails for the disk's sake: see `warning`.
        """
        self._loop = asyncio.get_running_loop()
        self._refusal: str | None = None
        self._aside: Path | None = None
        self._since_yield = 0
        self._closed = False
        path = Path(self.path)
        limits = Limits(self.max_age_days or None, self.max_executions or None, self.max_bytes or None)
        # Where the path is not the administrator's, its directory is ours, and must be no link.
        below = path.parent.parent if self.path == self._default_path() else None
        self._writer = Writer(path, server, min(self.flush_interval, 0.04), limits, self, self.log, below)
        self._memory = Memory(self._writer, self.max_memory, self._evicted)
        self._telling = Telling(self.observers, self.log)
        self._watch = Watch(self._writer, self._settle_state, self.log)
        self._reader = Reader(path, self._writer)
        self._documents = WeakValueDictionary()
        self._late = Late(self._memory, self._read_again, self._forget_document, self.log)
        self._removed = self._saved = False
        self._writer.start()
        self._watch.start()
        await asyncio.to_thread(self._writer.opened.wait, _OPEN_SECONDS)

    async def close(self) -> None:
        """Write what is not on disk yet, and end the threads. Readers that wait get `Unavailable`."""
        if self._closed:
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._late.finish(), _CLOSE_SECONDS)
        self._closed = True
        self._writer.hurry()
        await self._reader.close(_CLOSE_SECONDS)  # before the writer: the last to close tidies the files up
        self._writer.end()
        await asyncio.to_thread(self._writer.join, _CLOSE_SECONDS)
        self._watch.stop()
        await self._telling.finish(_CLOSE_SECONDS)
        for record in self._memory.records.values():
            record.wake()
        self._set_state("it is closed", self._aside)

    @property
    def _reason(self) -> str | None:
        """Why nothing comes to disk, where that is so."""
        return self._watch.reason or self._refusal

    @property
    def warning(self) -> str | None:
        """Why history is not what it should be, for the people who use it; None where all is well."""
        sentences = []
        if self._reason and not self._closed:
            sentences.append(
                f"The execution log is in memory only and will be gone when the server stops: {self._reason}."
            )
        if self._aside:
            sentences.append(
                f"The execution log was damaged; it was moved to {self._aside} and a new one begun."
            )
        if self._removed:
            sentences.append(
                "The execution log was removed while the server ran, with what it held; a new one was begun."
            )
        if self._saved:
            sentences.append(
                "A part of the execution log was removed while the server ran; it is made anew from the rest."
            )
        return " ".join(sentences) or None

    # ---- writing

    def create(
        self, execution: Execution, *, user: str = "", key: str | None = None, body_hash: str | None = None
    ) -> None:
        """Begin the record of an execution; it can be read from now on.

        Raises
        ------
        Conflict
            Where the identifier, or the idempotency key of a live execution, is taken.
        Unavailable
            Where the log is closed.
        """
        if self._closed:
            raise Unavailable("The server is stopping; send the request again later.")
        self._memory.begin(_snapshot(execution), row_of(execution, user=user, key=key, body_hash=body_hash))

    def append(self, execution_id: str, event: Event) -> int:
        """Add an event, wake the readers, and return its number. Cheap; does no I/O.

        Raises
        ------
        NotFound, Conflict
            Where the execution was not created here; where it has ended.
        """
        record = self._memory.live(execution_id)
        entry = Entry(record.last + 1, event.type, encode({**event.data, "time": event.time}))
        self._memory.add(record, entry)
        self._since_yield += entry.size
        return entry.number

    def update(self, execution: Execution) -> None:
        """Write the record again, since it has changed. Does nothing once it has ended."""
        record = self._memory.records.get(execution.id)
        if record is not None and not record.ended:
            execution.last_event = record.last
            record.row = changed_row(record.row, execution)
            record.execution = _snapshot(execution)
            self._memory.put(record)

    def finish(self, execution: Execution) -> None:
        """End an execution, whose status is a final one: ``end`` is the last event it gets.

        Does nothing where it has ended already, so that a cancel may race the completion.

        Raises
        ------
        Conflict
            Where the status is not a final one.
        """
        record = self._memory.records.get(execution.id)
        if record is None or record.ended:
            return
        if not execution.ended:
            raise Conflict(f"An execution cannot end as {execution.status!r}; give it a final status first.")
        execution.finished_at = execution.finished_at or now()
        execution.last_event = record.last + 1
        record.row = changed_row(record.row, execution)
        record.execution = _snapshot(execution)
        record.ended = True
        self._memory.add(record, Entry(execution.last_event, "end", end_json(record.row.record, now())))

    def add_late(self, execution_id: str, event: Event) -> None:
        """Add an event to an execution that has ended, soon and in its order; ``end`` stays the last one.

        Does nothing where the execution is not there any more, or the log is closed.
        """
        if not self._closed:
            self._late.put(execution_id, event)

    async def _read_again(self, execution_id: str) -> Record | None:
        return await self._query(read_again, execution_id, default=None)

    def _forget_document(self, execution_id: str) -> None:
        self._documents.pop(execution_id, None)

    async def drain(self) -> None:
        """Wait while more is to be written than a disk that works would leave (backpressure).

        Gives other tasks a turn now and then, so that a flood that never waits starves nobody.
        """
        if self._since_yield > _FAIR_BYTES:
            self._since_yield = 0
            await asyncio.sleep(0)
            await self._memory.below(_BACKLOG_BYTES)

    async def flush(self) -> None:
        """Wait until everything so far is on disk; returns at once where the disk refuses it."""
        await self._memory.flushed()

    async def delete(self, execution_id: str) -> None:
        """Forget an execution. Raises `NotFound`, and `Conflict` while it has not ended."""
        execution = await self.outline(execution_id)
        if not execution.ended:
            raise Conflict(f"Execution {execution_id} has not ended; cancel it first.")
        self._memory.delete(execution_id)

    # ---- called from the writer's thread

    def written(self, operations: list[Operation | Delete]) -> None:
        """The writer reports what is on disk (see `Listener`)."""
        self._call(partial(self._memory.written, operations))

    def state(self, reason: str | None, aside: Path | None) -> None:
        """The writer reports whether it can write (see `Listener`)."""
        self._call(partial(self._set_state, reason, aside))

    def renewing(self) -> None:
        """The writer is about to open the file anew (see `Listener`)."""
        self._reader.renew()

    def renewed(self, *, removed: bool, saved: bool = False) -> None:
        """The writer reports that the file is a new one (see `Listener`)."""
        self._call(partial(self._renew, removed, saved))

    def noticed(self, notices: list[Notice]) -> None:
        """The writer reports what upkeep has ended or removed (see `Listener`)."""
        self._call(partial(self._notice, notices))

    def _notice(self, notices: list[Notice]) -> None:
        # Of what somebody deletes at this moment, who does so tells.
        self._telling.add(one for one in notices if one.execution.id not in self._memory.deleted)

    def _evicted(self, record: Record) -> None:
        if self.observers:
            self._telling.add([notice_of("deleted", record.execution, record.row.user, record.row.code)])

    def _renew(self, removed: bool, saved: bool) -> None:
        self._removed, self._saved = self._removed or removed, self._saved or saved
        self._memory.put_again()

    def _call(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it all that would listen
            self._loop.call_soon_threadsafe(function)

    def _set_state(self, reason: str | None, aside: Path | None) -> None:
        self._refusal, self._aside = reason, aside
        self._settle_state()

    def _settle_state(self) -> None:
        self._memory.stuck = self._reason is not None
        self._memory.notify()


def _snapshot(execution: Execution) -> Execution:
    """A copy that neither the manager's later changes nor a reader's reach."""
    return execution.model_copy(update={"output": None, "outputs": None})
