"""`ContainerProcess`: a container that is attached to, as `asyncio.subprocess.Process` shows a program.

The engine sends standard output and error as one stream of frames. It is read for as long as somebody
reads what is in it; before the engine is asked to kill the container we let go of the stream, since one
that nobody reads holds up the engine's kill, too (moby#41827).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any

from ..errors import EnvironmentFailed, ExecError, NotFound
from .engine import Engine

__all__ = ["ContainerProcess"]

_HEAD = struct.Struct(">BxxxI")
_STDERR = 2
#: The longest piece the engine sends at once.
_MOST = 1024 * 1024
_PIECE = 65536


class ContainerProcess:
    """The first process of a container.

    Made by `start`. `returncode` is its exit code, below 0 for the signal that ended it.
    """

    pid = 0  # it has none here

    def __init__(
        self,
        engine: Engine,
        container: str,
        attached: Any,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._engine, self.container = engine, container
        # The engine's answer owns the socket; when nobody holds it any more, it closes it.
        self._attached, self._reader, self._writer = attached, reader, writer
        self.stdin = _Input(writer)
        self._gate = _Gate()
        self.stdout, self.stderr = (_fed(self._gate) for _ in range(2))
        self.returncode: int | None = None
        self._killing: asyncio.Task[None] | None = None
        self._ending = asyncio.ensure_future(self._follow())

    @classmethod
    async def start(cls, engine: Engine, container: str) -> ContainerProcess:
        """Attach to a container that was made, and start it. Raises `EnvironmentFailed`."""
        channels = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        attached = await engine.call(lambda client: client.attach_socket(container, channels))
        if not isinstance(getattr(attached, "_sock", None), socket.socket):
            attached.close()
            raise EnvironmentFailed(
                "An engine that is reached by TLS or ssh runs no blocks yet; use its own socket."
            )
        attached._sock.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=attached._sock, limit=2 * _PIECE)
        process = cls(engine, container, attached, reader, writer)
        try:
            await engine.call(lambda client: client.start(container))
        except BaseException:
            process.close()
            raise
        return process

    async def wait(self) -> int | None:
        """Wait for its end; None where the engine cannot say how it ended."""
        await asyncio.shield(self._ending)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """End it: whatever the signal is, it reaches the first process, which is the container's life."""
        if self._killing is None and not self._ending.done():
            self._killing = asyncio.ensure_future(self._kill())

    def close(self) -> None:
        """Let go of the stream."""
        self._ending.cancel()
        self._let_go()

    def _let_go(self) -> None:
        self._writer.close()
        self._attached.close()

    async def _kill(self) -> None:
        self._writer.transport.abort()
        self._gate.release()
        with contextlib.suppress(ExecError):
            await self._engine.call(lambda client: client.kill(self.container), deadline=2.0)

    async def _follow(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            while True:
                await self._piece()
        for reader in (self.stdout, self.stderr):
            reader.feed_eof()
        self._let_go()
        await self._learn_the_end()

    async def _piece(self) -> None:
        kind, length = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
        reader = self.stderr if kind == _STDERR else self.stdout
        while length:
            await self._gate.opened()
            data = await self._reader.read(min(length, _PIECE))
            if not data:
                raise asyncio.IncompleteReadError(data, length)
            reader.feed_data(data)
            length -= len(data)

    async def _learn_the_end(self) -> None:
        try:
            ended = await self._engine.call(lambda client: client.wait(self.container, timeout=2.0))
        except NotFound:
            return  # removed under us
        except ExecError:
            return  # the engine is away, or it goes on without its stream: whoever owns it removes it
        code = int(ended["StatusCode"])
        self.returncode = 128 - code if code > 128 else code


class _Input:
    """The part of `asyncio.StreamWriter` that a supervisor's client needs; `close` leaves the other half."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._closing = False

    def write(self, data: bytes | memoryview) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    def is_closing(self) -> bool:
        return self._closing or self._writer.is_closing()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            with contextlib.suppress(OSError, RuntimeError):
                self._writer.write_eof()


class _Gate(asyncio.ReadTransport):
    """What a `StreamReader` shuts while it has more than it wants."""

    def __init__(self) -> None:
        super().__init__()
        self._open = asyncio.Event()
        self._open.set()
        self._released = False

    def release(self) -> None:
        """Let everything through from now on: nobody reads any more, and the end must still be seen."""
        self._released = True
        self._open.set()

    def pause_reading(self) -> None:
        if not self._released:
            self._open.clear()

    def resume_reading(self) -> None:
        self._open.set()

    async def opened(self) -> None:
        await self._open.wait()


def _fed(gate: _Gate) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(2 * _PIECE)
    reader.set_transport(gate)
    return reader
