"""The supervisor's loop: one thread that waits for frames, output, ended processes and deadlines.

It never blocks on anything but its one ``poll``: a server that does not read stops the program
that prints (its pipe fills), and never the stop ladder.
(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections import deque

from .desk import Desk
from .frames import BUSY, CHUNK, CONTROL, DATA, MAX_DOWN, VERSION, FrameError, Splitter, control, message
from .launch import Launcher, Saved
from .limits import OwnLimits
from .pipes import StartFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .run import Run
    from .tree import SubreaperTree

#: Bytes that may wait for the server before programs are no longer read.
BACKLOG = 1024 * 1024
#: Milliseconds that poll(2) can wait, about 24 days; a deadline further away is looked at again then.
LONGEST = (1 << 31) - 1


class Supervisor:
    """Serve one server until its stream ends.

    Parameters
    ----------
    source, sink : int
        Descriptors of the byte stream.
    config : dict
        ``workspace``, ``private`` (directories), ``preload`` (modules), ``whole`` (see `standby.Standby`).
    tree : tree.SubreaperTree
    """

    def __init__(self, source: int, sink: int, config: dict[str, Any], tree: SubreaperTree) -> None:
        self._source, self._sink, self._tree = source, sink, tree
        self._splitter = Splitter(MAX_DOWN)
        self._outbox: deque[bytes] = deque()
        self._waiting = 0
        self._launcher = Launcher(config, tree, self._send)
        self._limits = OwnLimits()
        self._desk = Desk(self._launcher.workspace, self._send)
        self._run: Run | None = None
        self._wake, waker = os.pipe()
        for descriptor in (self._wake, waker, sink):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        # Handlers, since what is ignored would be ignored by every program started from here, too.
        for number in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, lambda number, stack: None)

    def serve(self, hello: dict[str, Any]) -> NoReturn:
        """Say what this supervisor is, and do what the server asks. Does not return."""
        self._send(control(0, "ready", version=VERSION, guarantee=self._tree.guarantee, **hello))
        self._launcher.standby.make()
        try:
            while True:
                self._turn()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        """We cannot go on: say why in a line, for whoever explains our end, and leave nothing behind."""
        try:
            why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            changed = ", ".join(self._limits.changed())
            if changed:
                why = f"a program has changed its limits ({changed}): {why}"
            os.write(2, f"it could not go on: {why}\n".encode("utf-8", "replace"))
            self._tree.end(1)
        finally:
            os._exit(1)  # what is left has our guard or our namespace to end it

    def _send(self, data: bytes) -> None:
        self._outbox.append(data)
        self._waiting += len(data)
        if len(self._outbox) == 1:
            self._write()

    def _turn(self) -> None:
        ready = self._wait()
        now = time.monotonic()
        if self._sink in ready:
            self._write()
        if self._source in ready:
            self._receive(now)
        if self._wake in ready:
            self._wakened()
        if self._run is not None:
            self._tend(self._run, ready, time.monotonic())  # it may have begun in this very turn
        elif self._wake in ready:
            self._tree.reap()
        if self._waiting < BACKLOG:
            self._desk.proceed()

    def _wakened(self) -> None:
        try:
            os.read(self._wake, 4096)
        except BlockingIOError:
            pass  # a program with our rights has read it

    def _wait(self) -> set[int]:
        wanted = {self._source: select.POLLIN, self._wake: select.POLLIN}
        if self._outbox:
            wanted[self._sink] = select.POLLOUT
        due = 0.0 if self._desk.busy and self._waiting < BACKLOG else None
        if self._run is not None:
            due = self._watch(self._run, wanted, due)
        elif due is None and self._launcher.standby.pause is not None:
            if not self._ready(wanted, self._launcher.standby.pause):
                self._launcher.settle()
        return self._ready(wanted, None if due is None else min(due * 1000, LONGEST))

    def _ready(self, wanted: dict[int, int], milliseconds: float | None) -> set[int]:
        """Which of these descriptors are ready for what is wanted of them, within that time."""
        poll = select.poll()
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        try:
            return {descriptor for descriptor, _ in poll.poll(milliseconds)}
        except OSError:
            # More descriptors than we may have open, all at once: that is not our doing.
            if self._limits.restore():
                return {descriptor for descriptor, _ in poll.poll(0)}
            return _selected(wanted, milliseconds)

    def _watch(self, run: Run, wanted: dict[int, int], due: float | None) -> float | None:
        if self._waiting < BACKLOG:
            wanted.update((descriptor, select.POLLIN) for descriptor in run.readers())
        writer = run.writer()
        if writer is not None:
            wanted[writer] = select.POLLOUT
        moment = run.due()
        if moment is None or due is not None:
            return due
        return max(0.0, moment - time.monotonic())

    def _tend(self, run: Run, ready: set[int], now: float) -> None:
        for descriptor in run.readable(ready):
            run.read(descriptor, now)
        if run.writer() in ready:
            run.typist.write()
        taken = run.typist.taken()
        if taken:
            self._send(control(run.channel, "taken", bytes=taken))
        dropped = run.output.news(now)
        if dropped is not None:
            self._send(control(run.channel, "dropping", dropped=dropped))
        if run.asks(now):
            prompt = run.output.line.decode("utf-8", "replace")
            run.output.flush(now)
            self._send(control(run.channel, "asks", prompt=prompt))
        if run.advance(now):
            self._run = None
            self._finish(run, now)

    def _finish(self, run: Run, now: float) -> None:
        def note(dropped: int, total: int) -> None:
            self._send(control(run.channel, "dropped", dropped=dropped, total=total))

        problem = run.finish(now, note)
        report = run.report(now)
        report["spoiled"] = self._is_spoiled()
        self._send(control(run.channel, "end", problem=problem, total=run.output.total, **report))
        if self._launcher.stale() and not self._outbox and self._splitter.empty and self._desk.idle:
            self._launcher.renew(self._source, self._sink)
        self._launcher.standby.ended(run.forked)

    def _is_spoiled(self) -> bool:
        """Whether the program has left its mark on us, for good."""
        if not self._limits.changed():
            return False
        self._launcher.standby.dismiss()  # it may have been forked since
        return not self._limits.restore()

    # -- the stream ----------------------------------------------------------------------------

    def _write(self) -> None:
        while self._outbox:
            data = self._outbox[0]
            try:
                written = os.write(self._sink, data)
            except BlockingIOError:
                return
            except OSError:
                self._leave()
            self._waiting -= written
            if written < len(data):
                self._outbox[0] = data[written:]
                return
            self._outbox.popleft()

    def _receive(self, now: float) -> None:
        try:
            data = os.read(self._source, CHUNK)
        except BlockingIOError:
            return  # a socket is both, source and sink, so that neither blocks
        except OSError:
            data = b""
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
        self._launcher.tidy()
        self._tree.end(0)

    def _handle(self, kind: int, channel: int, payload: bytes, now: float) -> None:
        if kind == DATA:
            if self._run is not None and channel == self._run.channel:
                self._run.type(payload)
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
            self._run.interrupt(now)

    def _start(self, channel: int, fields: dict[str, Any]) -> None:
        if self._run is not None:
            self._send(control(channel, "refused", message=BUSY))
            return
        try:
            self._run = self._launcher.launch(channel, fields)
            self._send(control(channel, "started", path=self._run.path))
            self._launcher.begun(self._run)
        except Saved as saved:
            self._send(control(channel, "saved", path=str(saved)))
        except StartFailed as error:
            self._send(control(channel, "refused", message=str(error)))


def _selected(wanted: dict[int, int], milliseconds: float | None) -> set[int]:
    """The same as poll(2), by select(2): that one does not ask how many descriptors we may have open."""
    to_read, to_write = (
        [descriptor for descriptor, events in wanted.items() if events & kind]
        for kind in (select.POLLIN, select.POLLOUT)
    )
    seconds = None if milliseconds is None else milliseconds / 1000
    readable, writable, _ = select.select(to_read, to_write, [], seconds)
    return {*readable, *writable}
