"""What a case is run with: places, their sessions, and what an execution came to there.

`rest` has those of a live server, `library` the one of an executor without a server.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .cases import Case
from .watch import Census, Meter

__all__ = ["NEXT", "Backend", "Result", "Session"]


@dataclass
class Result:
    """What an execution came to; `events` as (number, type, data)."""

    status: str = ""
    exit_code: int | None = None
    output: str = ""
    verdict: dict[str, Any] = field(default_factory=dict)
    truncated: bool = False
    events: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    replay: list[tuple[int, str, dict[str, Any]]] | None = None
    refused: int | None = None
    answer: dict[str, Any] = field(default_factory=dict)


class Session(Protocol):
    """One session in a place."""

    async def run(self, case: Case, copy: int) -> Result:
        """Run the case's request in it, and do what the case says while it runs."""

    async def print_next(self) -> Result:
        """Run ``print("next")`` in it."""

    async def files(self) -> tuple[list[dict[str, Any]], bool]:
        """Its files, and whether there are more."""

    async def read(self, path: str) -> bytes | None:
        """The contents of a file; None where it is not served."""


class Backend(Protocol):
    """A place in which sessions can be opened."""

    root: Path
    meter: Meter

    def session(self, path: str) -> contextlib.AbstractAsyncContextManager[Session]:
        """A session in that folder below the root."""

    def census(self, *, paths: bool = True) -> Census:
        """What there is at this moment; without `paths`, what may be while a session lives."""

    def complaints(self) -> str:
        """What it has logged since the last time."""


NEXT = {"code_blocks": [{"code": 'print("next")', "language": "python"}], "timeout": 20.0}
