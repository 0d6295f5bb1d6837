"""`Shelf`: what the pool has of one environment, and whether it may have more."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..environments.kernel import KernelEnvironment

__all__ = ["ReadyKernel", "Shelf", "process_of"]

#: Seconds in which nothing is started after a failure: the first one, and at most.
BACK_OFF = (10.0, 600.0)


@dataclass(frozen=True, eq=False)
class ReadyKernel:
    """A kernel that waits to be taken.

    Parameters
    ----------
    id : str
    environment : KernelEnvironment
        As it was when the kernel was started.
    variables : dict
        Those it was started with.
    process : object
        Which process it is: it is another one once somebody has restarted it.
    """

    id: str
    environment: KernelEnvironment
    variables: dict[str, str]
    process: object

    def fits(self, environment: KernelEnvironment, variables: dict[str, str]) -> bool:
        """Whether one that is started now would be the same."""
        then = self.environment
        before = (then.found, then.preload, self.variables)
        return before == (environment.found, environment.preload, variables)


class Shelf:
    """The kernels of one environment, those that are ready and the one that is being started."""

    def __init__(self) -> None:
        self.ready: deque[ReadyKernel] = deque()
        #: Starts one after the other until there are enough.
        self.filling: asyncio.Task[None] | None = None
        #: Whether one is being started now, which counts as one.
        self.starting = False
        self.used = time.monotonic()
        self._failures = 0
        self._not_before = 0.0

    @property
    def count(self) -> int:
        """How many there are, and will soon be."""
        return len(self.ready) + self.starting

    @property
    def idle_seconds(self) -> float:
        """For how long nobody has wanted one."""
        return time.monotonic() - self.used

    @property
    def resting(self) -> bool:
        """Whether nothing is to be started now, since the last ones have failed."""
        return time.monotonic() < self._not_before

    def failed(self) -> float:
        """Note that one has failed; returns the seconds in which none is started."""
        first, longest = BACK_OFF
        seconds = min(first * 2.0**self._failures, longest)
        self._failures = min(self._failures + 1, 32)
        self._not_before = time.monotonic() + seconds
        return seconds

    def succeeded(self) -> None:
        """Note that one was taken and was well."""
        self._failures, self._not_before = 0, 0.0


def process_of(manager: Any) -> object:
    """Which process a kernel is, where its manager knows; a restart makes it another one."""
    return getattr(getattr(manager, "provisioner", None), "pid", None)
