"""One run of the portable loop: from the start of its program until nothing of it is left.

(Python 3.8, standard library only.)
"""

from __future__ import annotations

import sys
import time

from ..frames import STDERR, STDOUT
from . import threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    from ..output import Note, Output
    from .job import Job

#: Seconds that what a program leaves behind has to end by itself, before it is killed.
LINGER = 0.2
#: Seconds of killing after which what is still alive counts as survivors.
PATIENCE = 2.0
#: Seconds between two rounds of killing.
ROUND = 0.02
#: Seconds for the end of the pipes after the last process that we know of: who holds them longer is
#: somebody we do not know of.
DRAIN = 0.5
#: Seconds without a word after which a program that may be typed to counts as waiting for it.
SILENCE = 1.0


class Run:
    """A started program, its pipes, its deadline and its stop ladder.

    Parameters
    ----------
    channel : int
        The request's number.
    job : Job
        Its processes; the program has been started in it.
    output : Output
    timeout : float or None
        Seconds from now.
    grace : (float, float)
        Seconds from interrupt to terminate, and from terminate to kill.
    path : str
        The block's file.
    """

    def __init__(
        self,
        channel: int,
        job: Job,
        output: Output,
        timeout: float | None,
        grace: tuple[float, float],
        path: str,
    ) -> None:
        self.channel, self.job, self.output, self.path = channel, job, output, path
        self._grace = grace
        self._started = self._spoke = time.monotonic()
        self._deadline = None if timeout is None else self._started + timeout
        self._rung = 0
        self._next: float | None = None
        self._unread = {STDOUT, STDERR}
        self._typist: threads.Typist | None = None
        self._asked = False
        self._ended_at: float | None = None
        self._killing: float | None = None
        self._empty_at: float | None = None
        self.status: int | None = None
        self.stopped: str | None = None
        self.survivors = 0
        self.over = False

    def begin(self, items: threads.Items, gate: threads.Gate) -> None:
        """Start the threads that read the program's pipes and wait for its end."""
        process = self.job.process
        for kind, pipe in ((STDOUT, process.stdout), (STDERR, process.stderr)):
            threads.start(threads.Reader(self, kind, _there(pipe), items, gate).work)
        if process.stdin is not None:
            self._typist = threads.Typist(process.stdin, items)
            threads.start(self._typist.work)
        threads.start(threads.wait_for, self, items)

    # -- what happens --------------------------------------------------------------------------

    def read(self, kind: int, data: bytes, now: float) -> None:
        """Take what the program printed; nothing is the end of that stream."""
        if not data:
            self._unread.discard(kind)
            return
        self._spoke = now
        self.output.feed(kind, data, now)

    def ended(self, status: int, now: float) -> None:
        """The program itself has ended."""
        self.status, self._ended_at, self._next = status, now, None

    def type(self, data: bytes, now: float) -> None:
        """Give the program bytes to read; none: the end of its input."""
        if self._typist is not None:
            self._typist.type(data)
        self._asked, self._spoke = False, now
        self.output.line = bytearray()  # what is typed ends the line on a terminal, too: the prompt is over

    def taken(self) -> int:
        """Bytes of what was typed that the program has taken since this was last asked."""
        return self._typist.taken() if self._typist is not None else 0

    def asks(self, now: float) -> bool:
        """Whether the program seems to wait for input since the last time it was given any."""
        if not self._may_ask() or now - self._spoke < SILENCE:
            return False
        self._asked = True
        return True

    def _may_ask(self) -> bool:
        typist = self._typist
        return typist is not None and typist.idle and not self._asked and self.status is None

    def interrupt(self) -> None:
        """What a terminal's Ctrl-C does."""
        if self.status is None:
            self.job.interrupt()

    def stop(self, why: str, now: float) -> None:
        """Begin the stop ladder; the first reason stays."""
        if self.stopped is None:
            self.stopped, self._next = why, now

    # -- deadlines -----------------------------------------------------------------------------

    def due(self, now: float) -> float | None:
        """When to call `advance` next (monotonic seconds), or None."""
        times = [self.output.due, self._next, self._deadline if self.stopped is None else None]
        if self._ended_at is not None:
            times.append(now + ROUND)
        elif self._may_ask():
            times.append(self._spoke + SILENCE)
        if self._ended_at is None:
            times.append(self.job.next_look)
        return min((moment for moment in times if moment is not None), default=None)

    def advance(self, now: float) -> bool:
        """Do what is due. True when nothing of the run is left, or no more can be done."""
        if self.output.due is not None and now >= self.output.due:
            self.output.flush(now)
        if self._ended_at is None:
            self.job.look(now)
            self._climb(now)
            return False
        if self._empty_at is None:
            return self._sweep(now, self._ended_at)
        return self._drained(now)

    def _climb(self, now: float) -> None:
        if self.stopped is None and self._deadline is not None and now >= self._deadline:
            self.stop("timeout", now)
        while self._next is not None and now >= self._next:
            if self._rung == 0:
                self.job.interrupt()
            elif self._rung == 1:
                self.job.terminate()
            else:
                self.job.kill()
            self._next = now + (self._grace[self._rung] if self._rung < 2 else ROUND)
            self._rung = min(2, self._rung + 1)

    def _sweep(self, now: float, ended_at: float) -> bool:
        if self.job.count() == 0:
            self._empty_at = now
            return self._drained(now)
        if self.stopped is None and now < ended_at + LINGER:
            return False
        if self._killing is None:
            self._killing = now
        self.job.kill()
        if now - self._killing < PATIENCE:
            return False
        self.survivors = self.job.count()
        return True

    def _drained(self, now: float) -> bool:
        return not self._unread or (self._empty_at is not None and now >= self._empty_at + DRAIN)

    @property
    def draining(self) -> bool:
        """Whether the pipes are to be read to their end, also when the server is slow."""
        return self._ended_at is not None

    # -- the end -------------------------------------------------------------------------------

    def finish(self, now: float, note: Note) -> None:
        """Send what is left, and let go of everything."""
        self.over = True
        self.output.finish(now, note)
        if self._typist is not None:
            self._typist.type(b"")

    def report(self, now: float) -> dict[str, Any]:
        """How it ended, for the server."""
        cpu, rss = self.job.usage()
        status = self.status or 0
        by_signal = status < 0 and sys.platform != "win32"
        return {
            "exit": None if by_signal else status & 0xFFFFFFFF,
            "signal": -status if by_signal else None,
            "stopped": self.stopped,
            "survivors": self.survivors,
            "wall": max(0.0, now - self._started),
            "cpu": cpu,
            "rss": rss,
            "oom_kills": 0,
        }


def _there(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101  `Job.start` makes both
    return pipe
