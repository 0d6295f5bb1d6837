"""Idempotency keys: a request that is sent again gets the execution it had."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from ..errors import Conflict
from .admission import body_hash

if TYPE_CHECKING:
    from ..log import EventLog
    from ..models import Execution, ExecutionRequest

__all__ = ["IdempotencyKeys"]


class IdempotencyKeys:
    """The keys of requests, as the log has them.

    Parameters
    ----------
    event_log : EventLog
    """

    def __init__(self, event_log: EventLog) -> None:
        self._event_log = event_log
        # For each key that is being looked up, for as long as somebody has it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, key: str) -> asyncio.Lock:
        """Hold this from looking for a key to its entry: of two at once, the second finds the first."""
        return self._locks.setdefault(key, asyncio.Lock())

    async def known(self, request: ExecutionRequest) -> Execution | None:
        """The execution that a request with this key has had before; None where there is none.

        Raises
        ------
        Conflict
            It was another request.
        """
        key = request.idempotency_key
        found = None if key is None else await self._event_log.find_key(key)
        if found is None:
            return None
        if found[1] != await asyncio.to_thread(body_hash, request):
            raise Conflict(
                "This idempotency key was given with another request before; choose another key.",
                field="idempotency_key",
            )
        return await self._event_log.summary(found[0])
