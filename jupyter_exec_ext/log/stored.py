"""What the file holds, read as what the log works with.

SQLite has no checksums, and a block can write into the file: any column may hold anything. What cannot be
read is replaced here, each value by itself, so that nothing above has to know.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError

from ..events import EventType
from ..models import ENDED, CodeBlock, Execution, Verdict, now
from .entry import LOST, Entry, decode, encode
from .record import LEFT_OUT

__all__ = [
    "COLUMNS",
    "FIT",
    "IS_ID",
    "IS_TIME",
    "LAST_NUMBER",
    "LAST_SEQUENCE",
    "LONG_AGO",
    "LOST_CODE",
    "LOST_RECORD",
    "MOST",
    "RUN_OUT",
    "SHIFT",
    "SOUND",
    "Stored",
    "as_text",
    "code_of",
    "entry_of",
    "execution_of",
    "last_of",
    "lost_entry",
    "missing",
    "outline_of",
    "time_of",
]

#: An event's key is its execution's sequence number times this, plus its own number.
SHIFT = 1 << 32
LAST_NUMBER = SHIFT - 1
#: The sequence number above which the keys of its events are none of SQLite's.
LAST_SEQUENCE = (1 << 31) - 1
#: What is said where there is no number below that: only a new file can have them again.
RUN_OUT = "database disk image is malformed: the numbers of its executions have run out"
#: Events that may be missing: a number that is higher by more is damaged.
MOST = 1000

#: What stands in the place of code, and of an environment's name, that cannot be read any more.
LOST_CODE = "[code that was lost when the execution log was damaged]"
_LOST_NAME = "[lost]"
#: The cause of an execution whose record has lost something.
LOST_RECORD = "The record of this execution was damaged; what can still be read of it is shown."

COLUMNS = "seq, id, environment, session, status, created_at, ended_at, last_event, record"
#: What holds of the rows that can be found; `mend` sees to the others. (The length of a text ends at NUL.)
FIT = f"+seq BETWEEN 1 AND {LAST_SEQUENCE}"
_DAY, _CLOCK = "-".join(["[0-9]" * 4, "[0-9]" * 2, "[0-9]" * 2]), ":".join(["[0-9]" * 2] * 3)
IS_ID = "typeof(id) = 'text' AND length(CAST(id AS BLOB)) = 32 AND id GLOB '{}'".format("[0-9a-f]" * 32)
IS_TIME = (
    "typeof({0}) = 'text' AND length(CAST({0} AS BLOB)) = 27"
    f" AND {{0}} GLOB '{_DAY}T{_CLOCK}.{'[0-9]' * 6}Z'"
)
SOUND = f"{IS_ID} AND {IS_TIME.format('created_at')}"

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
#: The time of what has lost its time.
LONG_AGO = "1970-01-01T00:00:00.000000Z"
_FIELDS = Execution.model_fields.keys() - LEFT_OUT


class Stored(NamedTuple):
    """A row of ``executions``: `COLUMNS`, of whatever types they are."""

    seq: int
    id: Any
    environment: Any
    session: Any
    status: Any
    created_at: Any
    ended_at: Any
    last_event: Any
    record: Any

    @property
    def ended(self) -> bool:
        """Whether the execution has ended: this column alone says so."""
        return self.ended_at is not None


# ---- executions


def execution_of(row: Stored, code: Any, last: int) -> Execution:
    """Read an execution; `code` is what the database has as its code, `last` its last event's number."""
    execution = outline_of(row, last)
    execution.code_blocks = code_of(code)
    return execution


def outline_of(row: Stored, last: int) -> Execution:
    """The same without its code blocks, which can be long."""
    execution, whole = _read(row)
    execution.id, execution.last_event = str(row.id), last
    execution.created_at = _first(_is_time, row.created_at, row.ended_at, LONG_AGO)
    execution.started_at = _first(_is_time, execution.started_at, None)
    statuses = ENDED if row.ended else ("running", "queued")
    execution.status = _first(
        statuses.__contains__, execution.status, row.status, "lost" if row.ended else "running"
    )
    execution.finished_at = None
    if row.ended:
        execution.finished_at = _first(_is_time, row.ended_at, execution.created_at)
    if execution.verdict is not None:
        execution.verdict = _finite(execution.verdict)
    if not whole:
        verdict = execution.verdict or Verdict()
        execution.verdict = verdict.model_copy(update={"cause": LOST_RECORD})
    return execution


