"""`Entry`: an event as it is written, and the JSON that all of the log is written in."""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic_core import from_json

from ..events import Event, EventType

__all__ = ["LOST", "Entry", "decode", "encode"]

# What an entry costs beside its bytes: the object, its place in two lists, the bytes' own header.
_OVERHEAD = 250
_PLACEHOLDER_OVER = 200
_LARGEST_DEPTH = 100
#: What stands in the place of output that cannot be read any more.
LOST = {"name": "stderr", "text": "\n[output that was lost when the execution log was damaged]\n"}

_strict = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str).encode


def encode(data: dict[str, Any]) -> bytes:
    """Write data as JSON in UTF-8.

    What JSON or UTF-8 cannot say is replaced, never refused: output must not get lost for one
    value in it. NaN and the infinities become null (as in JavaScript), a lone surrogate U+FFFD.
    """
    try:
        return _strict(data).encode()
    except (ValueError, TypeError, RecursionError):
        return _strict(_clean(data, 0)).encode()


def _clean(value: Any, depth: int) -> Any:
    if depth > _LARGEST_DEPTH:
        return None
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_clean(str(key), depth): _clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item, depth + 1) for item in value]
    return value if value is None or isinstance(value, (bool, int)) else _clean(str(value), depth)


def decode(raw: Any) -> dict[str, Any]:
    """Read what `encode` wrote. Raises `ValueError`, and nothing else, where it is anything else."""
    if not isinstance(raw, (bytes, str)):
        raise ValueError("it is no text")
    try:
        data = from_json(raw)
    except ValueError as error:
        if "recursion" not in str(error):
            raise
        data = _decode_deep(raw)
    if not isinstance(data, dict):
        raise ValueError("it is no object")
    return data


def _decode_deep(raw: bytes | str) -> Any:
    try:
        return _clean(json.loads(raw), 0)
    except RecursionError:
        raise ValueError("it is too deep") from None


class Entry:
    """One logged event as it goes over the wire.

    Parameters
    ----------
    number : int
    type : EventType
    json : bytes
        The event's data with its ``time``, as JSON in UTF-8 on one line.
    """

    __slots__ = ("json", "number", "type")

    def __init__(self, number: int, type: EventType, json: bytes) -> None:
        self.number = number
        self.type = type
        self.json = json

    @property
    def size(self) -> int:
        """Bytes of memory, nearly."""
        return len(self.json) + _OVERHEAD

    def event(self) -> Event:
        """The event, made anew for every reader, so that none can change what another one sees."""
        try:
            data = decode(self.json)
            time = str(data.pop("time"))
            if self.type == "stream":
                data = {"name": str(data["name"]), "text": str(data["text"])}
        except (ValueError, KeyError):
            # SQLite has no checksums: damage within a text is found by nobody else.
            return Event("stream", dict(LOST), self.number)
        return Event(self.type, data, self.number, time)

    def shed(self) -> int:
        """Give up the content of a large output, keeping its number; return the bytes that were freed."""
        if len(self.json) <= _PLACEHOLDER_OVER or self.type in ("end", "status"):
            return 0
        before, data = len(self.json), decode(self.json)
        text = f"\n[{before} bytes were not kept: the log is in memory only, and its limit is reached]\n"
        self.type = "stream"
        self.json = encode({"name": data.get("name", "stderr"), "text": text, "time": data["time"]})
        return before - len(self.json)
