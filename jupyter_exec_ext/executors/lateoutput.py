"""`LateOutput`: what a kernel shows for a run that has ended, as a thread of it may for hours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..events import Event
from ..kernels.wire import Message
from .kerneloutput import KernelOutput

__all__ = ["LateOutput"]

#: Bytes that are kept of what one run shows after its end; from the beginning, since nobody knows its end.
LATE_LIMIT = 256 * 1024
#: Seconds between two lots of events: each time more, since a thread may print for hours.
FIRST, MOST = 0.25, 10.0


class LateOutput:
    """Takes messages and tells what becomes of them, some at a time, until the limit is reached.

    Parameters
    ----------
    tell : callable or None
        Is given each event; None where nobody wants to know.
    """

    def __init__(self, tell: Callable[[Event], None] | None) -> None:
        self._tell = tell
        self._output = KernelOutput(2 * LATE_LIMIT, lambda: None)
        self._timer: asyncio.TimerHandle | None = None
        self._pause = FIRST
        self._full = False

    def take(self, message: Message) -> None:
        """Take a message of the run."""
        if self._tell is None or self._full:
            return
        self._output.take(message)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._pause, self.flush)

    def flush(self) -> None:
        """Tell now what has come since the last time."""
        if self._timer is None or self._tell is None:
            return
        self._timer.cancel()
        self._timer, self._pause, tell = None, min(MOST, 1.5 * self._pause), self._tell
        for event in self._output.fetch():
            tell(event)
        if self._output.full:
            self._full = True
            self._output = KernelOutput(0, lambda: None)
            note = f"\n[of what it prints after its end, no more than {LATE_LIMIT:,} bytes are kept]\n"
            tell(Event("stream", {"name": "stderr", "text": note}, truncated=True))
