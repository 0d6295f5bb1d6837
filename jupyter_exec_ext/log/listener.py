"""`Listener`: what the writer's thread has to say, and to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from .notice import Notice
from .record import Delete, Operation

__all__ = ["Listener"]


class Listener(Protocol):
    """Who is told, from the writer's thread, how it goes."""

    def written(self, operations: list[Operation | Delete]) -> None:
        """These are on disk now."""

    def state(self, reason: str | None, aside: Path | None) -> None:
        """Why nothing can be written, or None; where a damaged file was moved to, or None."""

    def renewing(self) -> None:
        """The file is about to be opened anew: close what reads it."""

    def renewed(self, *, removed: bool, saved: bool = False) -> None:
        """The file is a new one, where somebody removed or damaged it, or what of it could be `saved`."""

    def noticed(self, notices: list[Notice]) -> None:
        """These were ended or removed, here and by no other server."""
