"""`Bodies`: how much of all requests' bodies the server holds at one time."""

from __future__ import annotations

__all__ = ["Bodies"]


class Bodies:
    """Counts bytes that are held.

    A body has its own limit, but a hundred clients who leave out the last byte each hold all the rest.

    """

    #: Bytes of all bodies together, or twice the largest one where that is more.
    limit = 64 * 1024 * 1024

    def __init__(self) -> None:
        self._held = 0

    def take(self, size: int, largest: int) -> bool:
        """Make room for so many bytes; whether there was any. `largest` is the limit of one body."""
        if self._held + size > max(self.limit, 2 * largest):
            return False
        self._held += size
        return True

    def give_back(self, size: int) -> None:
        """So many bytes are held no longer."""
        self._held -= size
