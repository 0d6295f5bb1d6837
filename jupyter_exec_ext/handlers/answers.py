"""How every handler answers: JSON, errors in one form, and nothing that piles up unread."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from http.client import responses
from typing import TYPE_CHECKING, Any, TypeVar, cast

from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from jupyter_server.utils import url_escape, url_path_join
from tornado import web
from tornado.iostream import IOStream, StreamClosedError

from .. import errors

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ..app import ExecApp
    from ..log.document import Part, Parts

T = TypeVar("T")

#: The one place that knows which error is which status.
STATUS: dict[type[errors.ExecError], int] = {
    errors.UnknownEnvironment: 422,
    errors.UnknownLanguage: 422,
    errors.InvalidRequest: 400,
    errors.Refused: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.QueueFull: 429,
    errors.NoSpace: 507,
    errors.Unavailable: 503,
    errors.EnvironmentFailed: 409,
}

CLIENT_CLOSED = 499  # nobody reads it; the access log shows it, as nginx's does
PIECE = 64 * 1024
#: Bytes per second at which a long answer is read at least, over all of it: others wait for its room.
LEAST_RATE = 32 * 1024
#: Seconds to wait for the room for one.
ROOM_SECONDS = 10.0


class ReaderGone(Exception):
    """The client went away, or reads too slowly to wait for it any longer."""


def status_of(error: errors.ExecError) -> int:
    """The HTTP status of an error."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def pieces_of(parts: Iterable[Part]) -> Iterator[bytes]:
    """The same bytes in pieces of at most `PIECE`; none of them is empty unless it is the only one."""
    few: list[Part] = []
    size = 0
    for part in parts:
        for start in range(0, len(part), PIECE):
            some = part[start : start + PIECE]
            if few and size + len(some) > PIECE:
                yield b"".join(few)
                few, size = [], 0
            few.append(some)
            size += len(some)
    yield b"".join(few)


