"""One run: the life of one block's program, from its start until nothing of it is left.

(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import os
import resource
import signal
import time

from . import asking
from .arrival import Arrival
from .frames import CHUNK, STDERR, STDOUT
from .memory import OutOfMemoryKills
from .output import Output
from .tree import signal_group
from .typist import Typist

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container
    from typing import Any

    from .output import Note
    from .tree import SubreaperTree

#: Seconds that what a program leaves behind has to end by itself, before it is killed.
LINGER = 0.2
#: Seconds of killing after which what is still alive counts as survivors.
PATIENCE = 2.0
#: Seconds after its start before which no program is interrupted: it would not be the program yet.
SETTLED = 0.03
#: Seconds between two rounds of killing.
ROUND = 0.005
#: Bytes that a pipe can hold (pipe(7): the default for users; ours hold 64 KiB unless a program asks).
MOST = 1024 * 1024

_RSS_UNIT = 1 if os.uname().sysname == "Darwin" else 1024  # getrusage(2): bytes there, KiB here


class Run:
    """A started program, its pipes, its deadline and its stop ladder.

    Parameters
    ----------
    channel : int
        The request's number.
    tree : tree.SubreaperTree
        Where its processes are.
    pid : int
        The program itself; it leads a session and a process group.
    pipes : dict
        ``stdout``, ``stderr``, ``problems``: descriptors to read; ``stdin``: one to write, or None;
        ``arrival``: see `arrival.watch`.
    output : Output
    timeout : float or None
        Seconds from now.
    grace : (float, float)
        Seconds from interrupt to terminate, and from terminate to kill.
    """

    def __init__(
        self,
        channel: int,
        tree: SubreaperTree,
        pid: int,
        pipes: dict[str, int | None],
        output: Output,
        timeout: float | None,
        grace: tuple[float, float],
    ) -> None:
        self.channel, self.pid, self.output = channel, pid, output
        self._tree, self._grace = tree, grace
        self._readers = {_given(pipes["stdout"]): STDOUT, _given(pipes["stderr"]): STDERR}
        self._arrival = Arrival(pipes["arrival"])
        self._problems = _given(pipes["problems"])
        self.typist = Typist(pipes["stdin"])
        self._asked = False
        self._started = self._spoke = self._looked = time.monotonic()
        self._deadline = None if timeout is None else self._started + timeout
        self._rung = 0
        self._next: float | None = None
        self._interrupt: float | None = None
        self._ended_at: float | None = None
        self._killing: float | None = None
        self.path, self.forked = "", False
        self.stopped: str | None = None
        self.status: int | None = None
        self.cpu, self.rss = 0.0, 0
        self.survivors = 0

    # -- what the loop waits for ---------------------------------------------------------------

    def readers(self) -> list[int]:
        """Descriptors to wait for."""
        return list(self._readers)

    def readable(self, ready: Container[int]) -> list[int]:
        """Those of them that are ready, in the order in which the program has written to them."""
        return self._arrival.sort([descriptor for descriptor in self._readers if descriptor in ready])

    def writer(self) -> int | None:
        """The descriptor to write to, where something is typed and not yet taken."""
        return None if self.typist.idle else self.typist.pipe

    def due(self) -> float | None:
        """When to call `advance` next (monotonic seconds), or None."""
        times = [self.output.due, self._next, self._interrupt]
        if self._ended_at is not None:
            times.append(self._ended_at + LINGER if self._killing is None else time.monotonic() + ROUND)
        elif self.stopped is None:
            times.append(self._deadline)
        if self._may_ask():
            times.append(self._looked + asking.INTERVAL)
        return min((moment for moment in times if moment is not None), default=None)

    # -- output and input ----------------------------------------------------------------------

    def read(self, descriptor: int, now: float) -> bool:
        """Take what the program printed; False at the end of the stream."""
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return True
        if not data:
            del self._readers[descriptor]
            os.close(descriptor)
            return False
        self._spoke = now
        self.output.feed(self._readers[descriptor], data, now)
        return True

    def type(self, data: bytes) -> None:
        """Give the program bytes to read; none: the end of its input."""
        self._asked = False
        self.output.line = bytearray()  # what is typed ends the line on a terminal, too: the prompt is over
        self.typist.type(data)

    def _may_ask(self) -> bool:
        return self.typist.pipe is not None and self.typist.idle and not self._asked and self.status is None

    def asks(self, now: float) -> bool:
        """Whether the program has begun to wait for input since the last time it was given any."""
        stdin = self.typist.pipe
        if stdin is None or not self._may_ask() or now - self._looked < asking.INTERVAL:
            return False
        self._looked = now
        if asking.unread(stdin):
            return False
        if asking.can_tell():
            self._asked = asking.waits(self._tree.family(self.pid), stdin)
        else:
            self._asked = now - self._spoke >= asking.SILENCE
        if self._asked:
            self._read_prompt(now)
        return self._asked

    def _read_prompt(self, now: float) -> None:
        # It printed its prompt before it read, and perhaps after we last looked for output.
        for descriptor in self.readers():
            if asking.unread(descriptor):
                self.read(descriptor, now)

    # -- the end -------------------------------------------------------------------------------

    def interrupt(self, now: float) -> None:
        """What a terminal's Ctrl-C does: SIGINT to the program's group."""
        if self._interrupt is None:
            self._interrupt = max(now, self._started + SETTLED)

    def stop(self, why: str, now: float) -> None:
        """Begin the stop ladder; the first reason stays."""
        if self.stopped is None:
            self.stopped, self._next = why, max(now, self._started + SETTLED)

    def advance(self, now: float) -> bool:
        """Do what is due. True when nothing of the run is left, or no more can be done."""
        ended, anybody = self._tree.reap()
        for pid, status, usage in ended:
            self._account(pid, status, usage, now)
        if self.output.due is not None and now >= self.output.due:
            self.output.flush(now)
        if self.status is None:
            self._climb(now)
            return False
        if not anybody:
            return True
        return self._sweep(now)

    def _account(self, pid: int, status: int, usage: resource.struct_rusage, now: float) -> None:
        # wait4's usage of a process holds that of the children it has itself waited for.
        self.cpu += usage.ru_utime + usage.ru_stime
        self.rss = max(self.rss, self._peak(usage) * _RSS_UNIT)
        if pid == self.pid:
            self.status, self._ended_at = status, now
            self._next = self._interrupt = None

    def _peak(self, usage: resource.struct_rusage) -> int:
        """What it used at most; 0 where that cannot be known.

        A spawned program begins with the peak of who spawned it: execve(2) takes the old one into account.
        """
        hidden = not self.forked and usage.ru_maxrss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return 0 if hidden else usage.ru_maxrss

    def _climb(self, now: float) -> None:
        if self._interrupt is not None and now >= self._interrupt:
            self._interrupt = None
            signal_group(self.pid, signal.SIGINT)
        if self.stopped is None and self._deadline is not None and now >= self._deadline:
            self.stop("timeout", now)
        while self._next is not None and now >= self._next and self._rung < 2:
            if self._rung == 0:
                signal_group(self.pid, signal.SIGINT)
            else:
                self._tree.signal(signal.SIGTERM)
                self._tree.signal(signal.SIGCONT)  # a stopped process gets no signal before it goes on
            self._next = now + self._grace[self._rung]
            self._rung += 1
        if self._rung == 2 and self._next is not None and now >= self._next:
            self._tree.kill()
            self._next = now + ROUND

    def _sweep(self, now: float) -> bool:
        if self.stopped is None and now < (self._ended_at or now) + LINGER:
            return False
        if self._killing is None:
            self._killing = now
        self._tree.kill()
        if now - self._killing < PATIENCE:
            return False
        self.survivors = len(self._tree.members())
        return True

    def finish(self, now: float, note: Note) -> str | None:
        """Read what is still in the pipes, send it, close everything; the text of a failed start."""
        for descriptor in self.readable(self._readers):
            os.set_blocking(descriptor, False)
            self._drain(descriptor, now)
        self._arrival.close()
        self.output.finish(now, note)
        self.typist.close()
        os.set_blocking(self._problems, False)
        try:
            problem = os.read(self._problems, 4096).decode("utf-8", "replace")
        except BlockingIOError:
            problem = ""  # a survivor still holds it
        os.close(self._problems)
        # Who could not become the program says why and exits 127; the program itself has no say in it.
        unbegun = self.status is not None and os.WIFEXITED(self.status) and os.WEXITSTATUS(self.status) == 127
        return problem if problem and unbegun else None

    def _drain(self, descriptor: int, now: float) -> None:
        # No pipe holds more than `MOST`; a survivor that goes on printing must not hold us.
        until = self.output.total + MOST
        while self.output.total < until:
            before = self.output.total
            if not self.read(descriptor, now):
                return
            if self.output.total == before:
                break  # a survivor still holds it
        os.close(descriptor)
        del self._readers[descriptor]

    def report(self, now: float) -> dict[str, Any]:
        """How it ended, for the server."""
        code = killer = None
        if self.status is not None:
            code = os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else None
            killer = os.WTERMSIG(self.status) if code is None else None
        return {
            "exit": code,
            "signal": killer,
            "stopped": self.stopped,
            "survivors": self.survivors,
            "wall": max(0.0, now - self._started),
            "cpu": self.cpu,
            "rss": self.rss,
            "oom_kills": _kills.news() if killer is not None else 0,
        }


_kills = OutOfMemoryKills()


def _given(descriptor: int | None) -> int:
    if descriptor is None:
        raise ValueError("a run needs its pipes")
    return descriptor
