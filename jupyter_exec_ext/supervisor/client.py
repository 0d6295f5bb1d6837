"""The server's end of a supervisor's byte stream (asyncio).

One task reads the stream and hands each frame to the channel it belongs to. Nothing that comes in
is trusted: a frame out of bounds, an unknown channel or a report of the wrong shape ends the
session with `ProtocolError`, and the process behind the stream is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from ..errors import EnvironmentFailed, ExecError, ProtocolError, SessionLost
from . import frames
from .channel import Channel, Stray, frames_broken
from .epitaph import STDERR_KEPT, epitaph
from .process import PipeWriter, ThreadedProcess, started
from .reports import Ready, read

if TYPE_CHECKING:
    from ..containers.stream import ContainerProcess

__all__ = ["SupervisorClient", "request"]

#: Bytes of a frame that are handed to the network at once.
PIECE = 4 * frames.CHUNK
# Windows has no SIGKILL; SIGTERM is as final there.
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
_END = (signal.SIGTERM, *((signal.SIGCONT,) if hasattr(signal, "SIGCONT") else ()))
#: Seconds each rung of `SupervisorClient.close` takes at most.
PATIENCE = 3.0


class SupervisorClient:
    """A running supervisor.

    Made by `start`; `close` ends it and everything it runs.
    """

    def __init__(self, process: asyncio.subprocess.Process | ThreadedProcess | ContainerProcess) -> None:
        self._process = process
        # All three are there; the types of asyncio cannot say so.
        self._stdin = cast("asyncio.StreamWriter | PipeWriter", process.stdin)
        self._stdout = cast(asyncio.StreamReader, process.stdout)
        self._stderr = cast(asyncio.StreamReader, process.stderr)
        self._channels: dict[int, Channel] = {}
        self._next = 1
        self._stray = Stray()
        self._writing = asyncio.Lock()
        self._errors: deque[bytes] = deque(maxlen=16)
        self._tasks: list[asyncio.Task[None]] = []
        self._hello: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self.lost: ExecError | None = None

    @classmethod
    async def start(
        cls, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, patience: float = 60.0
    ) -> SupervisorClient:
        """Start a supervisor and wait until it is ready (`patience` in seconds, for slow preloads).

        Raises
        ------
        EnvironmentFailed
            Where it does not start; with what it printed.
        """
        process, cancelled = await started(argv, env=env, cwd=cwd, limit=2 * frames.CHUNK)
        if cancelled is not None:
            await cls(process).close()
            raise cancelled
        return await cls.over(process, patience)

    @classmethod
    async def over(
        cls, process: asyncio.subprocess.Process | ThreadedProcess | ContainerProcess, patience: float = 60.0
    ) -> SupervisorClient:
        """Wait until a supervisor that was started is ready; where it does not get so, it is ended."""
        client = cls(process)
        try:
            await client._greet(patience)
        except BaseException:
            await client.close()
            raise
        return client

    async def _greet(self, patience: float) -> None:
        self._tasks = [asyncio.ensure_future(self._read()), asyncio.ensure_future(self._read_errors())]
        try:
            self.ready = await asyncio.wait_for(asyncio.shield(self._hello), patience)
        except asyncio.TimeoutError:
            raise EnvironmentFailed(
                f"The supervisor was not ready after {patience:g} s; is a preloaded module that slow?"
            ) from None

    @property
    def alive(self) -> bool:
        """Whether the supervisor can take a request."""
        return self.lost is None and not self._stdin.is_closing()

    @property
    def busy(self) -> bool:
        """Whether there is a request that nobody has ended."""
        return bool(self._channels)

    @property
    def pid(self) -> int:
        """The process we started: the supervisor, its guard, or what put it into a namespace."""
        return self._process.pid

    def open(self) -> Channel:
        """A new channel for one request."""
        channel = Channel(self, self._next)
        self._channels[self._next] = channel
        self._next += 1
        return channel

    def release(self, channel: Channel) -> None:
        """Nobody reads this channel any more; what still comes in on it is dropped."""
        self._channels.pop(channel.number, None)
        self._stray.allow()
        channel.close()

    async def write(self, kind: int, channel: int, payload: bytes | str) -> None:
        """Send a frame; text is ASCII. Raises `SessionLost` where the stream is gone.

        A long one goes out piece by piece, at the supervisor's pace: asyncio would copy all of it, and a
        text of JSON is not made bytes as a whole, since there may be megabytes of code in it.
        """
        async with self._writing:
            sent = 0
            piece = frames.head(kind, channel, len(payload)) + _bytes(payload[:PIECE])
            try:
                while piece:
                    sent += PIECE
                    await self._write(piece)
                    piece = _bytes(payload[sent : sent + PIECE])
            except asyncio.CancelledError:
                with contextlib.suppress(OSError, RuntimeError):
                    self._stdin.write(_bytes(payload[sent:]))  # the next frame must not come within this one
                raise

    async def _write(self, piece: bytes) -> None:
        if self.lost is not None:
            raise self.lost
        try:
            self._stdin.write(piece)
            await self._stdin.drain()
        except (OSError, RuntimeError):
            raise SessionLost("The session's supervisor is gone.") from None

    # -- reading -----------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            while True:
                await self._read_frame()
        except asyncio.IncompleteReadError:
            lost: ExecError = SessionLost(await self._epitaph())
        except frames.FrameError as error:
            lost = frames_broken(error)
        except ProtocolError as error:
            lost = error
        except OSError as error:
            lost = SessionLost(f"The stream of the session's supervisor broke: {error}.")
        self._lose(lost)

    async def _read_frame(self) -> None:
        head = await self._stdout.readexactly(frames.HEADER.size)
        length, kind, number = frames.header(head, frames.MAX_UP)
        data = await self._stdout.readexactly(length)
        if number == 0:
            self._stray.count(length)  # it says so again when it has become a fresh interpreter
            self._greeted(frames.message(data) if kind == frames.CONTROL else {})
            return
        if number >= self._next:
            raise frames.FrameError(f"nothing was asked on channel {number}")
        channel = self._channels.get(number)
        if channel is not None:
            await channel.put(kind, data)
        else:
            self._stray.count(length)

    def _greeted(self, fields: dict[str, Any]) -> None:
        ready = read(Ready, fields)
        if ready.version != frames.VERSION:
            raise frames.FrameError(f"protocol version {ready.version}")
        if not self._hello.done():
            self._hello.set_result(ready)

    def _lose(self, lost: ExecError) -> None:
        self.lost = self.lost or lost
        if not self._hello.done():
            self._hello.set_exception(EnvironmentFailed(f"The supervisor did not start: {lost.message}"))
            self._hello.exception()  # a start that was cancelled does not ask for it
        if isinstance(lost, ProtocolError):
            self._terminate()
        for channel in self._channels.values():
            channel.end()

    async def _read_errors(self) -> None:
        while data := await self._stderr.read(STDERR_KEPT):
            self._errors.append(data)

    @property
    def _contained(self) -> bool:
        """Whether nothing can outlive the process we started, even one that was killed."""
        hello = self._hello
        return hello.exception() is None and hello.result().guarantee == "pid_namespace"

    async def _epitaph(self) -> str:
        """Why the stream ended, in a sentence."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._process.wait(), 1.0)
        leaves = self._hello.done() and not self._contained
        return epitaph(self._process.returncode, b"".join(self._errors), leaves)

    # -- the end -----------------------------------------------------------------------------------

    def kill(self, lost: ExecError) -> None:
        """End the supervisor at once; readers of its channels get `lost`."""
        self._lose(lost)
        self._terminate()

    def _terminate(self) -> None:
        # A guard ends everything on this, once it goes on where a program has stopped it. What puts
        # the supervisor into a namespace does not heed it, and takes the namespace with it when killed.
        for number in _END:
            self._signal(number)
        asyncio.get_running_loop().call_later(PATIENCE, self._signal, _KILL)

    async def close(self) -> None:
        """End everything: the stream closes, then terminate, then kill; returns when it is reaped."""
        self._lose(SessionLost("The session was closed."))
        self._stdin.close()
        for step in ((), _END, (_KILL,)):
            for number in step:
                self._signal(number)
            try:
                await asyncio.wait_for(asyncio.shield(self._wait()), PATIENCE)
                break
            except asyncio.TimeoutError:
                continue
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # The transport holds the pipes' descriptors until it is told that they are not wanted.
        transport = getattr(self._process, "_transport", None)
        if transport is not None:
            transport.close()

    async def _wait(self) -> None:
        await self._process.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def __aenter__(self) -> SupervisorClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


@contextlib.asynccontextmanager
async def request(client: SupervisorClient, op: str, **fields: Any) -> AsyncIterator[Channel]:
    """One request on a channel of its own."""
    channel = client.open()
    try:
        await channel.send(op, **fields)
        yield channel
    finally:
        client.release(channel)


def _bytes(piece: bytes | str) -> bytes:
    return piece.encode("ascii") if isinstance(piece, str) else piece
