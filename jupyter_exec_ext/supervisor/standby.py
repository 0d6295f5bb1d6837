"""The process that waits for the next Python block, forked before there is one.

(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

from . import pages, script
from .pipes import StartFailed, close, start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .pages import Ranges
    from .pipes import Ours

    #: The process, our ends of its pipes, and where it reads its job.
    Waiting = tuple[int, Ours, int]

#: Milliseconds without a request before a rehearsal: a supervisor made for one block has none.
QUIET = 10
#: And before the rest: who sends one block right after the other must not wait for it.
BRIEF = 1
#: Seconds that a rehearsal may take.
PATIENCE = 1.0


class Standby:
    """At most one process that waits, and what makes its start quick.

    Attributes
    ----------
    pause : int or None
        Milliseconds without a request after which `settle` has something to do; None: nothing.
    """

    def __init__(self) -> None:
        self._waiting: Waiting | None = None
        self._theirs: Ranges | None = None
        self._ours: Ranges | None = None
        self.pause: int | None = None

    @property
    def warm(self) -> bool:
        """Whether a fork has all that this interpreter has: the threads of preloaded modules it has not."""
        threading = sys.modules.get("threading")
        return script.AVAILABLE and (threading is None or threading.active_count() == 1)

    def make(self) -> None:
        """Fork the process of the next block before there is one. Call this only while nothing runs."""
        if self._waiting is None and self.warm:
            try:
                self._waiting = self._fork({})
            except StartFailed:
                pass  # the next block tries again, and says why not

    def give(self, fields: dict[str, Any], job: dict[str, Any], usable: bool) -> tuple[int, Ours]:
        """Have the process that waits do a job, or a new one where that is not usable: its pid and our ends.

        Raises `StartFailed`.
        """
        if not usable:
            self.dismiss()
        pid, ours, writer = self._waiting or self._fork(fields)
        self._waiting = None
        _hand_over(writer, job)
        return pid, ours

    def _fork(self, fields: dict[str, Any]) -> Waiting:
        source, writer = os.pipe()
        try:
            pid, ours = start(fields, None, {"pages": self._theirs or []}, source)
        except StartFailed:
            os.close(writer)
            raise
        self.pause = QUIET if self._theirs is None else BRIEF
        return pid, ours, writer

    def dismiss(self) -> None:
        """End the process that waits."""
        if self._waiting is not None:
            pid, ours, writer = self._waiting
            self._waiting = None
            os.close(writer)
            _end(pid, ours)

    def forget(self, pid: int) -> None:
        """A process has ended: the one that waits may have been killed by somebody."""
        if self._waiting is not None and self._waiting[0] == pid:
            close([self._waiting[2], *self._waiting[1].values()])
            self._waiting = None

    # -- the pages that every block needs (see `pages`) ----------------------------------------------

    def settle(self) -> None:
        """Make the next block quicker. Call this only while nothing runs, after `pause`."""
        if self._theirs is None:
            self._theirs = self._rehearse()
            self.dismiss()
            self.make()
        pages.copy(self._ours or [])
        self.pause = None

    def note(self) -> None:
        """A block has just begun: what we had to copy for it is what we shall have to for the next."""
        if self._ours is None and self._theirs is not None:
            self._ours = pages.own()

    def _rehearse(self) -> Ranges:
        """Run an empty script: the pages it needed."""
        try:
            pid, ours, writer = self._fork({})
        except StartFailed:
            return []
        _hand_over(
            writer, {"path": os.devnull, "first": "", "cwd": ".", "extra": {}, "limits": {}, "tell": True}
        )
        data = _read(ours["stdout"] or 0, PATIENCE)
        _end(pid, ours)
        return pages.told(data)


def _hand_over(writer: int, job: dict[str, Any]) -> None:
    data = json.dumps(job).encode("ascii")
    try:
        while data:
            data = data[os.write(writer, data) :]
    except BrokenPipeError:
        pass  # it was killed while it waited; its end says so
    os.close(writer)


def _end(pid: int, ours: Ours) -> None:
    close(ours.values())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _read(descriptor: int, seconds: float) -> bytes:
    """What comes in, to its end; nothing where that takes longer."""
    data, until = b"", time.monotonic() + seconds
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while poll.poll(max(0.0, until - time.monotonic()) * 1000):
        piece = os.read(descriptor, 65536)
        if not piece:
            return data
        data += piece
    return b""
