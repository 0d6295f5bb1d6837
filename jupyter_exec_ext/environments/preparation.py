"""`Preparation`: how an environment is being made, told to many readers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ..events import Event

__all__ = ["Preparation"]

# An installer that prints without end is not followed line by line for ever.
MAX_EVENTS = 2000


class Preparation:
    """The events of one preparation, numbered from 1: progress, then one status.

    The registry's task writes, any number of readers read; all on one event loop.
    """

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._news = asyncio.Event()
        self.ended = False

    def progress(self, label: str, current: int, total: int) -> None:
        """Add what is being done; after `MAX_EVENTS` of them nothing more is added."""
        if len(self._events) < MAX_EVENTS:
            self._add(Event("progress", {"label": label, "current": current, "total": total}))

    def end(self, status: str, reason: str | None = None) -> None:
        """Add the status it ended with, once."""
        if not self.ended:
            self.ended = True
            self._add(Event("status", {"status": status, "reason": reason}))

    async def read(self, since: int = 0) -> AsyncIterator[Event]:
        """Yield the events after number `since`, then the new ones, until the last."""
        at = max(since, 0)
        while True:
            while at < len(self._events):
                at += 1
                yield self._events[at - 1]
            if self.ended:
                return
            await self._news.wait()

    def _add(self, event: Event) -> None:
        self._events.append(Event(event.type, event.data, len(self._events) + 1, event.time))
        self._news.set()
        self._news = asyncio.Event()
