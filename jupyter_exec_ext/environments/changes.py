"""`Changes`: what became of the environments between two looks, told to whoever listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from logging import Logger, LoggerAdapter
from typing import Any

__all__ = ["Changes"]

# Listeners are told of so many changes at once, not of a disk full of new environments.
TOLD_AT_ONCE = 20


class Changes:
    """Compares each look with the one before, so that it does not matter who changed something.

    Parameters
    ----------
    logger : Logger
    """

    def __init__(self, logger: Logger | LoggerAdapter[Any]) -> None:
        #: Called with a name and what became of it: created, changed or deleted.
        self.listeners: list[Callable[[str, str], None]] = []
        self._logger = logger
        self._before: Mapping[str, str] | None = None

    def look(self, states: Mapping[str, str]) -> None:
        """Take the status of every environment; nobody is told of the first look."""
        before, self._before = self._before, states
        if before is None or before == states:
            return
        changes = [(name, "deleted") for name in before if name not in states]
        changes += [(name, "created") for name in states if name not in before]
        changes += [(name, "changed") for name in states if before.get(name, states[name]) != states[name]]
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # a program without a loop lists them; nobody can be listening
        # Later, since a listener may well ask for the list.
        for name, what in changes[:TOLD_AT_ONCE]:
            loop.call_soon(self._tell, name, what)

    def _tell(self, name: str, what: str) -> None:
        for listener in tuple(self.listeners):
            try:
                listener(name, what)
            except Exception:
                self._logger.exception("A listener failed when it was told that %s was %s.", name, what)
