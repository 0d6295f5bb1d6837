"""The threads that read and write, so that the main one never has to wait for a pipe.

Each puts what it has on one bounded queue, as (what, whose, value); the main thread takes it from
there. All are daemons: one that is stuck in a pipe which a survivor holds is left behind, and
closes the pipe when it gets away.
(Python 3.8, standard library only.)
"""

from __future__ import annotations

import os
import threading
from collections import deque
from queue import Queue, SimpleQueue

from ..frames import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    Items = Queue[tuple[str, Any, Any]]

#: Items that may wait for the main thread; then the pipes are read no further.
ITEMS = 64
#: Bytes that may wait for the server before programs are no longer read.
BACKLOG = 1024 * 1024


def start(target: Any, *arguments: Any) -> None:
    """Run something in a thread of its own."""
    threading.Thread(target=target, args=arguments, daemon=True).start()


def read_stream(source: int, items: Items) -> None:
    """Read what the server sends; no bytes: it is gone."""
    while True:
        try:
            data = os.read(source, CHUNK * 4)
        except OSError:
            data = b""
        items.put(("stream", None, data))
        if not data:
            return


class Gate:
    """Open while programs may be read: while the server takes what it is sent."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()

    def wait(self) -> None:
        """Wait until it is open."""
        self._open.wait()

    def set(self, is_open: bool) -> None:
        """Open or close it."""
        (self._open.set if is_open else self._open.clear)()


class Sink:
    """Writes frames to the server; it never makes the caller wait.

    Parameters
    ----------
    descriptor : int
    items : Items
        Gets ``gone`` when the server is, and ``room`` when less than `BACKLOG` waits again.
    """

    def __init__(self, descriptor: int, items: Items) -> None:
        self._descriptor, self._items = descriptor, items
        self._frames: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._size = 0

    def send(self, data: bytes) -> None:
        """Take the bytes of a frame."""
        with self._changed:
            self._frames.append(data)
            self._size += len(data)
            self._changed.notify()

    @property
    def full(self) -> bool:
        """Whether more than `BACKLOG` bytes wait."""
        return self._size >= BACKLOG

    def work(self) -> None:
        """What the thread does."""
        while True:
            with self._changed:
                while not self._frames:
                    self._changed.wait()
                view = memoryview(self._frames.popleft())
            size = len(view)
            try:
                while view:
                    view = view[os.write(self._descriptor, view) :]
            except OSError:
                self._items.put(("gone", None, None))
                return
            self._sent(size)

    def _sent(self, size: int) -> None:
        with self._changed:
            was_full, self._size = self.full, self._size - size
        if was_full and not self.full:
            self._items.put(("room", None, None))


class Reader:
    """Reads one stream of a run's program to its end.

    Parameters
    ----------
    run
        Whose it is.
    kind : int
        The frame's type.
    pipe : file
        Unbuffered.
    items : Items
    gate : Gate
    """

    def __init__(self, run: Any, kind: int, pipe: IO[bytes], items: Items, gate: Gate) -> None:
        self._run, self._kind, self._pipe, self._items, self._gate = run, kind, pipe, items, gate

    def work(self) -> None:
        """What the thread does."""
        with self._pipe:
            while True:
                self._gate.wait()
                try:
                    data = self._pipe.read(CHUNK)
                except OSError:
                    data = b""
                if self._run.over:
                    return
                self._items.put(("output", self._run, (self._kind, data)))
                if not data:
                    return


class Typist:
    """Writes what is typed to the program, as fast as it reads.

    Parameters
    ----------
    pipe : file
        Unbuffered; closed at the end of the input, and at the end of the run.
    items : Items
        Gets ``taken`` when `taken` may have something to tell.
    """

    def __init__(self, pipe: IO[bytes], items: Items) -> None:
        self._pipe, self._items = pipe, items
        self._typed: SimpleQueue[bytes] = SimpleQueue()
        self._given = self._written = self._told = 0
        self._over = False
        self.idle = True

    def type(self, data: bytes) -> None:
        """Take bytes; none: the end of the input."""
        self.idle = False
        self._given += len(data)
        if not self._over:
            self._typed.put(data)

    def taken(self) -> int:
        """Bytes that have been taken, or will never be read, since this was last asked."""
        taken = self._given if self._over else self._written
        news, self._told = taken - self._told, taken
        return news

    def work(self) -> None:
        """What the thread does."""
        try:
            with self._pipe:
                while True:
                    data = self._typed.get()
                    if not data:
                        return
                    self._write(data)
                    self.idle = self._typed.empty()
        except OSError:
            pass  # nobody will ever read it
        finally:
            self._over = True
            self._items.put(("taken", None, None))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = self._pipe.write(view[:CHUNK])
            view = view[written:]
            self._written += written
            self._items.put(("taken", None, None))


def wait_for(run: Any, items: Items) -> None:
    """Wait for the end of a run's program."""
    items.put(("ended", run, run.job.process.wait()))
