"""The pages a fork shares, copied before somebody waits for them.

A fork shares every page of its parent until one of the two writes to it. Then the kernel copies it:
2 to 3 µs in a virtual machine, a few hundred times in the way of every block, half of its time in
all. It is much the same pages each time, and a process can ask which: those it had to copy are its
alone (pagemap(5), bit 56). So one process runs an empty script in advance and tells its pages; each
that waits for a block after it copies the same ones while it waits (madvise(2), Linux 5.14). Where a
kernel offers neither, nothing changes but the time.
(Python 3.8, standard library only.)
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    #: Where it begins, and how many bytes it has.
    Ranges = list[tuple[int, int]]

PAGE = os.sysconf("SC_PAGE_SIZE")
#: Pages copied in advance for one process, at most: 8 MiB of the common size.
MOST = 2048
_POPULATE_WRITE = 23
#: The top bytes of pages that are in memory (bit 63) and nobody else's (bit 56).
_ALONE = re.compile(b"\x81+")
#: Private writable memory: what a script's objects lie in.
_MAPPING = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) rw-p", re.MULTILINE)


def _advice() -> Any:
    if not os.path.exists("/proc/self/pagemap"):
        return None  # not Linux, whose number this is
    try:
        import ctypes

        advise = ctypes.CDLL(None).madvise
        advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    except (ImportError, OSError, AttributeError):
        return None
    return advise


_madvise = _advice()
_open = open  # at the end of a script, when `tell` looks, the name is gone


def own() -> Ranges:
    """The pages that this process shares with no other; none where the kernel does not say."""
    try:
        with _open("/proc/self/maps", "rb") as maps, _open("/proc/self/pagemap", "rb", 0) as pagemap:
            found = [_alone(pagemap.fileno(), *match.groups()) for match in _MAPPING.finditer(maps.read())]
    except OSError:
        return []
    return [pages for pages_of_one in found for pages in pages_of_one]


def _alone(pagemap: int, start: bytes, end: bytes) -> Ranges:
    first, last = int(start, 16) // PAGE, int(end, 16) // PAGE
    entries = os.pread(pagemap, min(last - first, 1 << 20) * 8, first * 8)
    flags = entries[7::8]
    return [
        ((first + match.start()) * PAGE, (match.end() - match.start()) * PAGE)
        for match in _ALONE.finditer(flags)
    ]


def copy(ranges: Ranges) -> None:
    """Make these pages this process's own now."""
    if _madvise is None:
        return
    left = MOST * PAGE
    for start, size in ranges:
        if left <= 0:
            return
        _madvise(start, min(size, left), _POPULATE_WRITE)  # what is no longer there is refused
        left -= size


def tell(descriptor: int) -> None:
    """Write to a descriptor which pages are this process's own, and end it."""
    text = " ".join(f"{start}:{size}" for start, size in own())
    data = text.encode("ascii")
    while data:
        data = data[os.write(descriptor, data) :]
    os._exit(0)


def told(data: bytes) -> Ranges:
    """What `tell` has written."""
    pairs = [pair.split(":") for pair in data.decode("ascii").split()]
    return [(int(start), int(size)) for start, size in pairs]
