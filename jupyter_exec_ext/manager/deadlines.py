"""Waiting that always ends, whatever the thing waited for does.

`asyncio.wait_for` waits for ever where a coroutine swallows its cancellation; an executor that
does so must not hang an execution, a session or the server's stop. `within` gives it a while
and then goes on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["LAST_WAIT", "Alarm", "GivenUp", "Patience", "closing", "within"]

T = TypeVar("T")

#: Seconds a cancelled coroutine gets to clean up before it is left behind.
CLEAN_UP = 2.0
#: Seconds for what was cancelled to clean up when the server stops.
LAST_WAIT = 5.0


@dataclass(frozen=True)
class Patience:
    """How many seconds an executor gets for what is asked of it, before it counts as broken.

    Parameters
    ----------
    start : float
        From `CodeExecutor.start` or `restart` to its return.
    late : float
        More than an execution's time limit for the start that it has to wait for.
    run : float
        From an execution's time limit to the executor's own ``end`` event.
    close : float
        From the ``end`` event to the end of the iterator.
    cancel : float
        From the first `CodeExecutor.cancel` to the ``end`` event.
    stop : float
        For `CodeExecutor.stop`.
    """

    start: float = 60.0
    late: float = 3.0
    run: float = 10.0
    close: float = 5.0
    cancel: float = 15.0
    stop: float = 10.0


class Alarm:
    """Calls something when the time is up; it can be put off, and set again from the beginning.

    Parameters
    ----------
    seconds : float or None
        None for never.
    call : callable
    """

    def __init__(self, seconds: float | None, call: Callable[[], None]) -> None:
        self._seconds, self._call = seconds, call
        self._handle: asyncio.TimerHandle | None = None
        #: Whether the time was up.
        self.rang = False

    def set(self) -> None:
        """Begin to count."""
        self.put_off()
        if self._seconds is not None:
            self._handle = asyncio.get_running_loop().call_later(self._seconds, self._ring)

    def _ring(self) -> None:
        self.rang = True
        self._call()

    def put_off(self) -> None:
        """Stop counting."""
        if self._handle is not None:
            self._handle.cancel()


class GivenUp(Exception):
    """The work had not ended in time, or there was no more use for it.

    Parameters
    ----------
    stuck : bool
        Whether it did not even end when it was cancelled, so that its task is still there.
    """

    def __init__(self, *, stuck: bool) -> None:
        super().__init__("was given up")
        self.stuck = stuck


async def within(
    work: Coroutine[Any, Any, T],
    seconds: float | None,
    *,
    until: asyncio.Future[Any] | None = None,
    grace: float = 0.0,
) -> T:
    """Await `work`, but not for longer than this.

    Parameters
    ----------
    work : coroutine
        Runs in a task of its own.
    seconds : float or None
        How long it may take.
    until : future, optional
        Once this is done there is no more use for the work.
    grace : float
        How many seconds it gets after `until` to end by itself.

    Raises
    ------
    GivenUp
        It had not ended then; it was cancelled, and awaited for a short time.
    """
    task = asyncio.ensure_future(_contained(work))
    waited = {task} if until is None else {task, until}
    asked = False
    try:
        await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if grace and until is not None and until.done() and not task.done():
            await asyncio.wait({task}, timeout=grace)
    finally:
        if not task.done():
            asked = True
            await _stopped(task)
    if not task.done():
        raise GivenUp(stuck=True)
    if task.cancelled():
        if asked:
            raise GivenUp(stuck=False)
        raise RuntimeError("it was cancelled from inside")
    return task.result()


async def _contained(work: Coroutine[Any, Any, T]) -> T:
    try:
        return await work
    except SystemExit as error:
        # Out of a task, it would end the server.
        raise RuntimeError("it wanted to exit the server") from error


async def _stopped(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=CLEAN_UP)
    if not task.done():
        # Whatever becomes of it later is nobody's business any more; without this, asyncio
        # would report an exception that was never retrieved.
        task.add_done_callback(lambda late: late.cancelled() or late.exception())


@asynccontextmanager
async def closing(stream: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close an iterator afterwards, where it is one that can be closed (a generator)."""
    try:
        yield stream
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
