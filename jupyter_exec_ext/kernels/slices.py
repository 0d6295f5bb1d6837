"""`Slice`: how long all connections together work in one turn of the event loop, and who is next."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from weakref import WeakKeyDictionary

__all__ = ["Slice", "slice_of"]

#: Seconds of work in one turn of the event loop. Where many kernels want the processor, too, the scheduler
#: stretches it ten times and more.
LENGTH = 0.001


class Slice:
    """Begins with the first look at it; once it is over, those who wait go on one by one.

    Each goes on in a turn of its own: were all let in together, the turn would take as long as all of them.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        #: None while nobody has begun; else `_next` is called in the loop's next turn.
        self._until: float | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    def over(self) -> bool:
        """Whether it is somebody else's turn."""
        if self._until is None:
            self._begin()
            return False
        return time.monotonic() > self._until

    async def turn(self) -> None:
        """Wait for a slice with room, in the order of arrival; at once where there is no crowd."""
        if self._waiting or self.over():
            place = self._loop.create_future()
            self._waiting.append(place)
            await place

    def _begin(self) -> None:
        self._until = time.monotonic() + LENGTH
        self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._until = None
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():  # else whoever waited was cancelled
                place.set_result(None)
                self._begin()
                return


_slices: WeakKeyDictionary[asyncio.AbstractEventLoop, Slice] = WeakKeyDictionary()


def slice_of(loop: asyncio.AbstractEventLoop) -> Slice:
    """The slice of a loop, the same one for all that work on it."""
    if loop not in _slices:
        _slices[loop] = Slice(loop)
    return _slices[loop]
