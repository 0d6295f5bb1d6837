"""`LongAnswers`: how much of what executions have printed waits in the server to be read by its clients."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from ..allocator import trim
from ..errors import Unavailable

if TYPE_CHECKING:
    from ..log import EventLog
    from ..log.document import Parts

__all__ = ["LongAnswers"]

#: Seconds from the end of an answer to when all that it was made of is free.
FREED = 0.02


class LongAnswers:
    """Lets no more documents be read than there is room for: a slow reader holds one for as long as it reads.

    Those of up to `SHORT` bytes count as nothing once they are read: what the network has not taken of them
    is no more than a piece or two.
    """

    #: Bytes that wait at one time, and those kept free for each document that is being read.
    LIMIT, RESERVE = 32 * 1024 * 1024, 8 * 1024 * 1024
    SHORT = 256 * 1024

    def __init__(self) -> None:
        self._reading = 0
        #: Bytes of each document by its identity, and how many readers share it.
        self._held: dict[int, tuple[int, int]] = {}
        self._changed = asyncio.Event()

    @property
    def held(self) -> int:
        """Bytes of the documents that are being sent; what several readers share counts once."""
        return sum(size for size, _ in self._held.values())

    @contextlib.asynccontextmanager
    async def document(self, log: EventLog, execution_id: str, patience: float) -> AsyncIterator[Parts]:
        """Read an execution's document once there is room for it, and hold it until it is sent.

        Raises
        ------
        Unavailable
            There was no room in so many seconds.
        NotFound
            There is no such execution.
        """
        if not self._room and await log.length(execution_id) > self.SHORT:
            await self._wait(patience)
        self._reading += 1
        try:
            parts = await log.document(execution_id)
        finally:
            self._reading -= 1
            self._changed.set()
        with self._holding(parts):
            yield parts

    async def _wait(self, patience: float) -> None:
        until = time.monotonic() + patience
        while not self._room:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), until - time.monotonic())
            except asyncio.TimeoutError:
                raise Unavailable(
                    "Others read what executions have printed, and too slowly for more to be read now; "
                    "try again shortly."
                ) from None

    @property
    def _room(self) -> bool:
        alone = not (self._held or self._reading)
        return alone or self.held + (self._reading + 1) * self.RESERVE <= self.LIMIT

    @contextlib.contextmanager
    def _holding(self, parts: Parts) -> Iterator[None]:
        size, key = _bytes_of(parts), id(parts)
        if size <= self.SHORT:
            yield
            return
        self._held[key] = (size, self._held.get(key, (0, 0))[1] + 1)
        try:
            yield
        finally:
            readers = self._held[key][1] - 1
            self._held[key] = (size, readers)
            if not readers:
                del self._held[key]
                # Once the handler holds nothing of it any more, either; who waits comes after that.
                asyncio.get_running_loop().call_later(FREED, self._give_back)

    def _give_back(self) -> None:
        trimmed = asyncio.get_running_loop().run_in_executor(None, trim)
        trimmed.add_done_callback(lambda _: self._changed.set())


def _bytes_of(parts: Parts) -> int:
    """What is printed is a part of a document twice, and held once."""
    return sum(map(len, {id(part): part for part in parts}.values()))
