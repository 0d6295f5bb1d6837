"""A program on a leash: run a command, and end it with all its children when standard input closes.

Started as a file by `tools`, with the standard library alone. The server holds the other end of
standard input: when it cancels, stops or is killed, the pipe closes, and nothing of the command
outlives it. Exits with the command's own code, or 128 and the signal that ended it.

The first argument is how many bytes of memory each process of the command may have, 0 for no limit; the
others are the command.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h: the command's orphans become our children
_WINDOWS = os.name == "nt"


def main(memory: int, command: list[str]) -> int:
    """Run the command until it ends or standard input does; nothing of it is left then."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=not _WINDOWS,
        preexec_fn=partial(_limit, memory) if memory and not _WINDOWS else None,
    )
    threading.Thread(target=_watch, args=(child.pid,), daemon=True).start()
    code = child.wait()
    _kill_group(child.pid)
    _kill_orphans()
    return 128 - code if code < 0 else code


def _limit(memory: int) -> None:
    """Bound what this process, and each that it starts, can have of memory of its own."""
    import resource

    # Not RLIMIT_AS: what is merely reserved, as compilers in node and Go do by the gigabyte, costs nothing.
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _watch(group: int) -> None:
    """Wait for the end of standard input, to which nobody ever writes."""
    while os.read(0, 1024):
        pass
    _kill_group(group)


def _kill_group(group: int) -> None:
    if _WINDOWS:
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(group)], capture_output=True, check=False)
        return
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # nobody is left in it, or only what has become another user's


def _kill_orphans() -> None:
    """Kill what left the group and came back to us, until there is nobody: a chain that forks too."""
    while not _WINDOWS:
        for child in _children():
            with contextlib.suppress(PermissionError):  # it has become another user's: it is waited for
                os.kill(child, signal.SIGKILL)
        try:
            reaped, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not reaped:
            time.sleep(0.002)


def _children() -> list[int]:
    """Return our children that nobody has reaped, so that none of their ids can be another's."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
