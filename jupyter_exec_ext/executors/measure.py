"""How much a supervisor has said of one block, and whether one that does not lie could have."""

from __future__ import annotations

import time

from ..supervisor.output import GRAIN_KEPT, INTERVAL, MAX_PIECES, NEWS
from ..supervisor.reports import lied

__all__ = ["Measure"]

#: Pieces of output, and notices of dropped output, that nobody counts: a block may have so many at once.
FREE_PIECES, FREE_NOTICES = 1000, 100


class Measure:
    """Counts what becomes events, in bytes and in number; all of it ends up in the log.

    Each of its methods raises `ProtocolError` for what only a supervisor that lies can have sent.

    Parameters
    ----------
    room : int
        Bytes of output that are kept of the block. The texts of questions may be as many characters
        again: a program prints what it asks, and its supervisor says it a second time.
    live : bool
        Whether the program may ask for input.
    """

    def __init__(self, room: int, live: bool) -> None:
        self._room, self._live = room, live
        self._began = time.monotonic()
        self._kept = self._pieces = self._notices = 0
        self._questions = self._asked = 0
        self._allowed = FREE_PIECES
        self._dropped = False

    @property
    def total(self) -> int:
        """Bytes of output, and characters of questions, so far."""
        return self._kept + self._asked

    def output(self, size: int) -> None:
        """Count a piece of output, in bytes."""
        if not size:
            raise lied("sent output that was empty")
        self._kept += size
        if self._kept > self._room:
            raise lied("sent more output than it may")
        self._pieces += 1
        if self._pieces > self._allowed:
            self._allow()

    def _allow(self) -> None:
        # Each event costs some hundred bytes, besides its text. See `supervisor.output.Pieces`: what is sent
        # at once is so many pieces and one for each `GRAIN_KEPT` bytes at least; twice that cannot be met.
        sendings = (time.monotonic() - self._began) / INTERVAL + self._questions
        self._allowed = FREE_PIECES + int(2 * (MAX_PIECES * sendings + self._kept / GRAIN_KEPT))
        if self._pieces > self._allowed:
            raise lied("cut output into more pieces than it may")

    def question(self, prompt: str, answers: int) -> str:
        """Return as much of a question's text as there is room for.

        Parameters
        ----------
        prompt : str
        answers : int
            How many the program has been given so far: it waits once for each, and for one more.
        """
        self._questions += 1
        if not self._live:
            raise lied("asked for input where none can be given")
        if self._questions > answers + 1:
            raise lied("asked again before anybody had answered")
        shown = prompt[: max(0, self._room - self._asked)]
        self._asked += len(shown)
        return shown

    def notice(self) -> None:
        """Count a notice that output is being dropped: there is one in `NEWS` seconds."""
        self._notices += 1
        if self._notices > FREE_NOTICES + 2 * (time.monotonic() - self._began) / NEWS:
            raise lied("told too often that output is dropped")

    def gap(self) -> None:
        """Note that output was dropped between head and tail: there is one gap at most."""
        if self._dropped:
            raise lied("said twice what output was dropped")
        self._dropped = True