def _read(row: Stored) -> tuple[Execution, bool]:
    """The record as far as it can be read, and whether that is all of it."""
    names: dict[str, Any] = {
        "environment": _text(row.environment) or _LOST_NAME,
        "session": _text(row.session),
    }
    try:
        data = decode(row.record)
    except ValueError:
        return Execution(**names), False
    # A record of another version lacks names, or has others; only a damaged one does both.
    whole = not (_FIELDS - data.keys() and data.keys() - _FIELDS)
    data = {**names, **{name: data[name] for name in _FIELDS & data.keys()}}
    try:
        return Execution.model_validate(data), whole
    except ValidationError as error:
        wrong = {detail["loc"][0] for detail in error.errors(include_url=False)}
    sound = {name: value for name, value in data.items() if name not in wrong}
    return Execution.model_validate({**names, **sound}), False


def _finite(verdict: Verdict) -> Verdict:
    """The same without infinities, which a number of JSON can be, and JSON cannot say."""
    wrong = [name for name, value in verdict if isinstance(value, float) and not math.isfinite(value)]
    return verdict.model_copy(update=dict.fromkeys(wrong)) if wrong else verdict


def as_text(raw: bytes) -> str:
    """A text of the file (a connection's ``text_factory``): it need not be UTF-8."""
    return raw.decode("utf-8", "replace")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and _TIME.fullmatch(value) is not None


def _first(fits: Callable[[Any], bool], *values: Any) -> Any:
    """The first value that fits; else the last, which need not."""
    return next(filter(fits, values), values[-1])


def code_of(code: Any) -> list[CodeBlock]:
    """Read code blocks, with a mark in the place of each that is damaged."""
    try:
        blocks = decode(code)["blocks"]
    except (ValueError, KeyError):
        blocks = None
    return [_block(block) for block in (blocks if isinstance(blocks, list) else [None])]


def _block(block: Any) -> CodeBlock:
    fields = block if isinstance(block, dict) else {}
    code, language = _text(fields.get("code")), _text(fields.get("language"))
    return CodeBlock.model_construct(code=LOST_CODE if code is None else code, language=language or "")


# ---- events


def last_of(db: sqlite3.Connection, row: Stored) -> int:
    """The number of the last event: what the row says, unless that cannot be."""
    low, said = row.seq * SHIFT, row.last_event
    there, kind = _highest(db, low)
    if not row.ended:
        return there
    if isinstance(said, int) and there != said and 1 <= said <= min(there + MOST, LAST_NUMBER):
        if said > there or _type(db, low + said) == "end":
            return said
    return there if kind == "end" or 0 < there == said else min(there + 1, LAST_NUMBER)


def _highest(db: sqlite3.Connection, low: int) -> tuple[int, Any]:
    query = "SELECT id, type FROM events WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT 1"
    found = db.execute(query, (low, low + LAST_NUMBER)).fetchone()
    return (found[0] - low, found[1]) if found else (0, None)


def _type(db: sqlite3.Connection, key: int) -> Any:
    found = db.execute("SELECT type FROM events WHERE id = ?", (key,)).fetchone()
    return found and found[0]


def lost_entry() -> tuple[EventType, bytes]:
    """What stands in the place of an event that cannot be read any more, so that no number is missing."""
    return "stream", encode({**LOST, "time": now()})


def missing(cursor: int, number: int) -> range:
    """The numbers between two events that follow each other, as far as so many can be missing."""
    return range(max(cursor + 1, number - MOST), number)


def entry_of(number: int, kind: Any, data: Any) -> Entry:
    """Read an event that is not the end.

    It is written anew, not passed on: what is damaged can still be JSON, and yet not of our form.
    """
    try:
        read = decode(data)
    except ValueError:
        read = {}
    if kind in _KINDS and isinstance(read.get("time"), str) and _SHAPES.get(kind, _anything)(read):
        if kind == "stream":
            read = {name: read[name] for name in ("name", "text", "time")}
        return Entry(number, kind, encode(read))
    return Entry(number, *lost_entry())


def time_of(data: Any) -> str | None:
    """The time of an event, where it can be read."""
    try:
        time = decode(data).get("time")
    except ValueError:
        return None
    return time if _is_time(time) else None


def _is_stream(data: dict[str, Any]) -> bool:
    return isinstance(data.get("name"), str) and isinstance(data.get("text"), str)


def _is_display(data: dict[str, Any]) -> bool:
    shown = data.get("data", {})
    return (
        isinstance(shown, dict)
        and isinstance(data.get("metadata"), (dict, type(None)))
        and _is_texts(shown.get("text/plain", []))
    )


def _is_error(data: dict[str, Any]) -> bool:
    traceback = data.get("traceback", [])
    return isinstance(traceback, list) and _is_texts(traceback)


def _is_texts(value: Any) -> bool:
    """Whether it is no list, or one of texts."""
    return not isinstance(value, list) or all(isinstance(text, str) for text in value)


def _anything(data: dict[str, Any]) -> bool:
    return True


_KINDS = frozenset(get_args(EventType)) - {"end"}
_SHAPES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "stream": _is_stream,
    "display_data": _is_display,
    "execute_result": _is_display,
    "update_display_data": _is_display,
    "error": _is_error,
}
