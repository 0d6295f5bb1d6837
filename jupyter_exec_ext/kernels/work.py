"""`Work`: all that a kernel has to do, for us and for others, as far as it tells."""

from __future__ import annotations

from collections.abc import Callable

from .others import Others
from .request import KernelRequest
from .requests import Requests

__all__ = ["Work"]


class Work:
    """What one kernel is asked.

    Parameters
    ----------
    lost : callable
        Whether the kernel is lost, so that nothing of it will end.
    """

    def __init__(self, lost: Callable[[], bool]) -> None:
        self.requests, self.others = Requests(), Others()
        self._lost = lost

    def occupied(self, besides: KernelRequest | None = None) -> bool:
        """Whether the kernel works for others: other clients, other sessions, or a run that was given up."""
        return not self.others.done.is_set() or self.requests.pending(besides)

    def going_on(self) -> bool:
        """Whether it is at work for them now; a moment after the end of that it is `occupied` only."""
        return self.others.working or self.requests.pending()

    async def until_free(self) -> None:
        """Wait until it does not, or is lost."""
        while not self._lost() and self.occupied():
            await self.others.done.wait()
            await self.requests.until_done()
