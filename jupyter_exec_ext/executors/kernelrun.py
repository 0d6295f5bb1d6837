"""One execution in a kernel: cells down, messages up as events, and the ladder when time is up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import Conflict, ExecError, KernelDied, SessionLost
from ..events import Event
from ..kernels.connection import KernelConnection
from ..kernels.request import KernelRequest
from ..kernels.wire import Message
from ..languages import Language
from ..models import CodeBlock
from .base import RunOptions
from .execution import Execution
from .kerneloutput import KernelOutput
from .kernelshown import as_text
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
#: What ipykernel reads as the end of the input.
END_OF_INPUT = "\x04"


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
        self._lines = _lines(options.stdin)
        self._asked: Message | None = None
        self._questions: list[Event] = []
        self._request: KernelRequest | None = None
        self._connection: KernelConnection | None = None
        #: Takes the messages once the run has ended.
        self._late: LateOutput | None = None

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
        rest = self._output.finish()
        self._late = LateOutput(self._options.late)
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

    def answer(self, value: str) -> None:
        """Answer the question that the program has asked. Raises `Conflict` where it has not."""
        asked, self._asked = self._asked, None
        if asked is None or self._connection is None:
            raise Conflict("The program does not ask for input; wait for an input_request.")
        self._connection.answer(asked, value)

    # -- one cell --------------------------------------------------------------------------------------

    async def _cell(self, block: CodeBlock, language: Language) -> AsyncGenerator[Event, None]:
        executor = self._executor
        self._connection = await executor.connected()
        async for event in self._turn():
            yield event
        if self._execution.over:
            return
        request = await self._connection.execute(
            executor.environment.cell(block.code, language),
            self._take,
            self._gone,
            store_history=not executor.attached,
            allow_stdin=self._options.allow_stdin or self._options.stdin is not None,
        )
        request.ended.add_done_callback(lambda _: self._wake.set())
        self._request = request
        ladder = asyncio.ensure_future(self._guard(request))
        try:
            async with contextlib.aclosing(self._until_end(request)) as events:
                async for event in events:
                    yield event
            stopped = await self._stopped(ladder)
            if stopped is not None:
                self._execution.judged(stopped)
            else:
                own = executor.environment.own_language.name
                self._end(request.ended.result(), script=language.name != own)
        finally:
            self._request = None
            if not ladder.done():
                ladder.cancel()
            if not request.over:
                await self._abandon(request)

    async def _turn(self) -> AsyncGenerator[Event, None]:
        """Wait for a kernel that others keep busy: what was sent to it now could not be taken back."""
        if self._connection is None or self._connection.free.is_set():
            return
        yield Event("status", {"status": "queued"})
        await first_of(self._connection.free, self._execution.cancelled)
        self._execution.restart_clock()
        yield Event("status", {"status": "running"})

    async def _until_end(self, request: KernelRequest) -> AsyncGenerator[Event, None]:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for event in (*self._output.fetch(), *self._fetch_questions()):
                yield event
            if request.over:
                return
            await asyncio.wait({request.ended}, timeout=TICK)

    def _fetch_questions(self) -> list[Event]:
        questions, self._questions = self._questions, []
        return questions

    def _take(self, message: Message) -> None:
        """Take a message of this cell: it is called for each, and must be quick."""
        if self._late is not None:
            self._late.take(message)
        elif message.type == "input_request":
            self._on_question(message)
        else:
            self._output.take(message)
            self._files.take(message)

    def _gone(self) -> None:
        """No more messages will come."""
        if self._late is not None:
            self._late.flush()

    def _on_question(self, message: Message) -> None:
        self._asked = message
        if self._options.stdin is not None:
            self.answer(next(self._lines, END_OF_INPUT))
            return
        prompt = as_text(message.content.get("prompt"))
        secret = bool(message.content.get("password"))
        self._questions.append(Event("input_request", {"prompt": prompt[:10_000], "password": secret}))
        self._wake.set()

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

    async def _guard(self, request: KernelRequest) -> Judgement | None:
        """Wait until the time is up or it is cancelled, and then end the run. Returns why, where it did."""
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
        with contextlib.suppress(ExecError):
            await executor.interrupt()
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


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of these is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiting:
            waiter.cancel()


def _lines(text: str | None) -> Iterator[str]:
    return iter((text or "").splitlines())
