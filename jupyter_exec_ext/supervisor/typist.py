"""What is typed to a program: handed over as fast as it reads.

(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import os
from collections import deque

from .frames import CHUNK


class Typist:
    """Our end of a program's standard input. It holds what the pipe does not take; the server bounds that.

    Parameters
    ----------
    pipe : int or None
        Not blocking; None where the program cannot be typed to. Closed at the end of the input.
    """

    def __init__(self, pipe: int | None) -> None:
        self.pipe = pipe
        self._typed: deque[bytes] = deque()
        self._taken = 0

    @property
    def idle(self) -> bool:
        """Whether all that was typed has been taken."""
        return not self._typed

    def type(self, data: bytes) -> None:
        """Take bytes; none: the end of the input."""
        self._typed.append(data)
        self.write()

    def write(self) -> None:
        """Hand over as much as the pipe takes."""
        while self._typed and self.pipe is not None:
            data = self._typed.popleft()
            if not data:
                self.close()
                return
            try:
                written = os.write(self.pipe, data)
            except BlockingIOError:
                written = 0
            except BrokenPipeError:
                self.close()  # nobody will ever read it
                written = len(data)
            self._taken += written
            if written < len(data):
                self._typed.appendleft(data[written:])
                return
        self._drop()

    def close(self) -> None:
        """End the input, and forget what is left of it."""
        if self.pipe is not None:
            os.close(self.pipe)
            self.pipe = None
        self._drop()

    def _drop(self) -> None:
        if self.pipe is None:
            self._taken += sum(map(len, self._typed))
            self._typed.clear()

    def taken(self) -> int:
        """Bytes that have been taken since this was last asked; a few only once they are all."""
        if self._typed and self._taken < CHUNK:
            return 0
        taken, self._taken = self._taken, 0
        return taken
