"""`KernelLadder`: how a cell is ended whose time is up, or that is cancelled: interrupt, then by policy."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from ..errors import ExecError, SessionLost
from ..kernels.request import KernelRequest
from .execution import Execution
from .kernelturn import KernelTurn
from .verdict import CANCELLED, TIMED_OUT, Judgement

if TYPE_CHECKING:
    from .jupyter import JupyterCodeExecutor

__all__ = ["KernelLadder"]

#: Seconds from the end of a run to the end of its kernel's restart, after which it is not waited for.
REVIVAL = 2.5


class KernelLadder:
    """Watches over one cell.

    Parameters
    ----------
    executor : JupyterCodeExecutor
    execution : Execution
        Whose time it is, and whose cancel.
    turn : KernelTurn
        The cell's place among all that the kernel is asked.
    """

    def __init__(self, executor: JupyterCodeExecutor, execution: Execution, turn: KernelTurn) -> None:
        self._executor, self._execution, self._turn = executor, execution, turn
        #: Whether an interrupt was sent from here.
        self.interrupted = False
        self._watching: asyncio.Future[Judgement | None] | None = None

    def watch(self, request: KernelRequest) -> None:
        """Begin with it; `stopped` and `end` are called after that."""
        self._watching = asyncio.ensure_future(self._watch(request))

    async def hit(self, request: KernelRequest) -> None:
        """Interrupt the kernel where it is this cell that it runs. Raises `ExecError`."""
        kernel = self._executor.kernel
        waits = self._turn.behind(request)
        if kernel.id is not None and not waits and not (kernel.attached and request.ending):
            self.interrupted = True
            await kernel.client.interrupt(kernel.id)

    async def stopped(self) -> Judgement | None:
        """Why the cell was stopped; None where it ended by itself."""
        due = self._execution.cancelled.is_set() or self._execution.remaining == 0
        if self._watching is not None and (due or self._watching.done()):
            return await self._watching
        return None

    async def end(self, request: KernelRequest) -> None:
        """Watch no longer; a cell that nobody waits for any more ends before the next one may start."""
        if self._watching is not None:
            self._watching.cancel()
        if not request.over:
            self._execution.cancelled.set()
            with contextlib.suppress(ExecError):
                await self._interrupt(request, self._why())
            self._leave(request, "It was stopped.")

    async def _watch(self, request: KernelRequest) -> Judgement | None:
        """Wait until the time is up or it is cancelled, and then end the run. Returns why, where it did."""
        sent = time.monotonic()
        await self._turn.until_begun(request, sent)
        if not request.over:
            await self._until_due()
        if self._turn.behind(request) and not self._execution.cancelled.is_set():
            await self._turn.until_begun(request, sent)  # others came between, which only this time has shown
            if not request.over:
                await self._until_due()
        if request.over:
            return None  # it ended by itself in this very moment, and nothing is left to be interrupted
        why = self._why()
        if why.status == "timeout" and self._executor.policy == "keep":
            why.cause = f"{why.cause} The kernel goes on with it; interrupt the session to end it."
        else:
            why = await self._interrupt(request, why)
        self._leave(request, why.cause or "It was stopped.")
        return why

    def _leave(self, request: KernelRequest, why: str) -> None:
        """Wait for its end no longer; the kernel may go on with it, and what comes next waits for that."""
        self._executor.kernel.goes_on = request
        request.fail(SessionLost(why))

    async def _until_due(self) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._execution.cancelled.wait(), self._execution.remaining)

    def _why(self) -> Judgement:
        if self._execution.cancelled.is_set():
            return Judgement("cancelled", CANCELLED, "It was cancelled.")
        seconds = self._execution.options.timeout or 0
        return Judgement("timeout", TIMED_OUT, f"Timeout: it ran longer than {seconds:g} s and was stopped.")

    async def _interrupt(self, request: KernelRequest, why: Judgement) -> Judgement:
        executor = self._executor
        if self._turn.behind(request):
            return self._void(request, why)
        with contextlib.suppress(ExecError):
            await self.hit(request)
        await asyncio.wait({request.ended}, timeout=executor.interrupt_grace)
        if request.over:
            why.cause = f"{why.cause} The kernel was interrupted and has kept its state."
        elif executor.policy == "restart":
            self._execution.verdict.state_kept = False
            request.fail(SessionLost(why.cause or ""))
            why.cause = f"{why.cause} The kernel did not react to the interrupt and {await self._revive()}."
        else:
            why.cause = f"{why.cause} The kernel does not react to the interrupt and is still busy."
        return why

    def _void(self, request: KernelRequest, why: Judgement) -> Judgement:
        """Leave a cell in the kernel's queue, from which nothing can be taken back."""
        request.void(lambda: self.hit(request))
        request.fail(SessionLost(why.cause or ""))
        why.cause = f"{why.cause} The kernel had not begun with it, and was not interrupted."
        return why

    async def _revive(self) -> str:
        """Restart the kernel; returns what became of it, in time: a gateway asks it first, and waits."""
        reviving = asyncio.ensure_future(self._executor.kernel.revive())
        reviving.add_done_callback(lambda done: done.cancelled() or done.exception())
        done, _ = await asyncio.wait({reviving}, timeout=REVIVAL)
        if not done:
            return "is being restarted"  # who comes next waits for it
        error = reviving.exception()
        return "was restarted" if error is None else f"could not be restarted: {str(error).rstrip('.')}"
