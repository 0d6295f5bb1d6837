"""`Turnstile`: a crowd of requests is let in a few at a time."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Turnstile"]


class Turnstile:
    """Lets so many requests begin in each turn of the event loop, in the order they came.

    A server that begins a thousand requests at once answers all of them at the end, and whoever
    comes meanwhile, whatever they ask for, after them. Those that have not begun cost nothing.

    Parameters
    ----------
    at_once : int
        How many begin in one turn.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._left = at_once
        self._turning = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Wait for a place; where there is no crowd, that is at once."""
        loop = asyncio.get_running_loop()
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn, loop)
        if self._left:
            self._left -= 1
        else:
            self._waiting.append(loop.create_future())
            await self._waiting[-1]

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = self._at_once
        self._turning = bool(self._waiting)
        while self._waiting and self._left:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                self._left -= 1
        if self._turning:
            loop.call_soon(self._turn, loop)
