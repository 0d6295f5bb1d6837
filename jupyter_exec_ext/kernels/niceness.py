"""`Niceness`: kernels yield to the server that reads what they print, where both want the processor.

Twenty that work keep a server of equal rank on two processors waiting for tens of milliseconds each time it
has something to do, though it needs a fraction of one.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
from pathlib import Path
from typing import Any

from .shelf import process_of

__all__ = ["NICENESS", "Niceness"]

#: By how much a kernel is nicer than its server: it has a third of the weight then, and all of a processor
#: that nobody else wants.
NICENESS = 5
_NICEST = 19
# Linux may give each session (a kernel is one) its share of the processor, whatever the niceness of its
# processes is; then that of the session counts. Others than root may set one in 0.1 s, in the whole system.
_GROUP = re.compile(r"(/autogroup-\d+) nice (-?\d+)\s*")
_PAUSE, _TRIES = 0.13, 40


class Niceness:
    """The kernels that were started here, each with its process: another one after a restart.

    Parameters
    ----------
    more : int
        By how much they are nicer than this process; 0 leaves them as they are.
    """

    def __init__(self, more: int) -> None:
        self._more = more
        self._processes: dict[str, object] = {}
        self._setting: set[asyncio.Task[None]] = set()

    def begin(self, kernel_id: str, manager: Any) -> None:
        """Let a kernel yield that has just been started here."""
        self._processes[kernel_id] = None
        self.renew(kernel_id, manager)

    def renew(self, kernel_id: str, manager: Any) -> None:
        """The same after a restart; nothing happens to a kernel that somebody else has started."""
        process = process_of(manager)
        if kernel_id not in self._processes or process == self._processes[kernel_id]:
            return
        self._processes[kernel_id] = process
        if self._more and os.name == "posix" and isinstance(process, int):
            _lower_threads(process, self._more)
            task = asyncio.ensure_future(_lower_group(process, self._more))
            self._setting.add(task)
            task.add_done_callback(self._setting.discard)

    def forget(self, kernel_id: str) -> None:
        """Forget a kernel that is gone."""
        self._processes.pop(kernel_id, None)

    def close(self) -> None:
        """Set nothing more."""
        for task in self._setting:
            task.cancel()


def _lower_threads(process: int, more: int) -> None:
    """Each by itself, as Linux has it; elsewhere a process has one niceness."""
    target = min(_NICEST, os.getpriority(os.PRIO_PROCESS, 0) + more)
    for thread in _threads(process):
        with contextlib.suppress(OSError):  # gone, or another user's
            if os.getpriority(os.PRIO_PROCESS, thread) < target:
                os.setpriority(os.PRIO_PROCESS, thread, target)


def _threads(process: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(name) for name in os.listdir(f"/proc/{process}/task")]
    return [process]


async def _lower_group(process: int, more: int) -> None:
    path = Path(f"/proc/{process}/autogroup")
    for _ in range(_TRIES):
        ours, theirs = _own_group(), _group(path)
        if theirs is None or ours[0] == theirs[0]:
            return  # there are no groups, or it is in ours
        target = min(_NICEST, ours[1] + more)
        if theirs[1] >= target:
            return
        if not _later(path, target):
            return
        await asyncio.sleep(_PAUSE)


def _later(path: Path, target: int) -> bool:
    """Set it; whether that has to wait."""
    try:
        path.write_text(str(target))
    except OSError as error:
        return error.errno == errno.EAGAIN
    return False


def _own_group() -> tuple[str, int]:
    """Whom no session has started (below the first process of a container) is in none: it counts alone."""
    return _group(Path("/proc/self/autogroup")) or ("", os.getpriority(os.PRIO_PROCESS, 0))


def _group(path: Path) -> tuple[str, int] | None:
    try:
        found = _GROUP.fullmatch(path.read_text())
    except OSError:
        return None
    return None if found is None else (found[1], int(found[2]))
