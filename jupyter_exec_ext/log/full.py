"""An execution with all that it printed, from what is on disk and what is in memory."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator

from ..events import Transcript
from ..models import Execution
from .document import Part, Parts, document
from .entry import Entry
from .queries import code as on_disk
from .queries import whole

__all__ = ["document_of", "filled", "in_full"]


def in_full(db: sqlite3.Connection, execution: Execution, until: int, tail: list[Entry]) -> Execution:
    """An execution with its output: what is on disk up to that number, then the tail."""
    return filled(execution, itertools.chain(_shown(db, execution, until), tail))


def _shown(db: sqlite3.Connection, execution: Execution, until: int) -> Iterator[Entry]:
    """What is on disk up to a number, without the end: that shows nothing, also where it is damaged."""
    return whole(db, execution.id, min(until, execution.last_event - execution.ended))


def document_of(
    db: sqlite3.Connection, execution: Execution, until: int, tail: list[Entry], code: Part | None
) -> Parts:
    """The same as JSON in parts; `code` where it is in memory."""
    entries = itertools.chain(_shown(db, execution, until), tail)
    return document(execution, entries, on_disk(db, execution.id) if code is None else code)


def filled(execution: Execution, entries: Iterable[Entry]) -> Execution:
    """An execution with the output that these entries are."""
    # One entry after the other, so that what was printed is in memory once, and not as entries, too.
    shown = (entry.event() for entry in entries if entry.type != "end")
    transcript = Transcript(shown, plain=execution.plain)
    execution.output, execution.outputs = transcript.output, transcript.outputs
    return execution
