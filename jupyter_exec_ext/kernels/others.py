"""`Others`: what other clients of a kernel have it do, as far as it tells everybody."""

from __future__ import annotations

import asyncio

__all__ = ["Others"]

#: Seconds after the end of what they ran in which the kernel begins with what else they have asked of it: of
#: a notebook's cells that wait in its queue, the next begins at once.
SETTLED = 0.15


class Others:
    """Until the kernel has told that it has nothing to do, it is taken to work for them."""

    def __init__(self) -> None:
        #: Set while it does nothing for them, and has not for a moment.
        self.done = asyncio.Event()
        #: Whether it has ever done something for them.
        self.seen = False
        self._settling: asyncio.TimerHandle | None = None

    @property
    def working(self) -> bool:
        """Whether the kernel works for them now."""
        return not self.done.is_set() and self._settling is None

    def hear(self, state: object) -> None:
        """Note the state that the kernel has told of a request that is theirs."""
        self._forget_settling()
        if state == "busy":
            self.seen = True
            self.done.clear()
        elif state == "idle":
            self._settling = asyncio.get_running_loop().call_later(SETTLED, self.rest)

    def rest(self) -> None:
        """Nothing that they have asked for is left, or will be told of."""
        self._forget_settling()
        self.done.set()

    def _forget_settling(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
