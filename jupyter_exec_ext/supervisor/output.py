"""What a program prints on its way to the server: in order, coalesced, capped.

Head and tail are kept. The head goes out at once; what comes after it waits in a ring that keeps
the newest bytes, and goes out at the end, after a note of how many were dropped between the two.
Memory is bounded by the tail, and the run goes on however much it prints.

A flood costs a bounded number of frames per second: the first piece after a pause goes out at
once, the following ones at most every `INTERVAL`, or when a chunk is full.
(Python 3.8, standard library only.)
"""

from __future__ import annotations

from collections import deque

from .frames import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Send = Callable[[int, bytes], None]
    Note = Callable[[int, int], None]

#: Seconds between two flushes of a stream that keeps printing.
INTERVAL = 0.02
#: Seconds that an unfinished line waits for its rest: an unbuffered ``print`` writes its newline apart.
PARTIAL = 0.002
#: Seconds between two notes of how much was dropped while a program goes on printing.
NEWS = 1.0
#: Alternations between the streams that are kept apart in any case.
MAX_PIECES = 32
#: Bytes for each further one: what goes out costs a frame for each, what is only kept some memory.
GRAIN_OUT, GRAIN_KEPT = 2048, 256


class Pieces:
    """Bytes of several streams in the order in which they came, neighbours joined.

    Where the streams alternate in pieces of less than `grain` bytes, pieces of a stream join over
    the other's: each stream's own order stays, and the number of pieces is bounded.
    """

    def __init__(self, grain: int) -> None:
        self._queue: deque[tuple[int, bytearray]] = deque()
        self._grain = grain
        self.size = 0

    def add(self, stream: int, data: bytes) -> None:
        """Append bytes of a stream."""
        self.size += len(data)
        last = self._queue[-1] if self._queue else None
        if last is not None and last[0] == stream and len(last[1]) < CHUNK:
            last[1].extend(data)
        elif len(self._queue) >= MAX_PIECES + self.size // self._grain:
            self._join(stream, data)
        else:
            self._queue.append((stream, bytearray(data)))

    def _join(self, stream: int, data: bytes) -> None:
        # Neighbours differ, so the stream's last piece is the last or the one before it.
        for kind, piece in reversed(self._queue):
            if kind == stream:
                piece.extend(data)
                return
        self._queue.append((stream, bytearray(data)))

    def pop(self) -> tuple[int, bytearray]:
        """The oldest piece, as (stream, bytes)."""
        stream, piece = self._queue.popleft()
        self.size -= len(piece)
        return stream, piece

    def drop(self, count: int) -> None:
        """Forget the oldest `count` bytes."""
        while count > 0:
            stream, piece = self._queue[0]
            if len(piece) <= count:
                count -= len(piece)
                self.pop()
            else:
                del piece[:count]
                self.size -= count
                return

    def __bool__(self) -> bool:
        return bool(self._queue)


class Output:
    """The output of one run.

    Parameters
    ----------
    send : callable
        Called with (stream, bytes) for each piece that goes out.
    head, tail : int
        How many bytes to keep of the beginning and of the end, both streams together.
    partial : float
        Seconds that an unfinished line waits for its rest.
    """

    def __init__(self, send: Send, head: int, tail: int, partial: float = PARTIAL) -> None:
        self._send, self._partial = send, partial
        self._room = head
        self._tail_limit = tail
        self._pending = Pieces(GRAIN_OUT)
        self._tail = Pieces(GRAIN_KEPT)
        self._flushed = 0.0
        self.total = 0
        self.dropped = 0
        self._noted = 0.0
        self._held: float | None = None
        self.line = bytearray()

    def feed(self, stream: int, data: bytes, now: float) -> None:
        """Take what a program printed at the time `now` (seconds, monotonic)."""
        self.total += len(data)
        self._remember_line(data)
        head = data[: self._room]
        if head:
            self._room -= len(head)
            self._pending.add(stream, head)
        if len(head) < len(data):
            self._keep_newest(stream, data[len(head) :])
        if self._pending.size >= CHUNK:
            self.flush(now)
        elif now - self._flushed >= INTERVAL:
            self._flush_or_hold(data, now)

    def _flush_or_hold(self, data: bytes, now: float) -> None:
        if data.endswith(b"\n") or (self._held is not None and now >= self._held):
            self.flush(now)
        elif self._held is None and self._pending:
            self._held = now + self._partial

    def _keep_newest(self, stream: int, data: bytes) -> None:
        self._tail.add(stream, data)
        over = self._tail.size - self._tail_limit
        if over > 0:
            self.dropped += over
            self._tail.drop(over)

    def _remember_line(self, data: bytes) -> None:
        # The unfinished last line is the prompt of a program that then reads its input.
        cut = data.rfind(b"\n")
        if cut >= 0:
            self.line = bytearray(data[cut + 1 :][-1000:])
        else:
            self.line = (self.line + data)[-1000:]

    def news(self, now: float) -> int | None:
        """How many bytes were dropped so far, at most once in `NEWS` seconds; else None."""
        if not self.dropped or now - self._noted < NEWS:
            return None
        self._noted = now
        return self.dropped

    @property
    def due(self) -> float | None:
        """When to call `flush` next (seconds, monotonic), or None while nothing waits."""
        if not self._pending:
            return None
        return self._held or self._flushed + INTERVAL

    def flush(self, now: float) -> None:
        """Send what waits."""
        self._flushed, self._held = now, None
        _send_all(self._pending, self._send)

    def finish(self, now: float, note: Note) -> None:
        """Send the rest; `note` is called with (dropped, total) before a tail that lacks a middle."""
        self.flush(now)
        if self.dropped:
            note(self.dropped, self.total)
        _send_all(self._tail, self._send)


def _send_all(pieces: Pieces, send: Send) -> None:
    while pieces:
        stream, piece = pieces.pop()
        for start in range(0, len(piece), CHUNK):
            send(stream, bytes(piece[start : start + CHUNK]))
