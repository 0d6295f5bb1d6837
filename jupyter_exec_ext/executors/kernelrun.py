"""One execution in a kernel: cells down, messages up as events, and the ladder when time is up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ExecError, KernelDied, SessionLost
from ..events import Event
from ..kernels.connection import KernelConnection
from ..kernels.discreet import make_discreet
from ..kernels.request import KernelRequest
from ..kernels.startup import is_ipython
from ..kernels.wire import Message
from ..languages import Language
from ..models import CodeBlock
from .base import RunOptions
from .execution import Execution
from .kernelladder import KernelLadder
from .kerneloutput import KernelOutput
from .kernelquestions import KernelQuestions
from .kernelturn import KernelTurn
from .kernelverdict import judge_death, judge_reply
from .lateoutput import LateOutput
from .outputfiles import OutputFiles

if TYPE_CHECKING:
    from .jupyter import JupyterCodeExecutor

__all__ = ["KernelRun"]

#: Seconds between two lots of events: what comes meanwhile goes out together.
TICK = 0.02
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
        remote = executor.kernel.client.remote
        self._output = KernelOutput(executor.output_limit, self._wake.set, remote=remote)
        self._files = OutputFiles(executor.output_dir)
        self._questions = KernelQuestions(options.stdin, self._send_answer, self._wake.set)
        self._request: KernelRequest | None = None
        self._connection: KernelConnection | None = None
        self._ladder: KernelLadder | None = None
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
                self._executor.kernel.left_behind = isinstance(error, SessionLost)
                self._execution.fail(error)
            if not self._execution.verdict.state_kept:
                self._executor.kernel.forget()
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
        if self._ladder is not None and self._request is not None and not self._request.over:
            await self._ladder.hit(self._request)

    def answer(self, value: str) -> None:
        """Answer the question that the program has asked. Raises `Conflict` where it has not."""
        self._questions.answer(value)

    def _send_answer(self, asked: Message, value: str) -> None:
        if self._connection is not None:
            self._connection.answer(asked, value)

    # -- one cell --------------------------------------------------------------------------------------

    async def _cell(self, block: CodeBlock, language: Language) -> AsyncGenerator[Event, None]:
        kernel, environment = self._executor.kernel, self._executor.environment
        connection = self._connection = await kernel.connected()
        self._execution.note = kernel.news(connection) or self._execution.note
        turn = KernelTurn(connection, self._execution, attached=kernel.attached)
        cell = environment.cell(block.code, language)
        script = language.name != environment.own_language.name
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
        request = self._request = await self._send(connection, cell)
        ladder = self._ladder = KernelLadder(self._executor, self._execution, turn)
        ladder.watch(request)
        try:
            async for event in turn.begin(request):
                yield event
            async with contextlib.aclosing(self._until_end(request)) as events:
                async for event in events:
                    yield event
            stopped = await ladder.stopped()
            if stopped is not None:
                self._execution.judged(stopped)
            else:
                self._reply = await self._settled(connection, request.ended.result())
        finally:
            self._request = None
            await ladder.end(request)

    async def _send(self, connection: KernelConnection, cell: str) -> KernelRequest:
        attached = self._executor.kernel.attached
        if attached and is_ipython(connection, self._executor.environment):
            await make_discreet(connection)
        request = await connection.execute(
            cell,
            self._take,
            self._gone,
            store_history=not attached,
            allow_stdin=self._options.allow_stdin or self._options.stdin is not None,
        )
        request.ended.add_done_callback(lambda _: self._wake.set())
        return request

    async def _settled(self, connection: KernelConnection, reply: dict[str, Any]) -> dict[str, Any]:
        """The reply, unless somebody ends the kernel. Raises `SessionLost`."""
        ours = self._ladder is not None and self._ladder.interrupted
        await connection.check_kept(interrupted=reply.get("ename") == "KeyboardInterrupt" and not ours)
        return reply

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
            self._executor.kernel.exits = True
            self._execution.verdict.state_kept = False

    def _died(self, error: KernelDied) -> None:
        self._execution.verdict.state_kept = False
        self._execution.judged(judge_death(error))
