"""One run: the life of one block's program, from its start until nothing of it is left.

(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque

from . import asking
from .frames import CHUNK, STDERR, STDOUT

#: Seconds that what a program leaves behind has to end by itself, before it is killed.
LINGER = 0.2
#: Seconds of killing after which what is still alive counts as survivors.
PATIENCE = 2.0
#: Seconds between two rounds of killing.
ROUND = 0.005

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
        ``stdout``, ``stderr``, ``problems``: descriptors to read; ``stdin``: one to write, or None.
    output : Output
    timeout : float or None
        Seconds from now.
    grace : (float, float)
        Seconds from interrupt to terminate, and from terminate to kill.
    """

    def __init__(self, channel, tree, pid, pipes, output, timeout, grace):
        self.channel, self.pid, self.output = channel, pid, output
        self._tree, self._grace = tree, grace
        self._readers = {pipes["stdout"]: STDOUT, pipes["stderr"]: STDERR}
        self._problems = pipes["problems"]
        self.stdin = pipes["stdin"]
        self._typed = deque()
        self._asked = False
        self._started = self._spoke = self._looked = time.monotonic()
        self._deadline = None if timeout is None else self._started + timeout
        self._rung, self._next = 0, None
        self._ended_at = self._killing = None
        self.path, self.forked = None, False
        self.stopped = None
        self.status = None
        self.cpu, self.rss = 0.0, 0
        self.survivors = 0

    # -- what the loop waits for ---------------------------------------------------------------

    def readers(self):
        """Descriptors to wait for."""
        return list(self._readers)

    def writer(self):
        """The descriptor to write to, where something is typed and not yet taken."""
        return self.stdin if self._typed and self.stdin is not None else None

    def due(self):
        """When to call `advance` next (monotonic seconds), or None."""
        times = [self.output.due, self._next, self._deadline if self.stopped is None else None]
        if self._ended_at is not None:
            times.append(self._ended_at + LINGER if self._killing is None else time.monotonic() + ROUND)
        elif self.stdin is not None and not self._asked:
            times.append(self._looked + asking.INTERVAL)
        return min((moment for moment in times if moment is not None), default=None)

    # -- output and input ----------------------------------------------------------------------

    def read(self, descriptor, now):
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

    def type(self, data):
        """Give the program bytes to read; none: the end of its input."""
        self._typed.append(data)
        self._asked = False
        self.write()

    def write(self):
        """Hand over as much of what was typed as the pipe takes."""
        while self._typed and self.stdin is not None:
            data = self._typed.popleft()
            if not data:
                self._close_stdin()
                return
            try:
                written = os.write(self.stdin, data)
            except BlockingIOError:
                self._typed.appendleft(data)
                return
            except BrokenPipeError:
                self._close_stdin()  # nobody will ever read it
                return
            if written < len(data):
                self._typed.appendleft(data[written:])

    def _close_stdin(self):
        os.close(self.stdin)
        self.stdin = None

    def asks(self, now):
        """Whether the program has begun to wait for input since the last time it was given any."""
        if self.stdin is None or self._asked or self._typed or self.status is not None:
            return False
        if now - self._looked < asking.INTERVAL:
            return False
        self._looked = now
        if asking.unread(self.stdin):
            return False
        if asking.can_tell():
            self._asked = asking.waits(self._tree.family(self.pid), os.fstat(self.stdin).st_ino)
        else:
            self._asked = now - self._spoke >= asking.SILENCE
        return self._asked

    # -- the end -------------------------------------------------------------------------------

    def interrupt(self):
        """What a terminal's Ctrl-C does: SIGINT to the program's group."""
        if self.status is None:
            _signal_group(self.pid, signal.SIGINT)

    def stop(self, why, now):
        """Begin the stop ladder; the first reason stays."""
        if self.stopped is None:
            self.stopped, self._next = why, now

    def advance(self, now):
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

    def _account(self, pid, status, usage, now):
        # wait4's usage of a process holds that of the children it has itself waited for.
        self.cpu += usage.ru_utime + usage.ru_stime
        self.rss = max(self.rss, usage.ru_maxrss * _RSS_UNIT)
        if pid == self.pid:
            self.status, self._ended_at = status, now
            self._next = None

    def _climb(self, now):
        if self.stopped is None and self._deadline is not None and now >= self._deadline:
            self.stop("timeout", now)
        while self._next is not None and now >= self._next and self._rung < 2:
            if self._rung == 0:
                _signal_group(self.pid, signal.SIGINT)
            else:
                self._tree.signal(signal.SIGTERM)
                self._tree.signal(signal.SIGCONT)  # a stopped process gets no signal before it goes on
            self._next = now + self._grace[self._rung]
            self._rung += 1
        if self._rung == 2 and self._next is not None and now >= self._next:
            self._tree.kill()
            self._next = now + ROUND

    def _sweep(self, now):
        if self.stopped is None and now < self._ended_at + LINGER:
            return False
        if self._killing is None:
            self._killing = now
        self._tree.kill()
        if now - self._killing < PATIENCE:
            return False
        self.survivors = len(self._tree.members())
        return True

    def finish(self, now, note):
        """Read what is still in the pipes, send it, close everything; the text of a failed start."""
        for descriptor in list(self._readers):
            os.set_blocking(descriptor, False)
            while descriptor in self._readers:
                before = self.output.total
                if not self.read(descriptor, now):
                    break
                if self.output.total == before:
                    os.close(descriptor)  # a survivor still holds it
                    del self._readers[descriptor]
        self.output.finish(now, note)
        if self.stdin is not None:
            self._close_stdin()
        problem = os.read(self._problems, 4096).decode("utf-8", "replace")
        os.close(self._problems)
        return problem or None

    def report(self, now):
        """How it ended, for the server."""
        exited = os.WIFEXITED(self.status) if self.status is not None else False
        return {
            "exit": os.WEXITSTATUS(self.status) if exited else None,
            "signal": os.WTERMSIG(self.status) if self.status is not None and not exited else None,
            "stopped": self.stopped,
            "survivors": self.survivors,
            "wall": max(0.0, now - self._started),
            "cpu": self.cpu,
            "rss": self.rss,
            "oom_kills": _kills.news() if self.status is not None and not exited else 0,
        }


class _OutOfMemoryKills:
    """How often the kernel's out-of-memory killer has struck on this machine (proc_vmstat(5))."""

    def __init__(self):
        self._seen = self._count()

    @staticmethod
    def _count():
        try:
            with open("/proc/vmstat", "rb") as file:
                return next((int(line.split()[1]) for line in file if line.startswith(b"oom_kill ")), 0)
        except OSError:
            return 0

    def news(self):
        """How often since the last time this was asked."""
        before, self._seen = self._seen, self._count()
        return self._seen - before


_kills = _OutOfMemoryKills()


def _signal_group(pid, number):
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # it has ended, or not yet made its group: the next rung reaches it
