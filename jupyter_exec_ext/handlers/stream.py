"""Server-sent events: numbered events to one reader, replayed and then live.

The format is that of the HTML standard, section 9.2: ``id:``, ``event:`` and ``data:`` lines, an
empty line at the end, and comments as heartbeats.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from .answers import ReaderGone
from .base import ExecHandler
from .request import BIGGEST, parse_number

HEARTBEAT = b": heartbeat\n\n"
#: The parts of an event on the wire. Not a tuple: `anext` with a default mistakes that for arguments.
Frame = list[bytes | memoryview]
EVENT_STREAM = "text/event-stream; charset=utf-8"


def frame(number: int, kind: str, *data: bytes | memoryview) -> Frame:
    """One event on the wire, in parts; `data` are the parts of JSON on one line."""
    return [b"id: %d\nevent: %s\ndata: " % (number, kind.encode()), *data, b"\n\n"]


class StreamHandler(ExecHandler):
    """A resource that is a stream of events."""

    query_names = {"GET": frozenset({"since"})}

    def since(self) -> int:
        """The number of the last event the reader has: where a reader reconnects, the header wins."""
        asked = self.query.number("since") or 0
        last = self.request.headers.get("Last-Event-ID")
        return asked if last is None else parse_number("Last-Event-ID", last, 0, BIGGEST)

    async def stream(self, frames: AsyncGenerator[Frame, None]) -> None:
        """Send events until they end or the reader leaves; neither touches what they tell of."""
        self.set_header("Content-Type", EVENT_STREAM)
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Accel-Buffering", "no")  # or nginx holds events back
        self.tcp.set_nodelay(True)
        try:
            await self.push(b"")
            await self._pump(frames)
        except ReaderGone:
            return
        await self.finish(set_content_type=EVENT_STREAM)

    async def _pump(self, frames: AsyncGenerator[Frame, None]) -> None:
        upcoming: asyncio.Future[Frame] = asyncio.ensure_future(anext(frames, []))
        gone = asyncio.ensure_future(self.gone.wait())
        waited: set[asyncio.Future[Any]]
        try:
            while True:
                waited = {upcoming, gone}
                await asyncio.wait(
                    waited, timeout=self.exec_app.heartbeat_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if self.gone.is_set():
                    raise ReaderGone
                if not upcoming.done():
                    await self.push(HEARTBEAT)
                elif event := upcoming.result():
                    await self.push(*event)
                    upcoming = asyncio.ensure_future(anext(frames, []))
                else:
                    return
        finally:
            # Leave the source of events as if nobody had read it.
            gone.cancel()
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)
            await frames.aclose()
