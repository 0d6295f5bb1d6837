"""How a supervisor learns that the system ran out of memory.

(Python 3.8, standard library only; elsewhere than on Linux it never learns of it.)
"""

from __future__ import annotations

#: Where the kernel counts: for what a container is (cgroup v2, which has this below its root only), else for
#: the whole machine.
_COUNTS = ("/sys/fs/cgroup/memory.events", "/proc/vmstat")


class OutOfMemoryKills:
    """How often the kernel's out-of-memory killer has struck here (cgroups(7), proc_vmstat(5))."""

    def __init__(self) -> None:
        self._seen = self._count()

    @staticmethod
    def _count() -> int:
        for path in _COUNTS:
            try:
                with open(path, "rb") as file:
                    return next(int(line.split()[1]) for line in file if line.startswith(b"oom_kill "))
            except (OSError, StopIteration):
                continue
        return 0

    def news(self) -> int:
        """How often since the last time this was asked."""
        before, self._seen = self._seen, self._count()
        return max(0, self._seen - before)  # it may not be possible to look
