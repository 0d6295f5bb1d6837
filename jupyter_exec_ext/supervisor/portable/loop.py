"""The portable loop: the main thread takes what other threads have read, and keeps the deadlines.

It never waits for anything but its queue: a server that does not read stops the program that
prints, and never the stop ladder.
(Python 3.8, standard library only.)
"""

from __future__ import annotations

import os
import platform
import queue
import signal
import sys
import time

from ..desk import Desk
from ..frames import BUSY, CONTROL, DATA, MAX_DOWN, VERSION, FrameError, Splitter, control, message
from . import job, threads
from .files import Workspace
from .launch import Launcher, Saved, StartFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .run import Run

#: Seconds to wait, at the end, for what has been killed.
PATIENCE = 5.0


def serve(source: int, sink: int, config: dict[str, Any]) -> NoReturn:
    """Serve one server over these descriptors until its stream ends."""
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (source, sink):
            msvcrt.setmode(descriptor, os.O_BINARY)
        # Ctrl-Break is for the block, in a group of its own; who gets it besides is not to end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGBREAK, signal.SIG_IGN)
    Supervisor(source, sink, config).serve()


class Supervisor:
    """Serve one server until its stream ends.

    Parameters
    ----------
    source, sink : int
        Descriptors of the byte stream.
    config : dict
        ``workspace``, ``private`` (directories). Nothing is preloaded: nothing is forked.
    """

    def __init__(self, source: int, sink: int, config: dict[str, Any]) -> None:
        self._items: threads.Items = queue.Queue(threads.ITEMS)
        self._source, self._gate = source, threads.Gate()
        self._sink = threads.Sink(sink, self._items)
        self._splitter = Splitter(MAX_DOWN)
        self._launcher = Launcher(config, self._sink.send)
        self._desk = Desk(Workspace(str(config["workspace"])), self._sink.send)
        self._run: Run | None = None
        signal.signal(signal.SIGTERM, lambda number, stack: self._leave())

    def serve(self) -> NoReturn:
        """Say what this supervisor is, and do what the server asks."""
        threads.start(self._sink.work)
        threads.start(threads.read_stream, self._source, self._items)
        hello = {"pid": os.getpid(), "python": platform.python_version(), "fork": False, "problems": {}}
        self._sink.send(control(0, "ready", version=VERSION, guarantee=job.guarantee(), **hello))
        while True:
            self._turn()

    def _turn(self) -> None:
        item = self._next_item()
        now = time.monotonic()
        if item is not None:
            self._take(*item, now)
        if self._run is not None:
            self._tend(self._run, time.monotonic())
        if not self._sink.full:
            self._desk.proceed()
        self._gate.set(not self._sink.full or (self._run is not None and self._run.draining))

    def _next_item(self) -> tuple[str, Any, Any] | None:
        try:
            return self._items.get(timeout=self._patience(time.monotonic()))
        except queue.Empty:
            return None

    def _patience(self, now: float) -> float | None:
        if self._desk.busy and not self._sink.full:
            return 0.0
        due = self._run.due(now) if self._run is not None else None
        return None if due is None else max(0.0, due - now)

    def _take(self, what: str, run: Run | None, value: Any, now: float) -> None:
        if what == "stream":
            self._receive(value, now)
        elif what == "gone":
            self._leave()
        elif run is None or run is not self._run:
            return  # there is room again; or a word of a run that is over
        elif what == "output":
            kind, data = value
            run.read(kind, data, now)
        else:
            run.ended(value, now)

    def _tend(self, run: Run, now: float) -> None:
        dropped = run.output.news(now)
        if dropped is not None:
            self._sink.send(control(run.channel, "dropping", dropped=dropped))
        taken = run.taken()
        if taken:
            self._sink.send(control(run.channel, "taken", bytes=taken))
        if run.asks(now):
            prompt = run.output.line.decode("utf-8", "replace")
            run.output.flush(now)
            self._sink.send(control(run.channel, "asks", prompt=prompt))
        if run.advance(now):
            self._finish(run, now)

    def _finish(self, run: Run, now: float) -> None:
        self._run = None

        def note(dropped: int, total: int) -> None:
            self._sink.send(control(run.channel, "dropped", dropped=dropped, total=total))

        run.finish(now, note)
        report = run.report(now)
        run.job.close()
        self._sink.send(control(run.channel, "end", problem=None, total=run.output.total, **report))

    # -- the stream ----------------------------------------------------------------------------

    def _receive(self, data: bytes, now: float) -> None:
        if not data:
            self._leave()
        try:
            for kind, channel, payload in self._splitter.feed(data):
                self._handle(kind, channel, payload, now)
        except FrameError:
            self._leave()

    def _leave(self) -> NoReturn:
        """The server is gone or talks nonsense: leave nothing behind."""
        self._desk.close()
        run, until = self._run, time.monotonic() + PATIENCE
        if run is not None:
            while run.job.count() and time.monotonic() < until:
                run.job.kill()
                time.sleep(0.01)
        os._exit(0)

    def _handle(self, kind: int, channel: int, payload: bytes, now: float) -> None:
        if kind == DATA:
            if self._run is not None and channel == self._run.channel:
                self._run.type(payload, now)
            else:
                self._desk.data(channel, payload)
            return
        if kind != CONTROL:
            raise FrameError("the server sends no output")
        fields = message(payload)
        op = fields["op"]
        if op == "run":
            self._start(channel, fields)
        elif op in ("stop", "interrupt"):
            self._halt(channel, op, now)
        else:
            self._desk.handle(channel, op, fields)

    def _halt(self, channel: int, op: str, now: float) -> None:
        if self._run is None or self._run.channel != channel:
            return  # it ended while the request was on its way
        if op == "stop":
            self._run.stop("cancelled", now)
        else:
            self._run.interrupt()

    def _start(self, channel: int, fields: dict[str, Any]) -> None:
        if self._run is not None:
            self._sink.send(control(channel, "refused", message=BUSY))
            return
        try:
            run = self._run = self._launcher.launch(channel, fields)
        except Saved as saved:
            self._sink.send(control(channel, "saved", path=str(saved)))
        except StartFailed as error:
            self._sink.send(control(channel, "refused", message=str(error)))
        else:
            self._sink.send(control(channel, "started", path=run.path))
            run.begin(self._items, self._gate)
