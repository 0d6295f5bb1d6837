"""`KernelTurn`: a run's place among all that others have asked of its kernel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

from ..events import Event
from ..kernels.connection import KernelConnection
from ..kernels.request import KernelRequest
from .execution import Execution

__all__ = ["KernelTurn"]

#: Seconds in which a kernel that is free begins with what it is sent; one that does not has others to serve.
PROMPT = 0.1


class KernelTurn:
    """Waits until a kernel that others use, too, has begun with our cell, and does not count that time.

    Parameters
    ----------
    connection : KernelConnection
    execution : Execution
        Whose clock stands still meanwhile, and whose cancel ends the wait.
    attached : bool
        Whether the kernel is somebody else's: then others may be served first, though nothing has shown it.
    """

    def __init__(self, connection: KernelConnection, execution: Execution, *, attached: bool) -> None:
        self._connection, self._execution, self._attached = connection, execution, attached
        self._queued = False

    def behind(self, request: KernelRequest) -> bool:
        """Whether a request waits in the kernel's queue: an interrupt would hit whom it waits for."""
        if request.began.is_set():
            return False
        return self._attached or self._connection.work.occupied(besides=request)

    async def come(self) -> AsyncGenerator[Event, None]:
        """Wait for a kernel that others keep busy: what was sent to it now could not be taken back.

        Between two cells of theirs it is not waited for: whoever uses a kernel in turns with somebody else
        would wait each time. If another one of theirs does begin, it is waited for as `begin` does.
        """
        if not self._connection.work.going_on():
            return
        yield self._wait()
        since = time.monotonic()
        await _first_of(self._connection.work.until_free(), self._execution.cancelled.wait())
        self._execution.waited(time.monotonic() - since)

    async def begin(self, request: KernelRequest) -> AsyncGenerator[Event, None]:
        """Wait until the kernel begins with a request that was sent."""
        if self.behind(request):
            await self._begun(request, PROMPT)
            if self.behind(request) and not self._queued:
                yield self._wait()
            await self._begun(request)
        if self._queued and not self._execution.cancelled.is_set():
            self._queued = False
            yield Event("status", {"status": "running"})

    async def until_begun(self, request: KernelRequest, since: float) -> None:
        """The same without events; the time since then is not counted where there was a wait."""
        if self.behind(request):
            await self._begun(request)
            self._execution.waited(time.monotonic() - since)

    def _wait(self) -> Event:
        self._queued = True
        return Event("status", {"status": "queued"})

    async def _begun(self, request: KernelRequest, seconds: float | None = None) -> None:
        await _first_of(request.began.wait(), self._execution.cancelled.wait(), seconds=seconds)


async def _first_of(*waits: Coroutine[Any, Any, object], seconds: float | None = None) -> None:
    """Wait until one of these has ended, at most so long."""
    waiting = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiting:
            waiter.cancel()
