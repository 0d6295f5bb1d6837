"""`Requests`: what was asked over one connection, and what of it the kernel still has to do."""

from __future__ import annotations

from collections import OrderedDict

from ..errors import ExecError
from .request import KernelRequest

__all__ = ["Requests"]

#: How many requests that have ended are remembered, so that their late output is known as theirs.
REMEMBERED = 256


class Requests:
    """The requests of one connection, by the identifiers of their messages."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, KernelRequest] = OrderedDict()
        #: Those the kernel may not be done with: all that are remembered would take too long to look through.
        self._open: set[KernelRequest] = set()

    def add(self, request: KernelRequest) -> None:
        """Remember one that was sent, and forget the oldest that have ended."""
        self._open = {one for one in self._open if not one.done.is_set()}
        self._open.add(request)
        self._known[request.id] = request
        while len(self._known) > REMEMBERED and next(iter(self._known.values())).over:
            self._known.popitem(last=False)

    def get(self, name: str) -> KernelRequest | None:
        """The request of that identifier, where it is remembered."""
        return self._known.get(name)

    def pending(self, besides: KernelRequest | None = None) -> bool:
        """Whether the kernel has something to do, also where nobody waits for it any more."""
        return any(not one.done.is_set() and one is not besides for one in self._open)

    async def until_done(self) -> None:
        """Wait until the kernel is done with all of them, or is lost."""
        for request in tuple(self._open):
            await request.done.wait()

    def lose(self, error: ExecError) -> None:
        """Nothing will be heard of any of them."""
        for request in self._known.values():
            request.fail(error)
            request.done.set()
