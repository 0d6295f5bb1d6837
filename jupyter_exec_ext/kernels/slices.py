"""`Slice`: how long all connections together may read in one turn of the event loop."""

from __future__ import annotations

import asyncio
import time
from weakref import WeakKeyDictionary

__all__ = ["slice_of"]

#: Seconds of one turn of the event loop.
LENGTH = 0.004


class Slice:
    """Begins with the first look in a turn of the loop, and ends with the turn.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._until: float | None = None

    def over(self) -> bool:
        """Whether it is somebody else's turn."""
        if self._until is None:
            self._until = time.monotonic() + LENGTH
            self._loop.call_soon(self._begin)
            return False
        return time.monotonic() > self._until

    def _begin(self) -> None:
        self._until = None


_slices: WeakKeyDictionary[asyncio.AbstractEventLoop, Slice] = WeakKeyDictionary()


def slice_of(loop: asyncio.AbstractEventLoop) -> Slice:
    """The slice of a loop, the same one for all that read on it."""
    if loop not in _slices:
        _slices[loop] = Slice(loop)
    return _slices[loop]
