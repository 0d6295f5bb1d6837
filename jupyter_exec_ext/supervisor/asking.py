"""Whether a program waits for somebody to type: that it reads its standard input, and nothing is there.

Linux tells (proc_pid_syscall(5), proc_pid_fdinfo(5)): a thread is blocked in a call that reads, or
that waits until it can read, and one of the descriptors of that call is the pipe that we type into,
under whatever number. Which descriptors ``select`` and ``poll`` wait for is in the program's own
memory, and those of ``epoll_wait`` are in its set. How long a call would wait at most is not asked.
Elsewhere the best that can be had is silence: a program that has printed nothing for a while may be
waiting. (Python 3.8, standard library only.)
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
import termios
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Seconds between two looks.
INTERVAL = 0.05
#: Seconds of silence after which a program counts as waiting where the system cannot tell.
SILENCE = 1.0
#: The most threads of a process, and of all processes together, that are looked at.
MAX_THREADS = 64
MAX_ALL_THREADS = 512
#: The most descriptors that are looked at, those of all threads together, and that one call names.
MAX_DESCRIPTORS = 1024

# What one ``pollfd`` is (poll(2)): the descriptor, what is waited for, and what the kernel answers.
_POLLFD = struct.Struct("=ihh")
_READABLE = select.POLLIN | getattr(select, "POLLRDNORM", 0)
_MACHINE = os.uname().machine


def can_tell() -> bool:
    """Whether the system tells what a process waits for."""
    return sys.platform.startswith("linux") and _MACHINE in _CALLS and os.path.exists("/proc/self/syscall")


def unread(descriptor: int) -> int:
    """How many bytes are in the pipe and nobody has read yet."""
    (count,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0"))
    return int(count)


def waits(pids: Iterable[int], pipe: int) -> bool:
    """Whether one of these processes waits to read the pipe that this is a descriptor of."""
    ours = os.fstat(pipe)
    tasks = islice((task for pid in pids for task in _tasks(pid)), MAX_ALL_THREADS)
    files = islice((file for task in tasks for file in _waits_for(task)), MAX_DESCRIPTORS)
    return any(_is(file, ours) for file in files)


def _tasks(pid: int) -> list[str]:
    # A thread's own folder has its descriptors and its memory even where the first thread has ended.
    place = f"/proc/{pid}/task"
    try:
        return [f"{place}/{task}" for task in os.listdir(place)[:MAX_THREADS]]
    except OSError:
        return []  # it has ended


def _waits_for(task: str) -> Iterator[str]:
    """The files that a thread is blocked on until it can read one of them."""
    try:
        with open(f"{task}/syscall") as file:
            call = file.read().split()
        if len(call) < 3 or not call[0].isdigit():
            return  # it runs, or is blocked elsewhere than in a call
        descriptors = _CALLS[_MACHINE].get(int(call[0]), _none)
        for number in descriptors(task, int(call[1], 16), int(call[2], 16)):
            yield f"{task}/fd/{number}"
    except OSError:
        return  # it has ended, or may not be looked at


def _is(path: str, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), file)
    except OSError:
        return False


# -- the descriptors of a call, by its first two arguments ---------------------------------------------


def _none(task: str, first: int, second: int) -> list[int]:
    return []


def _of_read(task: str, descriptor: int, _: int) -> list[int]:
    return [descriptor]


def _of_epoll(task: str, descriptor: int, _: int) -> list[int]:
    with open(f"{task}/fdinfo/{descriptor}") as file:
        watched = (line.split() for line in file if line.startswith("tfd:"))
        return [int(words[1]) for words in islice(watched, MAX_DESCRIPTORS)]


def _of_poll(task: str, array: int, count: int) -> list[int]:
    data = _memory(task, array, min(count, MAX_DESCRIPTORS) * _POLLFD.size)
    whole = data[: len(data) // _POLLFD.size * _POLLFD.size]
    return [number for number, events, _ in _POLLFD.iter_unpack(whole) if number >= 0 and events & _READABLE]


def _of_select(task: str, count: int, array: int) -> list[int]:
    count = min(count, MAX_DESCRIPTORS)
    bits = int.from_bytes(_memory(task, array, (count + 7) // 8), "little")
    return [number for number in range(count) if bits >> number & 1]


def _memory(task: str, address: int, size: int) -> bytes:
    """Bytes of the program's memory; fewer, or none, where it cannot be read."""
    if not 0 < address < 1 << 63:
        return b""
    memory = os.open(f"{task}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(memory, size, address)
    finally:
        os.close(memory)


def _numbers(
    reads: Iterable[int], epolls: Iterable[int], polls: Iterable[int], selects: Iterable[int]
) -> dict[int, Callable[[str, int, int], list[int]]]:
    kinds = ((reads, _of_read), (epolls, _of_epoll), (polls, _of_poll), (selects, _of_select))
    return {number: kind for numbers, kind in kinds for number in numbers}


#: By machine and number of the call: read, readv, splice; epoll_wait, epoll_pwait, epoll_pwait2; poll, ppoll;
#: select, pselect6.
_CALLS = {
    "x86_64": _numbers((0, 19, 275), (232, 281, 441), (7, 271), (23, 270)),
    "aarch64": _numbers((63, 65, 76), (22, 441), (73,), (72,)),
}
