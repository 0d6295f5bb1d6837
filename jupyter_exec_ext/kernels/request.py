"""`KernelRequest`: one execute request, from its sending to its two ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from ..errors import ExecError
from .wire import Message

__all__ = ["KernelRequest"]

#: Seconds of silence after one of a request's two ends, after which the other counts as lost.
SECOND_END = 5.0
#: Seconds after which a cell that nobody wants any more is interrupted: a shorter one has ended by then, and
#: an interrupt that is sent in its last moment would hit the next cell, which is somebody else's.
UNWANTED = 0.05


class KernelRequest:
    """What was asked of a kernel.

    It has ended once both the reply (on the shell channel) and the kernel's ``idle`` (on iopub) are
    there: they come by two ways, and only after the second is all the output there. Where the kernel forgot
    its reply, `ended` has an empty one: nobody knows then whether it ran it.

    Parameters
    ----------
    id : str
        Of the request's message.
    take : callable
        Gets the messages that belong to it.
    gone : callable
        Is called once no more of them can come.
    """

    def __init__(self, id: str, take: Callable[[Message], None], gone: Callable[[], None]) -> None:
        self.id = id
        #: Set when the kernel has begun with it, so that it waits for nobody else.
        self.began = asyncio.Event()
        #: Set when the kernel is done with it, which may be after `ended`: who waited may have given up.
        self.done = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._take, self._gone = take, gone
        self._reply: dict[str, Any] | None = None
        self._idle = False
        self._last_wait: asyncio.TimerHandle | None = None
        self._spoke = 0.0
        self._interrupt: Callable[[], Awaitable[None]] | None = None
        self._stopping: asyncio.Future[None] | None = None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.ended.done()

    @property
    def ending(self) -> bool:
        """Whether one of its two ends is there: the kernel may be at work on the next one's."""
        return self._idle or self._reply is not None

    def void(self, interrupt: Callable[[], Awaitable[None]]) -> None:
        """It is not wanted any more, but waits in the kernel's queue: interrupt it once it has begun."""
        self._interrupt, self._take = interrupt, self._unwanted

    def _unwanted(self, message: Message) -> None:
        if message.type == "execute_input":  # a `busy` has also what the kernel then does not run
            self._loop.call_later(UNWANTED, self._stop)

    def _stop(self) -> None:
        if self._interrupt is not None and not self.ending:
            self._stopping = asyncio.ensure_future(_quietly(self._interrupt()))

    def put(self, message: Message) -> None:
        """Take a message that belongs to it."""
        if message.type == "status":
            self._state(message.content.get("execution_state"))
        elif message.type == "execute_reply":
            self._reply = message.content
            self._settle()
        else:
            self.began.set()
            self._take(message)
            if self._last_wait is not None:
                self._spoke = self._loop.time()

    def _state(self, state: object) -> None:
        if state == "busy":
            self.began.set()
        elif state == "idle":
            self._idle = True
            self._settle()

    def _settle(self) -> None:
        if self.over:  # by `fail`: nobody waits for the second one
            self.done.set()
        elif self._reply is not None and self._idle:
            self._finish()
        else:
            self._wait_for_second()

    def _wait_for_second(self) -> None:
        # A kernel that forgets one of the two is still a kernel; one that still speaks has not ended. The
        # time of what it says is noted, and no timer made for each message.
        self._spoke = self._loop.time()
        if self._last_wait is None:
            self._last_wait = self._loop.call_at(self._spoke + SECOND_END, self._was_silent)

    def _was_silent(self) -> None:
        due = self._spoke + SECOND_END
        if due > self._loop.time():
            self._last_wait = self._loop.call_at(due, self._was_silent)
        else:
            self._finish()

    def _finish(self) -> None:
        if self._last_wait is not None:
            self._last_wait.cancel()
        self.began.set()
        self.done.set()
        if not self.over:
            self.ended.set_result(self._reply or {})

    def fail(self, error: ExecError) -> None:
        """Nobody waits for its end any more."""
        self._gone()
        if self._last_wait is not None:
            self._last_wait.cancel()
        if not self.over:
            self.began.set()
            self.ended.set_exception(error)
            self.ended.exception()  # whoever does not wait for it need not be told


async def _quietly(interrupt: Awaitable[None]) -> None:
    with contextlib.suppress(ExecError):
        await interrupt
