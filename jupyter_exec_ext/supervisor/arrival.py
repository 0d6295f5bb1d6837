"""In which order two pipes were written to, as far as the system can tell.

Who prints to one stream and then to the other has written to both by the time we look. Linux keeps what
became readable in the order in which that happened (epoll(7)); elsewhere the order is that of the list.
(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Linux alone has it.
_epoll: Any = getattr(select, "epoll", None)

_EVENTS = getattr(select, "EPOLLIN", 0) | getattr(select, "EPOLLET", 0)


def watch(*descriptors: int) -> int | None:
    """Begin to watch these, before anybody writes: a descriptor for `Arrival`, or None."""
    if _epoll is None:
        return None
    try:
        epoll = _epoll()
        for descriptor in descriptors:
            epoll.register(descriptor, _EVENTS)
        return os.dup(epoll.fileno())
    except OSError:
        return None  # the user has as many as may be; a run can do without


class Arrival:
    """Says which of some descriptors got its first new bytes first, from look to look.

    Parameters
    ----------
    watching : int or None
        From `watch`; closed with this.
    """

    def __init__(self, watching: int | None) -> None:
        self._epoll = None if watching is None else _epoll.fromfd(watching)
        self._came: list[int] = []

    def sort(self, ready: list[int]) -> list[int]:
        """These descriptors, which can be read: what was left of an earlier look, then as it came."""
        if self._epoll is None or not ready:
            return ready
        self._came += [number for number, _ in self._epoll.poll(0) if number not in self._came]
        left = [number for number in ready if number not in self._came]
        order = left + [number for number in self._came if number in ready]
        self._came = [number for number in self._came if number not in ready]
        return order

    def close(self) -> None:
        """Look no more."""
        if self._epoll is not None:
            self._epoll.close()
