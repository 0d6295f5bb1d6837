"""`LiveSession`: one live instance of an environment, its queue, and the one execution in its turn."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from ..errors import Refused, SessionLost
from ..events import Outcome
from ..executors.base import CodeExecutor
from ..models import Session, now
from .deadlines import GivenUp, Patience, within
from .execution import LiveExecution, ended_as
from .instance import HasFiles, Instance
from .runner import Runner

if TYPE_CHECKING:
    from .execution import Logger

__all__ = ["LiveSession"]


class LiveSession:
    """A session as the manager has it.

    Parameters
    ----------
    model : Session
        What is shown of it.
    kept : bool
        Whether it stays when its queue is empty; one that was made for one execution does not.
    make : callable
        Makes an executor for it.
    clean_up : callable
        Removes its private directory; is called in a thread, once nothing uses it any more.
    patience : Patience
    logger : logging.Logger
    changed : callable
        Is told when its status changes; must not raise.
    """

    def __init__(
        self,
        model: Session,
        *,
        kept: bool,
        make: Callable[[], CodeExecutor],
        clean_up: Callable[[], None],
        patience: Patience,
        logger: Logger,
        changed: Callable[[LiveSession], None],
    ) -> None:
        self.model = model
        self.kept = kept
        self.queue: deque[LiveExecution] = deque()
        self.in_turn = False  #: Whether `Schedule` has given it a turn.
        self.current: LiveExecution | None = None  #: The execution in its turn.
        self.gone = asyncio.Event()  #: Set when nothing of it is left.
        self._latest: LiveExecution | None = None
        self._patience = patience
        self._clean_up = clean_up
        self._changed = changed
        self._instance = Instance(model.environment, make, patience, logger)
        self._runner = Runner(self._instance, model.environment, kept=kept, patience=patience, logger=logger)
        self._begun = False
        self._uses = 0
        self._used = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        """The session's identifier."""
        return self.model.id

    @property
    def idle_seconds(self) -> float:
        """For how long nobody has used it; 0 while somebody does."""
        in_use = self.queue or self.in_turn or self._uses or not self._begun
        return 0.0 if in_use else time.monotonic() - self._used

    def view(self) -> Session:
        """What is shown of it now; a copy."""
        return self.model.model_copy(update={"status": self._status(), "kernel_id": self._instance.kernel_id})

    def touch(self) -> None:
        """Note that it is in use."""
        self._used = time.monotonic()
        self.model.last_activity = now()

    # ---- its executor

    async def start(self) -> None:
        """Start it. Raises `EnvironmentFailed` with the reason where it cannot."""
        await self._instance.ready()
        self._show()

    async def restart(self) -> None:
        """End what runs as ``lost``, and begin with empty state; what is queued runs afterwards."""
        self.touch()
        live = self.current if self.current is not None and self.current.in_executor else None
        outcome = ended_as("lost", "The session was restarted while this ran.", state_kept=False)
        if live is not None:
            live.expect(outcome)
        try:
            await self._instance.restart()
        finally:
            if live is not None:
                await self._settle(live, outcome)
            self._show()

    async def interrupt(self) -> None:
        """Send what runs the interrupt of a keyboard; nothing happens where nothing runs."""
        executor = self._instance.usable
        if self.current is not None and self.current.in_executor and executor is not None:
            self.touch()
            try:
                await within(executor.interrupt(), self._patience.stop)
            except GivenUp:
                raise SessionLost("The session does not take the interrupt; restart it.") from None

    async def send_input(self, value: str) -> None:
        """Answer the program. Raises `Conflict` where it has not asked."""
        executor = self._instance.usable
        if executor is None:
            raise SessionLost("The session is not there any more; run the code again.")
        await executor.send_input(value)

    @asynccontextmanager
    async def files(self) -> AsyncIterator[HasFiles]:
        """The executor's files; the session is in use meanwhile."""
        self._uses += 1
        try:
            executor = await self._instance.ready()
            if not isinstance(executor, HasFiles):
                raise Refused(f"The files of {self.model.environment} cannot be reached from here.")
            yield executor
        finally:
            self._uses -= 1
            self.touch()

    # ---- executions

    async def run(self, live: LiveExecution) -> None:
        """Run an execution in its turn; it has ended when this returns."""
        if live.over or self._closing is not None:
            live.end(ended_as("cancelled", "The session was deleted before this ran."))
            return
        self.current = self._latest = live
        self.touch()
        live.begin(self.id)
        self._show()
        try:
            await self._runner.run(live)
        finally:
            live.end(ended_as("lost", "The run was broken off by the server.", state_kept=False))
            self.current = None
            self.touch()
            self._show()

    def cancel(self, live: LiveExecution) -> None:
        """Begin to end an execution that is in its turn; asking again changes nothing."""
        if live.in_executor:
            if not live.cancelling:
                live.cancelling = True
                self._spawn(self._runner.cancel(live))
        else:
            live.end(ended_as("cancelled", "It was cancelled before it ran."))

    async def _settle(self, live: LiveExecution, outcome: Outcome) -> None:
        """Let an executor that was stopped or restarted tell the end of its run."""
        await asyncio.wait({live.ended}, timeout=self._patience.close)
        live.end(outcome)

    # ---- its end

    @property
    def closed(self) -> bool:
        """Whether its end has begun."""
        return self._closing is not None

    @property
    def leaving(self) -> bool:
        """Whether it will soon be gone: its end has begun, or what it was made for has ended."""
        return self.closed or (not self.kept and self._latest is not None and self._latest.over)

    async def close(self, outcome: Outcome) -> None:
        """End everything in it, with this outcome where it does not end by itself; may be called twice."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(outcome))
        await asyncio.shield(self._closing)

    async def _close(self, outcome: Outcome) -> None:
        for queued in list(self.queue):
            queued.end(outcome)
        live = self.current
        if live is not None and not live.over:
            await self._end_run(live, outcome)
        await self._instance.close()
        if live is not None and not live.over:
            await self._settle(live, outcome)
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._begun = True
        await asyncio.to_thread(self._clean_up)

    async def _end_run(self, live: LiveExecution, outcome: Outcome) -> None:
        live.expect(outcome)
        if not live.in_executor:
            live.end(outcome)
        elif outcome.status == "cancelled" and not live.cancelling:
            live.cancelling = True
            await self._runner.cancel(live)

    def _show(self) -> None:
        """Bring the status up to date, and tell of a change."""
        self._begun = True
        before, self.model.status = self.model.status, self._status()
        if self._closing is None and self.model.status != before:
            self._changed(self)

    def _status(self) -> Literal["starting", "idle", "busy", "dead"]:
        if not self._begun:
            return "starting"
        if self.queue or (self.current is not None and not self.current.over):
            return "busy"
        return "idle" if self._instance.alive else "dead"

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
