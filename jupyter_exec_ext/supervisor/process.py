"""Starting a supervisor on any event loop (the server's end).

Where the loop can start processes, asyncio does it, and the stream is a socket: a pipe could be opened
through ``/proc`` by any program of the same user, which could then write frames, or hold it open, so
that the supervisor would not notice the server's end. Windows' selector loop cannot, and Jupyter
Server sets that one for tornado's sake: there threads move the bytes, behind the same few methods.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from typing import IO, Any

from ..errors import EnvironmentFailed, by_system
from ..text import one_line

__all__ = ["PipeWriter", "ThreadedProcess", "start_process", "started"]

if sys.platform == "win32":
    # A console of its own that nobody sees; a block gets its Ctrl-Break through it.
    _FLAGS = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _FLAGS = 0
#: Bytes that one read takes, and that may wait to be written before `PipeWriter.drain` waits.
CHUNK = 65536


async def start_process(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: str, limit: int
) -> asyncio.subprocess.Process | ThreadedProcess:
    """Start a program, its stdin and stdout a stream to us, apart from our own terminal's keys.

    Parameters
    ----------
    limit : int
        Bytes that are read ahead of whoever reads.
    """
    pipe = subprocess.PIPE
    try:
        if hasattr(asyncio, "open_unix_connection"):
            return await _on_a_socket(argv, env=env, cwd=cwd, limit=limit)
        return await asyncio.create_subprocess_exec(
            *argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd=cwd, creationflags=_FLAGS, limit=limit
        )
    except NotImplementedError:
        process = subprocess.Popen(  # noqa: ASYNC220  as asyncio itself does
            argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd=cwd, bufsize=0,
            start_new_session=sys.platform != "win32", creationflags=_FLAGS,
        )  # fmt: skip
        return ThreadedProcess(process, limit)


async def _on_a_socket(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: str, limit: int
) -> asyncio.subprocess.Process:
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE,
                env=env, cwd=cwd, start_new_session=True, limit=limit,
            )  # fmt: skip
        process.stdout, process.stdin = await asyncio.open_unix_connection(sock=ours, limit=limit)
    except BaseException:
        ours.close()
        raise
    return process


async def started(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: str, limit: int
) -> tuple[asyncio.subprocess.Process | ThreadedProcess, asyncio.CancelledError | None]:
    """The same, and the cancellation that came meanwhile, if one did. Raises `EnvironmentFailed`."""
    starting = asyncio.ensure_future(start_process(argv, env=env, cwd=cwd, limit=limit))
    try:
        # asyncio, cancelled in here, may wait for ever for pipes that it has not connected yet.
        cancelled = await _uncancelled(starting)
        return starting.result(), cancelled
    except OSError as error:
        raise by_system("The supervisor could not be started", error) from error
    except ValueError as error:
        raise EnvironmentFailed(f"The supervisor could not be started: {one_line(str(error))}.") from error


async def _uncancelled(work: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Wait for work that takes milliseconds, and return the cancellation that came meanwhile."""
    cancelled = None
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


class ThreadedProcess:
    """A child process as `asyncio.subprocess.Process` shows one, with four threads behind it.

    Parameters
    ----------
    process : subprocess.Popen
        Started with three unbuffered pipes.
    limit : int
        Bytes that are read ahead of whoever reads.
    """

    def __init__(self, process: subprocess.Popen[bytes], limit: int) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError("the process needs three pipes")
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self.stdin = PipeWriter(process.stdin)
        self.stdout = _reader(process.stdout, limit)
        self.stderr = _reader(process.stderr, limit)
        _start(self._reap)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end."""
        await self._ended.wait()
        return self._process.wait()

    def send_signal(self, number: int) -> None:
        """Send it a signal; nothing happens where it has ended."""
        self._process.send_signal(number)

    def _reap(self) -> None:
        self._process.wait()
        _call(self._loop, self._ended.set)


class PipeWriter:
    """The part of `asyncio.StreamWriter` that a supervisor's client needs, over a blocking pipe.

    Parameters
    ----------
    pipe : file
        Unbuffered; closed by `close`, after what has been written before.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[bytes | memoryview | None] = SimpleQueue()
        self._waiting = 0
        self._room = asyncio.Event()
        self._closing = self._broken = False
        _start(self._work)

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes to write."""
        self._waiting += len(data)
        self._queue.put(data)

    async def drain(self) -> None:
        """Wait until there is room for more. Raises `ConnectionResetError` where nobody reads any more."""
        while self._waiting > CHUNK and not self._broken:
            self._room.clear()
            await self._room.wait()
        if self._broken:
            raise ConnectionResetError("nobody reads the pipe")

    def is_closing(self) -> bool:
        """Whether it can take no more."""
        return self._closing or self._broken

    def close(self) -> None:
        """Close the pipe when everything is written."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)

    def _work(self) -> None:
        try:
            with self._pipe:
                while (data := self._queue.get()) is not None:
                    view = memoryview(data)
                    while view:
                        view = view[self._pipe.write(view) :]
                    _call(self._loop, self._written, len(data))
        except OSError:
            _call(self._loop, self._break)

    def _written(self, size: int) -> None:
        self._waiting -= size
        self._room.set()

    def _break(self) -> None:
        self._broken = True
        self._room.set()


class _Tap(asyncio.ReadTransport):
    """What a `StreamReader` shuts while it has more than it wants."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()

    def pause_reading(self) -> None:
        self.open.clear()

    def resume_reading(self) -> None:
        self.open.set()


def _reader(pipe: IO[bytes], limit: int) -> asyncio.StreamReader:
    loop, tap = asyncio.get_running_loop(), _Tap()
    reader = asyncio.StreamReader(limit, loop)
    reader.set_transport(tap)
    fed = threading.Event()

    def feed(data: bytes) -> None:
        if data:
            reader.feed_data(data)
        else:
            reader.feed_eof()
        fed.set()

    def work() -> None:
        with pipe:
            data = b"-"
            while data:
                tap.open.wait()
                try:
                    data = pipe.read(CHUNK)
                except OSError:
                    data = b""
                fed.clear()
                if not _call(loop, feed, data):
                    return
                fed.wait()

    _start(work)
    return reader


def _start(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> bool:
    """Call something in the loop's thread; False where the loop is closed."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        return False
    return True
