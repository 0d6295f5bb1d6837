"""What the log does to executions by itself, and how its observers are told of that."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from ..models import Execution
from .entry import decode

__all__ = ["Notice", "Observer", "Telling", "code_hash", "notice_of"]

# To emit one Jupyter event takes up to a millisecond: so most of the event loop's time is for others.
_PAUSE_SECONDS = 0.002
# Characters that are made bytes at once: code can be long.
_HASHED = 65536


class Notice(NamedTuple):
    """An execution that the log ended, or removed, by itself, so that nobody else tells of it.

    `action` is ``ended`` (it was lost with its server) or ``deleted`` (there was no room for it any more);
    `execution` has neither output nor code blocks; `user` asked for it; `code_sha256` is its `code_hash`,
    None where damage has made the code unreadable.
    """

    action: Literal["ended", "deleted"]
    execution: Execution
    user: str
    code_sha256: str | None


Observer = Callable[[Notice], None]


def code_hash(codes: Iterable[str]) -> str:
    """SHA-256 of the code of some blocks, in hexadecimal; several are joined by one line feed."""
    digest = hashlib.sha256()
    for number, code in enumerate(codes):
        digest.update(b"\n" if number else b"")
        for start in range(0, len(code), _HASHED):
            digest.update(code[start : start + _HASHED].encode())
    return digest.hexdigest()


def notice_of(action: Literal["ended", "deleted"], execution: Execution, user: str, code: bytes) -> Notice:
    """Make the notice of an execution, whose code is that of its `Row`."""
    # It may wait among very many: without what can be long.
    short = execution.model_copy(update={"code_blocks": []})
    try:
        digest = code_hash(block["code"] for block in decode(code)["blocks"])
    except (AttributeError, KeyError, TypeError, ValueError):  # SQLite has no checksums
        digest = None
    return Notice(action, short, user, digest)


class Telling:
    """Tells observers on the event loop, one notice after the other, so that very many hold up nothing.

    Parameters
    ----------
    observers : list of callable
        Of those that are in it at the time.
    logger : logging.Logger
    """

    def __init__(
        self, observers: list[Observer], logger: logging.Logger | logging.LoggerAdapter[Any]
    ) -> None:
        self._observers = observers
        self._logger = logger
        self._pause = _PAUSE_SECONDS
        self._waiting: deque[Notice] = deque()
        self._task: asyncio.Task[None] | None = None

    def add(self, notices: Iterable[Notice]) -> None:
        """Take what is to be told soon. Where nobody listens, nothing is kept."""
        if self._observers:
            self._waiting.extend(notices)
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._tell_all())

    async def finish(self, seconds: float) -> None:
        """Tell the rest without pauses, for so many seconds at most."""
        self._pause = 0.0
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            self._task.cancel()

    async def _tell_all(self) -> None:
        while self._waiting:
            self._tell(self._waiting.popleft())
            await asyncio.sleep(self._pause)

    def _tell(self, notice: Notice) -> None:
        for observer in list(self._observers):
            try:
                observer(notice)
            except Exception:
                self._logger.exception("An observer of the execution log failed.")
