"""One block, from the executor's side: the request down, its frames up as events."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import ExecError, ProtocolError, SessionLost
from ..events import Event
from ..languages import Language
from ..models import CodeBlock
from ..supervisor.channel import Channel, Frame
from ..supervisor.client import SupervisorClient
from ..supervisor.frames import BUSY, STDERR, STDOUT
from ..supervisor.reports import (
    Asks,
    Dropped,
    Dropping,
    Refusal,
    Report,
    Started,
    lied,
    no_protocol,
    read,
)
from ..text import one_line
from .measure import Measure
from .quietpip import quiet_pip
from .turns import FileTurn
from .verdict import Judgement, judge

if TYPE_CHECKING:
    from .commandline import CommandLineCodeExecutor
    from .execution import Execution

#: Seconds beyond the ladder's own after which a supervisor that has not reported counts as lost: with
#: the default ladder that is within 5 s of the timeout, and more than the supervisor itself ever needs.
SLACK = 2.75
#: Characters of the end of standard error that may tell of a limit.
TAIL_READ = 4000

# The bytes that go on a character; after a gap they are the rest of one whose beginning was dropped.
_CONTINUATION = bytes(range(0x80, 0xC0))


class BlockRun:
    """One block: asks the supervisor to run it, and turns frames into events."""

    def __init__(
        self,
        executor: CommandLineCodeExecutor,
        execution: Execution,
        index: int,
        block: CodeBlock,
        language: Language,
        name: str | None,
    ) -> None:
        self._executor, self._execution = executor, execution
        self._index, self._block, self._language, self._name = index, block, language, name
        self._decoders = {kind: _decoder() for kind in (STDOUT, STDERR)}
        self._printed = ""
        self._began = False
        self._head, self._tail = execution.shares(index)
        self._measure = Measure(self._head + self._tail, execution.options.allow_stdin)
        self._after_gap: set[int] = set()

    async def events(self, client: SupervisorClient) -> AsyncGenerator[Event, None]:
        """What happens, until the block has ended; the execution then knows how."""
        turn = FileTurn(self._executor.shared_file(self._name) if self._name else None)
        try:
            if not turn.free:
                yield Event("progress", {"label": f"waiting for {self._taken}", "current": 0, "total": None})
            if not await turn.take(self._execution.remaining, self._execution.cancelled):
                self._execution.waited_for = self._taken
            elif not self._execution.over:
                async with contextlib.aclosing(self._run(client)) as events:
                    async for event in events:
                        yield event
        finally:
            turn.release()

    @property
    def _taken(self) -> str:
        return f"{self._name}, which another session runs"

    async def _run(self, client: SupervisorClient) -> AsyncGenerator[Event, None]:
        channel = client.open()
        self._execution.begun += 1
        self._execution.channel = channel
        overdue = self._alarm(client)
        ended = False
        try:
            await channel.send("run", **self._request())
            while not ended:
                frame = await channel.receive()
                for event in self._events(frame):
                    yield event
                ended = frame.op in ("end", "saved", "refused")
        except ProtocolError as error:
            client.kill(error)  # who has lied once is not asked to stop
            raise
        finally:
            if not ended:
                await self._abandon(client, channel)
            if overdue is not None:
                overdue.cancel()
            self._execution.channel = None
            client.release(channel)

    def _request(self) -> dict[str, Any]:
        executor, options, language = self._executor, self._execution.options, self._language
        limits = vars(executor.environment.limits)
        return {
            "code": self._block.code,
            "python": language.name == "python" and language.policy == "run",
            "argv": list(language.command),
            "suffix": language.suffix,
            "file": self._name,
            "save": language.policy == "save",
            "fork": executor.fork,
            "env": self._variables(),
            "stdin": options.stdin,
            "live": options.allow_stdin,
            "timeout": self._execution.remaining,
            "grace": list(executor.grace),
            "head": self._head,
            "tail": self._tail,
            "limits": {name: value for name, value in limits.items() if value is not None},
        }

    def _variables(self) -> dict[str, str]:
        """What this block gets on top of its session's variables."""
        executor, language = self._executor, self._language
        given = self._execution.options.env or {}
        given = {**language.search_paths(executor.workspace, executor.variables), **given}
        if not executor.pip_counts:
            return given
        return {**given, **quiet_pip(self._block.code, language, {**executor.variables, **given})}

    def _alarm(self, client: SupervisorClient) -> asyncio.TimerHandle | None:
        # The supervisor keeps the time. Should it not (a program stopped it, its machine hangs), we do.
        remaining = self._execution.remaining
        if remaining is None:
            return None
        error = SessionLost("The session did not stop at its timeout and was killed.")
        delay = remaining + sum(self._executor.grace) + SLACK
        return asyncio.get_running_loop().call_later(delay, client.kill, error)

    async def _abandon(self, client: SupervisorClient, channel: Channel) -> None:
        """Nobody reads the events any more: end the block before the next one may start."""

        async def until_end() -> None:
            await channel.send("stop")
            while (await channel.receive()).op not in ("end", "saved", "refused"):
                pass

        if client.lost is not None:
            return
        try:
            await asyncio.wait_for(until_end(), sum(self._executor.grace) + SLACK)
        except asyncio.TimeoutError:
            client.kill(SessionLost("The session did not stop and was killed."))
        except ExecError:
            pass  # it is gone, which is what was wanted

    # -- frames to events ------------------------------------------------------------------------------

    def _events(self, frame: Frame) -> list[Event]:
        if frame.kind in self._decoders:
            return self._stream(frame.kind, frame.data)
        handler = {
            "started": self._on_file,
            "saved": self._on_file,
            "asks": self._on_asks,
            "dropped": self._on_dropped,
            "dropping": self._on_dropping,
            "end": self._on_end,
            "refused": self._on_refused,
        }.get(frame.op)
        if handler is None:
            raise no_protocol()
        return handler(frame.fields)

    def _stream(self, kind: int, data: bytes) -> list[Event]:
        self._measure.output(len(data))
        if kind in self._after_gap:
            self._after_gap.discard(kind)
            data = data.lstrip(_CONTINUATION)
        text = self._decoders[kind].decode(data)
        return [self._printed_event(kind, text)] if text else []

    def _printed_event(self, kind: int, text: str) -> Event:
        if kind == STDERR:
            self._printed = (self._printed + text)[-TAIL_READ:]
        return Event.stream("stderr" if kind == STDERR else "stdout", text)

    def _on_file(self, fields: dict[str, Any]) -> list[Event]:
        path = read(Started, fields).path
        if self._began:
            raise lied("began one block twice")
        self._began = True
        self._execution.code_files.append(path)
        if fields["op"] == "saved":
            self._execution.judged(Judgement("ok", 0))
        return [Event("block", {"index": self._index, "language": self._language.name, "file": path})]

    def _on_asks(self, fields: dict[str, Any]) -> list[Event]:
        prompt = read(Asks, fields).prompt
        secret = "password" in prompt.lower() or "passphrase" in prompt.lower()
        channel = self._execution.channel
        shown = self._measure.question(prompt, channel.answers if channel is not None else 0)
        cut = len(shown) < len(prompt)
        self._execution.truncated |= cut
        return [Event("input_request", {"prompt": shown, "password": secret}, truncated=cut)]

    def _on_dropping(self, fields: dict[str, Any]) -> list[Event]:
        dropped = read(Dropping, fields).dropped
        self._measure.notice()
        self._execution.truncated = True
        said = {"label": "bytes of output over the limit", "current": dropped, "total": None}
        return [Event("progress", said, truncated=True)]

    def _on_dropped(self, fields: dict[str, Any]) -> list[Event]:
        said = read(Dropped, fields)
        self._measure.gap()
        for decoder in self._decoders.values():
            decoder.reset()
        self._after_gap = {STDOUT, STDERR}
        self._execution.truncated = True
        text = (
            f"\n[{said.dropped:,} of {said.total:,} bytes of output were dropped here; "
            f"the first {self._head:,} and the last {self._tail:,} are kept]\n"
        )
        return [replace(self._printed_event(STDERR, text), truncated=True)]

    def _on_end(self, fields: dict[str, Any]) -> list[Event]:
        report = read(Report, fields)
        if report.spoiled:
            self._executor.spoil()
        rest = [(kind, decoder.decode(b"", final=True)) for kind, decoder in self._decoders.items()]
        events = [self._printed_event(kind, text) for kind, text in rest if text]
        self._execution.add(report, self._judge(report), self._measure.total)
        return events

    def _judge(self, report: Report) -> Judgement:
        return judge(
            report,
            limits=self._executor.environment.limits,
            timeout=self._execution.options.timeout,
            printed=self._printed,
            language=self._language.name,
            container_bytes=self._executor.container_bytes,
        )

    def _on_refused(self, fields: dict[str, Any]) -> list[Event]:
        message = one_line(read(Refusal, fields).message[:1000])
        if message == BUSY:
            # Nothing was asked of it that has not ended: somebody else has sent us an end in its name.
            raise lied("was still busy with a run that it had said was over")
        self._execution.judged(Judgement("env_error", None, message))
        return []


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")
