"""One execution in a kernel: cells down, messages up as events, and the ladder when time is up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ExecError, KernelDied, SessionLost
from ..events import Event
from ..kernels.connection import KernelConnection
from ..kernels.request import KernelRequest
from ..kernels.wire import Message
from ..languages import Language
from ..models import CodeBlock
from .base import RunOptions
from .execution import Execution
from .kerneloutput import KernelOutput
from .kernelquestions import KernelQuestions
from .kernelturn import KernelTurn
from .kernelverdict import judge_death, judge_reply
from .lateoutput import LateOutput
from .outputfiles import OutputFiles
from .verdict import CANCELLED, TIMED_OUT, Judgement

if TYPE_CHECKING:
    from .jupyter import JupyterCodeExecutor

__all__ = ["KernelRun"]

#: Seconds between two lots of events: what comes meanwhile goes out together.
TICK = 0.02
#: Seconds from the end of a run to the end of its kernel's restart, after which it is not waited for.
REVIVAL = 2.5
#: How often a cell is sent that the kernel does not run, since a cell of somebody else before it has failed.
TRIES = 10


class KernelRun:
    """Runs the blocks of one execution.

    Parameters
    ----------
    executor : JupyterCodeExecutor
    options : RunOptions
    blocks : int
        How many there are.
    """

    def __init__(self, executor: JupyterCodeExecutor, options: RunOptions, blocks: int) -> None:
        self._executor, self._options = executor, options
        self._execution = Execution(options, executor.output_limit, blocks)
        self._execution.verdict.cpu_seconds = self._execution.verdict.max_rss_bytes = None
        self._wake = asyncio.Event()
        self._output = KernelOutput(executor.output_limit, self._wake.set)
        self._files = OutputFiles(executor.output_dir)
        self._questions = KernelQuestions(options.stdin, self._send_answer, self._wake.set)
        self._request: KernelRequest | None = None
        self._connection: KernelConnection | None = None
        self._turn: KernelTurn | None = None
        self._reply: dict[str, Any] | None = None
        self._late: LateOutput | None = None  #: Takes the messages once the run has ended.

    async def events(
        self, blocks: Sequence[CodeBlock], languages: Sequence[Language]
    ) -> AsyncGenerator[Event, None]:
        """What happens, up to and with the end."""
        for index, (block, language) in enumerate(zip(blocks, languages, strict=True)):
            if self._execution.over:
                break
            yield Event("block", {"index": index, "language": language.name, "file": None})
            self._execution.begun += 1
            try:
                async with contextlib.aclosing(self._cell(block, language)) as events:
                    async for event in events:
                        yield event
            except KernelDied as error:
                self._died(error)
            except ExecError as error:
                self._executor.left_behind = isinstance(error, SessionLost)
                self._execution.fail(error)
        rest, self._late = self._output.finish(), LateOutput(self._options.late)
        for event in rest:
            yield event
        for note in await self._files.finish():
            yield Event("progress", {"label": note, "current": 0, "total": None})
        self._execution.truncated = self._output.truncated
        outcome = self._execution.outcome()
        outcome.output_files = self._files.paths
        yield Event("end", {"outcome": outcome})

    async def cancel(self) -> None:
        """Begin to end the run."""
        self._execution.cancelled.set()
        self._wake.set()

    async def interrupt(self) -> None:
        """Interrupt the cell where it is this one that the kernel runs. Raises `ExecError`."""
        if self._request is not None and not self._request.over:
            await self._hit(self._request)

    async def _hit(self, request: KernelRequest) -> None:
        executor = self._executor
        waits = self._turn is not None and self._turn.behind(request)
        if executor.kernel_id is not None and not waits and not (executor.attached and request.ending):
            await executor.client.interrupt(executor.kernel_id)

    def answer(self, value: str) -> None:
        """Answer the question that the program has asked. Raises `Conflict` where it has not."""
        self._questions.answer(value)

    def _send_answer(self, asked: Message, value: str) -> None:
        if self._connection is not None:
            self._connection.answer(asked, value)

    # -- one cell --------------------------------------------------------------------------------------

    async def _cell(self, block: CodeBlock, language: Language) -> AsyncGenerator[Event, None]:
        executor = self._executor
        connection = self._connection = await executor.connected()
        turn = self._turn = KernelTurn(connection, self._execution, attached=executor.attached)
        cell = executor.environment.cell(block.code, language)
        script = language.name != executor.environment.own_language.name
        for tries_left in reversed(range(TRIES)):
            async for event in turn.come():
                yield event
            if self._execution.over:
                return
            async with contextlib.aclosing(self._sent(connection, turn, cell)) as events:
                async for event in events:
                    yield event
            reply = self._reply
            if reply is None:
                return
            if reply.get("status") != "aborted" or not tries_left:
                self._end(reply, script=script)
                return

    async def _sent(
        self, connection: KernelConnection, turn: KernelTurn, cell: str
    ) -> AsyncGenerator[Event, None]:
        """Send a cell, and leave its reply, or none where it was stopped and judged."""
        self._reply = None
        request = await connection.execute(
            cell,
            self._take,
            self._gone,
            store_history=not self._executor.attached,
            allow_stdin=self._options.allow_stdin or self._options.stdin is not None,
        )
        request.ended.add_done_callback(lambda _: self._wake.set())
        self._request = request
        ladder = asyncio.ensure_future(self._guard(request, turn))
        try:
            async for event in turn.begin(request):
                yield event
            async with contextlib.aclosing(self._until_end(request)) as events:
                async for event in events:
                    yield event
            stopped = await self._stopped(ladder)
            if stopped is not None:
                self._execution.judged(stopped)
            else:
                self._reply = request.ended.result()
        finally:
            self._request = None
            if not ladder.done():
                ladder.cancel()
            if not request.over:
                await self._abandon(request)

    async def _until_end(self, request: KernelRequest) -> AsyncGenerator[Event, None]:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for event in (*self._output.fetch(), *self._questions.fetch()):
                yield event
            if request.over:
                return
            await asyncio.wait({request.ended}, timeout=TICK)

    def _take(self, message: Message) -> None:
        """Take a message of this cell: it is called for each, and must be quick."""
        if self._late is not None:
            self._late.take(message)
        elif message.type == "input_request":
            self._questions.take(message)
        else:
            self._output.take(message)
            self._files.take(message)

    def _gone(self) -> None:
        """No more messages will come."""
        if self._late is not None:
            self._late.flush()

    def _end(self, reply: dict[str, Any], *, script: bool) -> None:
        # The request is remembered, and the reply with it; what it shows need not be.
        payloads = reply.pop("payload", None)
        for payload in payloads if isinstance(payloads, list) else []:
            if isinstance(payload, dict):
                self._heed(payload)
        self._execution.judged(judge_reply(reply, script=script))

    def _heed(self, payload: dict[str, Any]) -> None:
        """Do what a reply asks of whoever asked for it, as a notebook does."""
        if payload.get("source") == "page":
            self._output.show(payload.get("data"))
        elif payload.get("source") == "ask_exit" and not payload.get("keepkernel") and self._connection:
            self._connection.ends = True
            self._execution.verdict.state_kept = False

    def _died(self, error: KernelDied) -> None:
        self._execution.verdict.state_kept = False
        self._execution.judged(judge_death(error))

    # -- the ladder ------------------------------------------------------------------------------------

    async def _guard(self, request: KernelRequest, turn: KernelTurn) -> Judgement | None:
        """Wait until the time is up or it is cancelled, and then end the run. Returns why, where it did."""
        sent = time.monotonic()
        await turn.until_begun(request, sent)
        if not request.over:
            await self._until_due()
        if turn.behind(request) and not self._execution.cancelled.is_set():
            await turn.until_begun(request, sent)  # others came between, which only this time has shown
            if not request.over:
                await self._until_due()
        if request.over:
            return None  # it ended by itself in this very moment, and nothing is left to be interrupted
        why = self._why()
        policy = self._executor.policy
        if why.status == "timeout" and policy == "keep":
            why.cause = f"{why.cause} The kernel goes on with it; interrupt the session to end it."
        else:
            why = await self._interrupt(request, why)
        request.fail(SessionLost(why.cause or "It was stopped."))
        return why

    async def _until_due(self) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._execution.cancelled.wait(), self._execution.remaining)

    def _why(self) -> Judgement:
        if self._execution.cancelled.is_set():
            return Judgement("cancelled", CANCELLED, "It was cancelled.")
        cause = f"Timeout: it ran longer than {self._options.timeout:g} s and was stopped."
        return Judgement("timeout", TIMED_OUT, cause)

    async def _interrupt(self, request: KernelRequest, why: Judgement) -> Judgement:
        executor = self._executor
        if self._turn is not None and self._turn.behind(request):
            return self._void(request, why)
        with contextlib.suppress(ExecError):
            await self._hit(request)
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
        request.void(lambda: self._hit(request))
        request.fail(SessionLost(why.cause or ""))
        why.cause = f"{why.cause} The kernel had not begun with it, and was not interrupted."
        return why

    async def _revive(self) -> str:
        """Restart the kernel; returns what became of it, in time: a gateway asks it first, and waits."""
        reviving = asyncio.ensure_future(self._executor.revive())
        reviving.add_done_callback(lambda done: done.cancelled() or done.exception())
        done, _ = await asyncio.wait({reviving}, timeout=REVIVAL)
        if not done:
            return "is being restarted"  # who comes next waits for it
        error = reviving.exception()
        return "was restarted" if error is None else f"could not be restarted: {str(error).rstrip('.')}"

    async def _stopped(self, ladder: asyncio.Future[Judgement | None]) -> Judgement | None:
        """Why the run was stopped; None where it ended by itself."""
        if ladder.done() or self._due:
            return await ladder
        return None

    @property
    def _due(self) -> bool:
        return self._execution.cancelled.is_set() or self._execution.remaining == 0

    async def _abandon(self, request: KernelRequest) -> None:
        """Nobody reads the events any more: end the cell before the next one may start."""
        self._execution.cancelled.set()
        with contextlib.suppress(ExecError):
            await self._interrupt(request, self._why())
