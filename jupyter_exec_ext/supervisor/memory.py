"""How a supervisor learns that the system ran out of memory.

(Python 3.8, standard library only; elsewhere than on Linux it never learns of it.)
"""

from __future__ import annotations


class OutOfMemoryKills:
    """How often the kernel's out-of-memory killer has struck on this machine (proc_vmstat(5))."""

    def __init__(self) -> None:
        self._seen = self._count()

    @staticmethod
    def _count() -> int:
        try:
            with open("/proc/vmstat", "rb") as file:
                return next((int(line.split()[1]) for line in file if line.startswith(b"oom_kill ")), 0)
        except OSError:
            return 0

    def news(self) -> int:
        """How often since the last time this was asked."""
        before, self._seen = self._seen, self._count()
        return self._seen - before
