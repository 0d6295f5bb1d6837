"""Whether a program waits for somebody to type: that it reads its standard input, and nothing is there.

Linux tells (proc_pid_syscall(5), proc_pid_fdinfo(5)): a process is blocked in ``read`` on
descriptor 0, or in ``epoll_wait`` on a set that holds descriptor 0, as node's is. Elsewhere the
best that can be had is silence: a program that has printed nothing for a while may be waiting.
(Python 3.8, standard library only.)
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: Seconds between two looks.
INTERVAL = 0.05
#: Seconds of silence after which a program counts as waiting where the system cannot tell.
SILENCE = 1.0
#: The most threads of a process that are looked at.
MAX_THREADS = 64

_READS = {"x86_64": (0, 19), "aarch64": (63, 65)}
_POLLS = {"x86_64": (232, 281, 441), "aarch64": (22, 441)}
_MACHINE = os.uname().machine


def can_tell() -> bool:
    """Whether the system tells what a process waits for."""
    return sys.platform.startswith("linux") and _MACHINE in _READS and os.path.exists("/proc/self/syscall")


def unread(descriptor: int) -> int:
    """How many bytes are in the pipe and nobody has read yet."""
    (count,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0"))
    return int(count)


def waits(pids: Iterable[int], pipe: int) -> bool:
    """Whether one of these processes waits to read the pipe (its inode number) as descriptor 0."""
    return any(_waits(pid, pipe) for pid in pids)


def _waits(pid: int, pipe: int) -> bool:
    try:
        if os.stat(f"/proc/{pid}/fd/0").st_ino != pipe:
            return False
        return any(_reads(pid, task) for task in os.listdir(f"/proc/{pid}/task")[:MAX_THREADS])
    except OSError:
        return False  # it has ended, or may not be looked at


def _reads(pid: int, task: str) -> bool:
    with open(f"/proc/{pid}/task/{task}/syscall") as file:
        call = file.read().split()
    if len(call) < 2 or not call[0].isdigit():
        return False
    number, first = int(call[0]), int(call[1], 16)
    if number in _READS[_MACHINE]:
        return first == 0
    return number in _POLLS[_MACHINE] and _watches_stdin(pid, first)


def _watches_stdin(pid: int, epoll: int) -> bool:
    try:
        with open(f"/proc/{pid}/fdinfo/{epoll}") as file:
            return any(line.split()[:2] == ["tfd:", "0"] for line in file)
    except OSError:
        return False