class AnsweringHandler(ExtensionHandlerMixin, APIHandler):
    """The half of a handler that writes; the other half is `ExecHandler`."""

    def initialize(self, name: str) -> None:
        """Begin: tornado calls it once per request."""
        super().initialize(name)
        self.gone = asyncio.Event()
        #: Whether `prepare` is over: what is answered from then on is answered after the body.
        self.prepared = False

    @property
    def exec_app(self) -> ExecApp:
        """The extension."""
        return cast("ExecApp", self.extensionapp)

    @classmethod
    def verbs(cls) -> list[str]:
        """The verbs this resource has, without OPTIONS."""
        missing = web.RequestHandler._unimplemented_method
        return [
            verb
            for verb in cls.SUPPORTED_METHODS
            if verb != "OPTIONS" and getattr(cls, verb.lower()) is not missing
        ]

    # -- answers -----------------------------------------------------------------------------

    def created_at(self, *parts: str) -> None:
        """Answer 201 with the Location of what was created."""
        self.set_status(201)
        path = "/".join(url_escape(part) for part in parts)
        self.set_header("Location", url_path_join(self.base_url, "api/exec", path))

    async def answer(self, model: BaseModel) -> None:
        """Write one object."""
        await self.answer_bytes(model.model_dump_json().encode())

    async def answer_list(self, key: str, models: list[Any], warning: str | None = None) -> None:
        """Write a list of objects under its name, with a warning where there is one."""
        rows = ",".join(self._rows(key, models))
        more = f',"warning":{json.dumps(warning)}' if warning else ""
        await self.answer_bytes(f'{{"{key}":[{rows}]{more}}}'.encode())

    def _rows(self, key: str, models: list[Any]) -> Iterator[str]:
        """Each object as JSON; one that has no such form must not hide the others."""
        for model in models:
            try:
                row = model.model_dump_json()
            except ValueError as error:
                which = getattr(model, "id", None) or getattr(model, "name", None)
                self.log.error("%a of the %s cannot be shown and is left out: %s", which, key, error)
                continue
            yield row

    async def answer_nothing(self) -> None:
        """Answer 204."""
        self.set_status(204)
        await self.finish()

    async def answer_bytes(self, *parts: Part) -> None:
        """Write JSON, given in parts; what is long goes out piece by piece, at the reader's pace."""
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        length = sum(map(len, parts))
        if length > PIECE:
            self.set_header("Content-Length", length)
            await self._push_in_time(*parts, seconds=length / LEAST_RATE)
            parts = ()
        await self.finish(b"".join(parts) or None)

    async def _push_in_time(self, *parts: Part, seconds: float) -> None:
        """Push what somebody else may wait for the room of. Raises `ReaderGone`."""
        try:
            await asyncio.wait_for(self.push(*parts), self.exec_app.stalled_reader_seconds + seconds)
        except asyncio.TimeoutError:
            self.disconnect()
            raise ReaderGone from None

    def document_of(self, execution_id: str) -> AbstractAsyncContextManager[Parts]:
        """An execution with its output, held until it is sent. Raises `Unavailable`, and `NotFound`."""
        log = self.exec_app.manager.event_log
        return self.exec_app.long_answers.document(log, execution_id, ROOM_SECONDS)

    async def push(self, *parts: Part) -> None:
        """Send data now, and wait until the network has taken it.

        Raises
        ------
        ReaderGone
            When the client is gone, or has not taken a piece within ``stalled_reader_seconds``:
            what it does not read must not wait in memory. It is disconnected, then.
        """
        for piece in pieces_of(parts):
            self.write(piece)
            try:
                await asyncio.wait_for(self.flush(), self.exec_app.stalled_reader_seconds)
            except (StreamClosedError, asyncio.TimeoutError):
                self.disconnect()
            if self.gone.is_set():
                raise ReaderGone
            # What the network takes at once is no wait: a crowd of readers would be served in one turn.
            await asyncio.sleep(0)

    def disconnect(self) -> None:
        """Close the connection without an answer."""
        self.gone.set()
        self.tcp.close()

    @property
    def tcp(self) -> IOStream:
        """The connection's byte stream."""
        return cast(IOStream, cast(Any, self.request.connection).stream)

    async def unless_gone(self, work: Awaitable[T]) -> T:
        """Wait for work that only this client cares about. Raises `ReaderGone` when it leaves."""
        task = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(self.gone.wait())
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ReaderGone
            return task.result()
        finally:
            task.cancel()
            gone.cancel()

    def on_connection_close(self) -> None:
        """Note that the client is gone: tornado calls it."""
        super().on_connection_close()
        self.gone.set()

    def compute_etag(self) -> str | None:
        """No entity tag: answers change, and hashing a long one would cost more than sending it."""
        return None

    # -- errors ------------------------------------------------------------------------------

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Log what nobody expected; what is the client's fault is in its answer."""
        # A client that has read its whole answer may be gone before `finish` knows that it went out.
        if not isinstance(value, (errors.ExecError, ReaderGone, StreamClosedError)):
            super().log_exception(kind, value, trace)

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer with an error: tornado calls it with whatever was raised."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        if isinstance(error, errors.ExecError):
            status_code = status_of(error)
        elif isinstance(error, ReaderGone):
            status_code, kwargs["reason"] = CLIENT_CLOSED, "Client Closed Request"
        if not self._headers_written:
            super().send_error(status_code, **kwargs)
            return
        self.disconnect()  # too late for an answer: only a cut connection tells
        if not self._finished:
            self.finish()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write an error as the contract has it: message, reason, and the field at fault."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        reply = {"message": "The server failed at this; its log says more.", "reason": "internal"}
        if isinstance(error, errors.ExecError):
            reply = {"message": error.message, "reason": error.reason}
            if error.field:
                reply["field"] = error.field
        elif status_code < 500:
            phrase = responses.get(status_code, "Client Error")
            reply = {"message": phrase, "reason": phrase.lower().replace(" ", "_")}
            if isinstance(error, web.HTTPError) and error.log_message:
                reply["message"] = error.get_message() or phrase
        if status_code == 405:
            self.set_header("Allow", ", ".join([*self.verbs(), "OPTIONS"]))
        if status_code == 503:
            self.set_header("Retry-After", "5")
        if not self.prepared:
            # Tornado disconnects, since it would take what is left of the body for a request.
            self.set_header("Connection", "close")
        # A broken query must not break the error that says so (Jupyter reads it once more).
        self.request.arguments.clear()
        self.finish(json.dumps(reply))
