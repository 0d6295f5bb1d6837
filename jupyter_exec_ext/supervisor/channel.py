"""What goes over a supervisor's byte stream, at the server's end: frames and channels."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple, Protocol

from ..errors import Conflict, ExecError, ProtocolError, SessionLost
from . import frames
from .reports import lied, no_protocol

__all__ = ["Channel", "Frame", "Stray", "Stream"]

#: Frames that wait for whoever reads a channel; then the stream is read no further.
PENDING = 64
#: Bytes of a control frame that is read when it comes in; a longer one is read when its reader is there.
READ_AT_ONCE = 1024


#: Bytes that may still come in for a request that nobody waits for any more. Its supervisor stops when it
#: hears of that; until then about one MiB is on its way, and `WINDOW` chunks of each file.
LATE = 16 * 1024 * 1024
#: What the shortest frame counts as: it costs time, and not room.
LEAST = 512


def frames_broken(error: frames.FrameError) -> ProtocolError:
    """What has become of a session whose supervisor sends no frames."""
    return no_protocol(f" ({error})")


class Stream(Protocol):
    """What a channel needs of its stream: `client.SupervisorClient`."""

    lost: ExecError | None

    async def write(self, kind: int, channel: int, payload: bytes | str) -> None: ...

    def kill(self, lost: ExecError) -> None: ...


class Frame(NamedTuple):
    """What came in on a channel: `fields` of a control frame, or the bytes of another."""

    kind: int
    data: bytes
    fields: dict[str, Any]

    @property
    def op(self) -> str:
        """The operation of a control frame; empty for bytes."""
        return str(self.fields.get("op", ""))


class Channel:
    """One request and the frames that answer it."""

    def __init__(self, stream: Stream, number: int) -> None:
        self.number = number
        self._stream = stream
        self._queue: asyncio.Queue[Frame | None] = asyncio.Queue(PENDING)
        self._untaken = 0
        #: How often a program was given input.
        self.answers = 0

    async def send(self, op: str, **fields: Any) -> None:
        """Send a control frame."""
        await self._stream.write(frames.CONTROL, self.number, frames.payload(op, fields))

    async def send_data(self, data: bytes) -> None:
        """Send bytes; none at all mean the end."""
        await self._stream.write(frames.DATA, self.number, data)

    async def type(self, data: bytes) -> None:
        """Give a program input. Raises `Conflict` where too much of it would wait to be read."""
        if self._untaken + len(data) > frames.MAX_TYPED:
            raise Conflict(
                f"The program has {self._untaken:,} bytes of input to read yet, and no more than "
                f"{frames.MAX_TYPED:,} may wait; send less at once, or wait until it has read them."
            )
        self._untaken += len(data)
        self.answers += 1
        await self.send_data(data)

    def _taken(self, count: Any) -> None:
        if type(count) is not int or not 0 < count <= self._untaken:
            raise frames.FrameError("more input was taken than was given")
        self._untaken -= count

    async def receive(self) -> Frame:
        """The next frame. Raises `SessionLost` or `ProtocolError` where there will be none."""
        if self._stream.lost is not None and self._queue.empty():
            raise self._stream.lost
        frame = await self._queue.get()
        if frame is None:
            raise self._stream.lost or SessionLost("The session was closed.")
        return frame if frame.fields or frame.kind != frames.CONTROL else self._read(frame)

    def _read(self, frame: Frame) -> Frame:
        try:
            return frame._replace(fields=frames.message(frame.data))
        except frames.FrameError as error:
            lost = frames_broken(error)
            self._stream.kill(lost)
            raise lost from None

    async def put(self, kind: int, data: bytes) -> None:
        """Hand over a frame; waits while its reader is behind (the client's task calls this)."""
        # What waits is bounded in bytes. Read as JSON, a long one could take twenty times as many.
        soon = kind == frames.CONTROL and len(data) <= READ_AT_ONCE
        frame = Frame(kind, data, frames.message(data) if soon else {})
        if frame.op == "taken":
            self._taken(frame.fields.get("bytes"))
            return
        await self._queue.put(frame)

    def close(self) -> None:
        """Nobody reads any more: drop what waits, so that `put` does not wait for a reader."""
        while not self._queue.empty():
            self._queue.get_nowait()

    def end(self) -> None:
        """There will be no further frames: wake the reader, after what it has not read yet."""
        if self._queue.full():
            return  # the reader is awake, and finds `lost` when it has emptied the queue
        self._queue.put_nowait(None)


class Stray:
    """Frames that nobody reads: what was on its way when a request was given up, and no more.

    Otherwise a supervisor that lies could keep the server busy for ever, long after its reader has gone.
    """

    def __init__(self) -> None:
        self._left = LATE

    def allow(self) -> None:
        """A request is over, and some of its answer may still come."""
        self._left = min(self._left + LATE, 64 * LATE)

    def count(self, size: int) -> None:
        """Count a frame, in bytes. Raises `ProtocolError` where there are too many."""
        self._left -= max(size, LEAST)
        if self._left < 0:
            raise lied("sent without end what nobody waits for")
