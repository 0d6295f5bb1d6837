"""`Schedule`: whose turn it is.

Serial within a session, parallel across sessions up to a limit, and fair: sessions take turns, so
that one with a thousand executions delays another one's first by one turn only. Nothing waits in
a task of its own; what is queued is data.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import QueueFull

if TYPE_CHECKING:
    from .execution import LiveExecution
    from .session import LiveSession

__all__ = ["Schedule"]


class Schedule:
    """Queued executions and turns.

    Parameters
    ----------
    limit : int
        How many turns may go on at once.
    begin : callable
        Is given an execution when its turn has come; calls `done` when that is over.
    """

    def __init__(self, limit: int, begin: Callable[[LiveExecution], None]) -> None:
        self._limit = limit
        self._begin = begin
        self._waiting: deque[LiveSession] = deque()
        #: How many turns go on.
        self.running = 0
        #: How many executions wait for theirs.
        self.queued = 0

    def check_room(self, session: LiveSession, most: int) -> None:
        """Raise `QueueFull` where an execution would have to wait, and as many wait as may."""
        if self.queued >= most and not self.is_free(session):
            raise QueueFull(f"{self.queued} executions wait already, as many as may; try again later.")

    def is_free(self, session: LiveSession) -> bool:
        """Whether an execution in that session would have its turn at once."""
        return self.running < self._limit and not session.queue and not session.in_turn

    def add(self, live: LiveExecution) -> None:
        """Queue an execution in its session."""
        session = live.session
        live.waiting = True
        session.queue.append(live)
        self.queued += 1
        if len(session.queue) == 1 and not session.in_turn:
            self._waiting.append(session)
        self._next()

    def drop(self, live: LiveExecution) -> None:
        """Take an execution out of its queue; one that has had its turn is in none."""
        if live.waiting:
            live.waiting = False
            self.queued -= 1
            session = live.session
            session.queue.remove(live)
            if not session.queue and not session.in_turn:
                self._waiting.remove(session)

    def done(self, session: LiveSession) -> None:
        """A turn is over."""
        session.in_turn = False
        self.running -= 1
        if session.queue:
            self._waiting.append(session)
        self._next()

    def _next(self) -> None:
        while self._waiting and self.running < self._limit:
            session = self._waiting.popleft()
            live = session.queue.popleft()
            live.waiting = False
            self.queued -= 1
            self.running += 1
            session.in_turn = True
            self._begin(live)
