"""Turns: one run at a time in an executor, and one run at a time with a named file.

A named file is a run's own until the run has ended, not only until its interpreter has opened it:
tracebacks, ``multiprocessing`` and scripts that look at ``$0`` read it again, and would meet
another run's code.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from weakref import WeakValueDictionary

from ..errors import Conflict

__all__ = ["FileTurn", "RunTurn"]

#: Turns of the event loop until it has begun to close an iterator that nobody holds any more: one to
#: make the task, one for its first step (`asyncio` and uvloop alike); one to spare.
LOOP_TURNS = 3


class _File:
    """A named file: who has it, and how many want it, that one included."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.wanted = 0


_files: WeakValueDictionary[str, _File] = WeakValueDictionary()


class FileTurn:
    """A run's turn with a named file, among all runs of this process.

    Parameters
    ----------
    path : Path or None
        The file; None where the block has none of its own, and need not wait.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else _files.setdefault(str(path), _File())
        self._held = False

    @property
    def free(self) -> bool:
        """Whether there is nothing to wait for."""
        return self._file is None or not self._file.wanted

    async def take(self, seconds: float | None, given_up: asyncio.Event) -> bool:
        """Wait for the turn, at most so long and until it is given up; whether it is ours now."""
        if self._file is None:
            return True
        self._file.wanted += 1
        try:
            self._held = await _acquired(self._file.lock, seconds, given_up)
        finally:
            self._file.wanted -= not self._held
        return self._held

    def release(self) -> None:
        """Let the next one have the file."""
        if self._held and self._file is not None:
            self._held = False
            self._file.wanted -= 1
            self._file.lock.release()


async def _acquired(lock: asyncio.Lock, seconds: float | None, given_up: asyncio.Event) -> bool:
    """Whether the lock could be had in that time; one that is had is never lost, whoever cancels us."""
    waiter = asyncio.ensure_future(lock.acquire())
    gone = asyncio.ensure_future(given_up.wait())
    try:
        await asyncio.wait({waiter, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    except BaseException:
        if not waiter.cancel():
            lock.release()
        raise
    finally:
        gone.cancel()
    return not waiter.cancel()  # False where it is ours already: there is nothing to cancel then


class RunTurn:
    """Lets one run at a time into an executor.

    An iterator of events that its reader has left by ``break`` is closed by the event loop a moment
    later: a run that comes meanwhile waits for that. A run that somebody still reads is a conflict.

    Parameters
    ----------
    refusal : str
        What the conflict says.
    """

    def __init__(self, refusal: str) -> None:
        self._refusal = refusal
        self._ended: asyncio.Event | None = None
        self._left = False

    async def take(self) -> None:
        """Begin a run. Raises `Conflict` where another goes on."""
        for _ in range(LOOP_TURNS):
            if self._ended is None or self._left:
                break
            await asyncio.sleep(0)
        while self._ended is not None:
            if not self._left:
                raise Conflict(self._refusal)
            await self._ended.wait()
        self._ended, self._left = asyncio.Event(), False

    def release(self) -> None:
        """The run has ended."""
        if self._ended is not None:
            self._ended.set()
            self._ended = None

    def __enter__(self) -> RunTurn:
        """Notice, around what yields to the reader, that the reader has left."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left = kind is not None
