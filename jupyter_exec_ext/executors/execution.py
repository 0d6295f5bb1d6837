"""One execution, from the executor's side: what its blocks share, and what they came to."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace

from ..errors import ExecError, OutOfMemory, SessionLost
from ..events import Outcome
from ..models import Verdict
from ..supervisor.channel import Channel
from ..supervisor.reports import Report
from .base import RunOptions
from .verdict import CANCELLED, TIMED_OUT, Judgement, killed_for_memory

#: The least output that is kept of a block, whatever the ones before it printed; less where so many blocks
#: would get more than half of the limit.
LEAST_OUTPUT = 4096


class Execution:
    """What the blocks of one execution have in common, and what they came to.

    Parameters
    ----------
    options : RunOptions
    output_limit : int
        Bytes of output that are kept of all blocks together.
    blocks : int
        How many there are.
    """

    def __init__(self, options: RunOptions, output_limit: int, blocks: int) -> None:
        self.options = options
        #: How many blocks were handed to the supervisor.
        self.begun = 0
        #: What the block that could not begin waited for, in words.
        self.waited_for: str | None = None
        #: What else a person has to know of how it ended, also where it ended well.
        self.note: str | None = None
        self.channel: Channel | None = None
        self.code_files: list[str] = []
        self.verdict = Verdict(cpu_seconds=0.0, max_rss_bytes=0)
        self.cancelled = asyncio.Event()
        self.truncated = False
        self._room, self._blocks = output_limit, blocks
        self._least = min(LEAST_OUTPUT, output_limit // (2 * max(1, blocks)))
        self._judgement: Judgement | None = None
        self._started = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether no further block is to be run."""
        return self.cancelled.is_set() or self._stops or self.remaining == 0

    @property
    def _stops(self) -> bool:
        status = "ok" if self._judgement is None else self._judgement.status
        return status != "ok" and (self.options.stop_on_error or status != "failed")

    @property
    def remaining(self) -> float | None:
        """Seconds until the timeout; None where there is none."""
        if self.options.timeout is None:
            return None
        return max(0.0, self._started + self.options.timeout - time.monotonic())

    def waited(self, seconds: float) -> None:
        """Do not count so much of the time until now: it was others' doing."""
        self._started += seconds

    def shares(self, index: int) -> tuple[int, int]:
        """Bytes of head and of tail that a block may print: what is left, less what later ones need."""
        room = self._room - self._least * (self._blocks - index - 1)
        half = max(self._least, room) // 2
        return half, half

    async def cancel(self) -> None:
        """Stop the block that runs, and run no other."""
        self.cancelled.set()
        if self.channel is not None:
            with contextlib.suppress(ExecError):
                await self.channel.send("stop")

    def add(self, report: Report, judgement: Judgement, kept: int) -> None:
        """Take the end of a block into account."""
        verdict = self.verdict
        self._room -= kept
        verdict.cpu_seconds = round((verdict.cpu_seconds or 0) + report.cpu, 6)
        verdict.max_rss_bytes = max(verdict.max_rss_bytes or 0, report.rss)
        verdict.survivors += report.survivors
        self.judged(judgement)

    def fail(self, error: ExecError) -> None:
        """The environment failed, or the session was lost."""
        lost = isinstance(error, SessionLost)
        self.verdict.state_kept = False
        if lost:  # with whoever counted what it used
            self.verdict.cpu_seconds = self.verdict.max_rss_bytes = None
        if isinstance(error, OutOfMemory):
            judgement = killed_for_memory(error.message)
        else:
            judgement = Judgement("lost" if lost else "env_error", None, error.message)
        self.judged(judgement)

    def judged(self, judgement: Judgement) -> None:
        """Take how a block ended; the first that did not end well is how the execution ended."""
        first = self._judgement
        if first is None or first.status == "ok":
            self._judgement = judgement
        self.verdict.limits_hit += [
            name for name in judgement.limits_hit if name not in self.verdict.limits_hit
        ]

    def outcome(self) -> Outcome:
        """What the execution came to."""
        judgement, verdict = self._final(), self.verdict
        verdict.cause, verdict.signal = judgement.cause, judgement.signal
        if self.note:
            verdict.cause = f"{verdict.cause} {self.note}" if verdict.cause else self.note
        verdict.wall_seconds = round(time.monotonic() - self._started, 6)
        verdict.max_rss_bytes = verdict.max_rss_bytes or None  # of programs smaller than their supervisor
        if self.truncated:
            verdict.limits_hit.append("output")
        if verdict.survivors:
            verdict.state_kept = False
            verdict.cause = (
                f"{verdict.cause or 'It ended.'} {verdict.survivors} of its processes could not be killed."
            )
        files = list(dict.fromkeys(self.code_files))
        return Outcome(judgement.status, judgement.exit_code, verdict, files, [], self.truncated)

    def _final(self) -> Judgement:
        judgement = self._judgement or Judgement("ok", 0)
        if judgement.status == "ok" and self.cancelled.is_set():
            return Judgement("cancelled", CANCELLED, "It was cancelled.")
        # Blocks are left out only after an end that stops all, a cancel, or the end of the time.
        if self._stops or self.cancelled.is_set() or self.begun == self._blocks:
            return judgement
        if judgement.status == "ok":
            return Judgement("timeout", TIMED_OUT, f"Timeout: {self._unrun()}.")
        return replace(judgement, cause=f"{judgement.cause} Then {self._unrun()}.")

    def _unrun(self) -> str:
        timeout = f"the {self.options.timeout:g} s"
        if self.waited_for is not None:
            return (
                f"block {self.begun + 1} of {self._blocks} waited for {self.waited_for}, and had not begun "
                f"when {timeout} were over; allow more time, or use another file name"
            )
        return (
            f"{timeout} were over when {self.begun} of {self._blocks} blocks had run; "
            "allow more time, or run fewer blocks"
        )
