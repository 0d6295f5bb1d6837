"""``sessions/{id}/files``: what is in a workspace. Contents stream through, never gathered."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import cast

from tornado import web

from ..text import shown
from .answers import ReaderGone
from .base import RESOURCE, ExecHandler, authorized

BYTES = "application/octet-stream"
_LAST_SECOND = 253402300799.0  # of the year 9999


class FileRootHandler(ExecHandler):
    """All files of a session."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, session_id: str) -> None:
        """List them; links are named, never followed."""
        files, more = await self.unless_gone(self.manager.list_files(session_id))
        shown = [{**file, "modified": _time(file["modified"])} for file in files]
        answer = {"files": shown, "more": True} if more else {"files": shown}
        await self.answer_bytes(json.dumps(answer).encode())


def _time(seconds: float) -> str:
    """A time since 1970 in RFC 3339; a file can bear any, but only these years can be written so."""
    bounded = min(max(seconds, 0.0), _LAST_SECOND)
    return dt.datetime.fromtimestamp(bounded, dt.timezone.utc).isoformat().replace("+00:00", "Z")


class FileHandler(ExecHandler):
    """One file of a session."""

    _upload: Upload | None = None
    _patience: asyncio.TimerHandle | None = None

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        """Take a part of the URL as it is, as Python has the names of files: they need not be UTF-8."""
        return super().decode_argument(value, name) if name else value.decode("utf-8", "surrogateescape")

    @property
    def _has_patience(self) -> bool:
        return self.request.method != "PUT"

    @property
    def body_limit(self) -> int:
        """A file may be larger than a request: it is never held in memory."""
        return self.exec_app.max_file_bytes if self.request.method == "PUT" else super().body_limit

    @property
    def content_security_policy(self) -> str:
        """Whatever a file holds, it runs nowhere, should a browser show it."""
        return super().content_security_policy + "; sandbox"

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, session_id: str, path: str) -> None:
        """Send its contents, as an attachment."""
        async with aclosing(self.manager.read_file(session_id, path)) as chunks:
            first = await anext(chunks, b"")  # what is wrong with the path shows here
            self.set_header("Content-Type", BYTES)
            self.set_header("Cache-Control", "no-store")
            self.set_attachment_header(shown(path.rpartition("/")[2]))
            try:
                await self.push(first)
                async for chunk in chunks:
                    await self.push(chunk)
            except ReaderGone:
                return
        await self.finish(set_content_type=BYTES)

    async def begin(self) -> None:
        """Start to write: the contents pass through while they arrive."""
        if self.request.method == "PUT":
            session_id, path = self.path_args
            self.manager.get_session(session_id)  # or all of it would be taken for nothing
            write = partial(self.manager.write_file, session_id, path)
            self._upload = Upload(write)
            self._await_piece()

    def _await_piece(self) -> None:
        """Give the client a while for the next piece: an upload that stalls holds a file open."""
        if self.gone.is_set():
            return
        later = asyncio.get_running_loop().call_later
        self._patience = later(self.exec_app.stalled_reader_seconds, self.disconnect)

    def _stop_waiting(self) -> None:
        if self._patience:
            self._patience.cancel()

    async def _hand_over(self, upload: Upload, chunk: bytes) -> None:
        await upload.put(chunk)
        self._await_piece()

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Take a piece; what is over the limit is thrown away, and yet it comes."""
        self._stop_waiting()
        taken = super().data_received(chunk)
        if taken is None and self._upload:
            self._await_piece()
        return taken

    def take(self, chunk: bytes) -> Awaitable[None] | None:
        """Pass a piece on; the next is not read from the network before this one is taken."""
        return self._hand_over(self._upload, chunk) if self._upload else super().take(chunk)

    @web.authenticated
    @authorized(action="write", resource=RESOURCE)
    async def put(self, session_id: str, path: str) -> None:
        """Write it; an existing file is replaced."""
        self._stop_waiting()
        upload = cast(Upload, self._upload)  # begin() made it
        if self._received > self.body_limit:
            await upload.abandon()
            raise self.too_large()
        await upload.finish()
        await self.answer_nothing()

    @web.authenticated
    @authorized(action="write", resource=RESOURCE)
    async def delete(self, session_id: str, path: str) -> None:
        """Remove it."""
        self.no_body()
        await self.manager.delete_file(session_id, path)
        await self.answer_nothing()

    def on_finish(self) -> None:
        """Leave no half-written file behind, whatever went wrong: tornado calls it."""
        super().on_finish()
        self._stop_waiting()
        if self._upload:
            self._upload.cancel()

    def on_connection_close(self) -> None:
        """The same, where the client went away in the middle."""
        super().on_connection_close()
        self._stop_waiting()
        if self._upload:
            self._upload.cancel()


class Upload:
    """Bytes on their way from the network into a file; at most one piece waits.

    Parameters
    ----------
    write : callable
        Takes the pieces as they come, and returns when they are written.
    """

    def __init__(self, write: Callable[[AsyncIterator[bytes]], Awaitable[None]]) -> None:
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)
        self._writer = asyncio.ensure_future(write(self._chunks()))
        # Asked for, so that a failure nobody waits for any more is not reported as forgotten.
        self._writer.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _chunks(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            yield piece

    async def put(self, piece: bytes | None) -> None:
        """Hand over a piece, None at the end; a writer that has failed takes no more."""
        handing = asyncio.ensure_future(self._pieces.put(piece))
        await asyncio.wait({handing, self._writer}, return_when=asyncio.FIRST_COMPLETED)
        handing.cancel()

    async def finish(self) -> None:
        """Wait until all is written. Raises what went wrong."""
        await self.put(None)
        await self._writer

    async def abandon(self) -> None:
        """Stop the writing, and wait until it has tidied up."""
        self.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)

    def cancel(self) -> None:
        """Stop the writing."""
        self._writer.cancel()
