"""The protocol between server and supervisor: frames over a byte stream.

A frame is a header of nine bytes (payload length, type, channel; big endian) and a payload. The
channel is the number of the request it belongs to, chosen by the server; 0 is the supervisor
itself. The types are the same in both directions:

========= ==========================================================
`CONTROL` a JSON object with ``op`` and what goes with it
`DATA`    bytes: a file's contents, or what a program reads (standard input); empty: the end
`STDOUT`  bytes a program printed
`STDERR`  bytes a program printed on standard error
========= ==========================================================

What comes in is never trusted: a length over the bound, an unknown type or JSON that is not an
object with ``op`` raises `FrameError`. (Python 3.8, standard library only.)
"""

from __future__ import annotations

import json
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

CONTROL, DATA, STDOUT, STDERR = 1, 2, 3, 4
VERSION = 1

HEADER = struct.Struct(">IBI")
#: The most bytes of output or file in one frame.
CHUNK = 65536
#: The longest frame the supervisor may send: a chunk, or one with a piece of a list.
MAX_UP = 4 * CHUNK
#: Chunks of a file that may be on their way to a reader; it says when it has taken some (``more``). So
#: one that reads slowly, or no more, holds up no other channel.
WINDOW = 16
#: The longest frame the server may send: a block of code as JSON.
MAX_DOWN = 256 * 1024 * 1024
#: The most bytes of input that may wait for a program to read them, besides what its pipe holds. The
#: supervisor says how many were taken (``taken`` with ``bytes``), and the server sends no more than these.
MAX_TYPED = 1024 * 1024

TYPES = frozenset((CONTROL, DATA, STDOUT, STDERR))


#: How a supervisor refuses a run while another goes on. Who asks knows better: one of the two is wrong.
BUSY = "Another run goes on in this session."


class FrameError(Exception):
    """The bytes are not a frame of this protocol."""


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """One frame as bytes."""
    return head(kind, channel, len(payload)) + payload


def head(kind: int, channel: int, length: int) -> bytes:
    """What a frame begins with, given the length of its payload in bytes."""
    return HEADER.pack(length, kind, channel)


def control(channel: int, op: str, **fields: Any) -> bytes:
    """A control frame as bytes."""
    return frame(CONTROL, channel, payload(op, fields).encode("ascii"))


def payload(op: str, fields: dict[str, Any]) -> str:
    """What a control frame carries, in ASCII: text is escaped, so that a lone surrogate cannot break it."""
    return json.dumps({**fields, "op": op})


def header(data: bytes, limit: int) -> tuple[int, int, int]:
    """Length, type and channel of a header that is within bounds."""
    length, kind, channel = HEADER.unpack(data)
    if kind not in TYPES:
        raise FrameError(f"frame type {kind} is unknown")
    if length > limit:
        raise FrameError(f"a frame of {length} bytes is over the limit of {limit}")
    return length, kind, channel


def message(payload: bytes) -> dict[str, Any]:
    """The object of a control frame."""
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        raise FrameError("a control frame is not JSON") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("op"), str):
        raise FrameError("a control frame is not an object with 'op'")
    return fields


class Splitter:
    """Cut a stream of bytes, fed in any pieces, into frames.

    Parameters
    ----------
    limit : int
        The longest payload that is accepted, in bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield (type, channel, payload) for each frame that is now complete."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            length, kind, channel = header(bytes(self._buffer[: HEADER.size]), self.limit)
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield kind, channel, payload

    @property
    def empty(self) -> bool:
        """Whether no part of a frame is waiting for the rest."""
        return not self._buffer
