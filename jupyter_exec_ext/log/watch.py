"""`Watch`: whoever waits for a disk that does not answer cannot say so itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from .writer import Writer

__all__ = ["Watch"]

_LOOK_SECONDS = 0.5


class Watch:
    """Notices, on the event loop, that the writer does not come back from its work, and when it does.

    Parameters
    ----------
    writer : Writer
    changed : callable
        Is told that `reason` is another one.
    logger : logging.Logger
    """

    def __init__(
        self,
        writer: Writer,
        changed: Callable[[], None],
        logger: logging.Logger | logging.LoggerAdapter[Any],
    ) -> None:
        #: Why nothing comes to disk; None while the writer does come back.
        self.reason: str | None = None
        self._writer, self._changed, self._logger = writer, changed, logger
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look on until `stop`."""
        self._task = asyncio.create_task(self._look_on())

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._look()

    def _look(self) -> None:
        reason = self._writer.overdue
        if reason == self.reason:
            return
        self.reason = reason
        if reason:
            self._logger.warning("The execution log is in memory only: %s.", reason)
        else:
            self._logger.info("The execution log's writer has come back.")
        self._changed()
