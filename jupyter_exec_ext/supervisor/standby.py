"""The process that waits for the next Python block, forked before there is one.

(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import _thread
import json
import os
import re
import select
import signal
import time

from . import pages, script
from .limits import same
from .pipes import StartFailed, close, start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .pages import Ranges
    from .pipes import Ours
    from .tree import SubreaperTree

    #: The process, our ends of its pipes, and where it reads its job.
    Waiting = tuple[int, Ours, int]

#: Milliseconds without a request before a rehearsal: a supervisor made for one block has none.
QUIET = 10
#: And before the rest: who sends one block right after the other must not wait for it.
BRIEF = 1
#: Seconds between an end and the next block within which they come one right after the other; else the
#: fork would only be in the way of the block.
BURST = 0.003
# Of proc(5)'s status: neither stopped nor traced, and no signal pending for the thread or the process.
_QUIET = re.compile(rb"^State:\t[SRD]", re.MULTILINE)
_NONE_PENDING = re.compile(rb"^(?:SigPnd|ShdPnd):\t0+$", re.MULTILINE)
#: Seconds that a rehearsal may take.
PATIENCE = 1.0


class Standby:
    """At most one process that waits, and what makes its start quick.

    Parameters
    ----------
    tree : tree.SubreaperTree
        Is told who waits, since a run has ended when nobody else is left.
    burst : float, optional
        Seconds, instead of `BURST`.
    whole : bool
        Whether a fork can have all that this interpreter has; see `warm`.

    Attributes
    ----------
    pause : int or None
        Milliseconds without a request after which `settle` has something to do; None: nothing.
    """

    def __init__(self, tree: SubreaperTree, burst: float = BURST, whole: bool = True) -> None:
        self._tree, self._burst, self._whole = tree, burst, whole
        self._ready: Waiting | None = None
        self._theirs: Ranges | None = None
        self._ours: Ranges | None = None
        self._ended = 0.0
        self.pause: int | None = None
        self._mark = os.urandom(16)

    @property
    def warm(self) -> bool:
        """Whether a fork has all that this interpreter has: the threads of preloaded modules it has not.

        Nor the files and sockets that they hold open: a fork would share their positions with every other.
        """
        return script.AVAILABLE and self._whole and _thread._count() == 0

    def make(self) -> None:
        """Fork the process of the next block before there is one."""
        if self._waiting is None and self.warm:
            try:
                self._ready = self._fork({})
            except StartFailed:
                return  # the next block tries again, and says why not
            self._tree.waiting = self._ready[0]

    def give(self, fields: dict[str, Any], job: dict[str, Any], usable: bool) -> tuple[int, Ours]:
        """Have the process that waits do a job, or a new one where that is not usable: its pid and our ends.

        Raises `StartFailed`.
        """
        if not usable or (self._waiting is not None and not _untouched(*self._waiting)):
            self.dismiss()
        pid, ours, writer = self._waiting or self._fork(fields)
        self._ready = self._tree.waiting = None
        _hand_over(writer, self._mark, job)
        return pid, ours

    @property
    def _waiting(self) -> Waiting | None:
        if self._ready is not None and self._tree.waiting != self._ready[0]:
            close([self._ready[2], *self._ready[1].values()])  # it was killed, and waited for, meanwhile
            self._ready = None
        return self._ready

    def _fork(self, fields: dict[str, Any]) -> Waiting:
        source, writer = os.pipe()
        try:
            pid, ours = start(fields, None, {"pages": self._theirs or [], "mark": self._mark}, source)
        except StartFailed:
            os.close(writer)
            raise
        self.pause = QUIET if self._theirs is None else BRIEF
        return pid, ours, writer

    def dismiss(self) -> None:
        """End the process that waits."""
        if self._waiting is not None:
            pid, ours, writer = self._waiting
            self._ready = self._tree.waiting = None
            os.close(writer)
            _end(pid, ours)
        self.pause = BRIEF

    # -- when to make one ------------------------------------------------------------------------------

    def begun(self, forked: bool) -> None:
        """A run has just begun. Where blocks come one right after the other, the next one's process is made
        now: its fork and its first steps take longer than the rest between two of them."""
        if forked:
            self._note()
            if self._tree.tells_children and time.monotonic() - self._ended < self._burst:
                self.make()

    def ended(self, forked: bool) -> None:
        """A run has just ended."""
        self._ended = time.monotonic()
        if forked:
            self.make()

    # -- the pages that every block needs (see `pages`) ----------------------------------------------

    def settle(self) -> None:
        """Make the next block quicker, by one step. Call this only while nothing runs, after `pause`."""
        self.pause = None
        if self._waiting is None:
            self.make()
        elif self._theirs is None:
            self._theirs = self._rehearse()
            self.dismiss()
            self.make()
        else:
            pages.copy(self._ours or [])

    def _note(self) -> None:
        # What we had to copy for this block is what we shall have to for the next.
        if self._ours is None and self._theirs is not None:
            self._ours = pages.own()

    def _rehearse(self) -> Ranges:
        """Run an empty script: the pages it needed."""
        try:
            pid, ours, writer = self._fork({})
        except StartFailed:
            return []
        job = {"path": os.devnull, "first": "", "cwd": ".", "extra": {}, "limits": {}, "tell": True}
        _hand_over(writer, self._mark, job)
        data = _read(ours["stdout"] or 0, PATIENCE)
        _end(pid, ours)
        return pages.told(data)


def _was_signalled(pid: int) -> bool:
    """Whether a signal waits for it, or it was stopped or is dying: anybody may signal what he can reach.

    What SIGKILL has hit keeps that signal pending until its end is waited for.
    """
    try:
        with open(f"/proc/{pid}/status", "rb", 0) as file:
            status = file.read()
    except FileNotFoundError:
        return False  # a system without it
    except OSError:
        return True
    return _QUIET.search(status) is None or len(_NONE_PENDING.findall(status)) != 2


def _untouched(pid: int, ours: Ours, writer: int) -> bool:
    """Whether no block has been at the process that waits: a signal, what it would print, a limit."""
    poll = select.poll()
    for name in ("stdout", "stderr", "problems"):
        poll.register(ours[name] or 0, select.POLLIN)
    return not _was_signalled(pid) and not poll.poll(0) and same(pid)


def _hand_over(writer: int, mark: bytes, job: dict[str, Any]) -> None:
    data = mark + json.dumps(job).encode("ascii")
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
