"""`WorkspaceFiles`: the files of a session, through its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any, TypeVar

from ..errors import (
    Conflict,
    ExecError,
    InvalidRequest,
    NoSpace,
    NotFound,
    ProtocolError,
    Refused,
    Unavailable,
)
from ..supervisor.channel import Channel, Frame
from ..supervisor.client import SupervisorClient, request
from ..supervisor.frames import CHUNK, DATA, WINDOW
from ..supervisor.paths import MAX_ENTRIES
from ..supervisor.reports import Done, Entries, M, Refusal, Size, lied, read
from ..text import one_line

__all__ = ["WorkspaceFiles"]

T = TypeVar("T")

#: Seconds without a word from the supervisor after which a request for files is given up. Whatever
#: runs, it answers within milliseconds, unless a program has stopped it.
PATIENCE = 20.0
_REASONS = {
    "not_found": NotFound,
    "invalid": InvalidRequest,
    "refused": Refused,
    "conflict": Conflict,
    "no_space": NoSpace,
}


class WorkspaceFiles(ABC):
    """An executor whose workspace can be listed, read and written while code runs in it.

    All of these raise `NotFound`, `InvalidRequest` or `Refused` for a path that cannot be used, `Conflict`
    where something is in its way, `Unavailable` where the session does not answer, and `NoSpace` where the
    disk is full.
    """

    @abstractmethod
    async def _ready(self) -> SupervisorClient:
        """The supervisor, started where there is none."""

    async def list_files(self) -> tuple[list[dict[str, Any]], bool]:
        """What is in the workspace (path, type, size in bytes, modified in seconds since 1970).

        A path that is not UTF-8 is shown with U+FFFD, and has its bytes in `encoded`, as in a URL; whoever
        asks for it takes ``os.fsdecode(urllib.parse.unquote_to_bytes(encoded))``. Returns also whether there
        is more than the supervisor names.
        """
        client = await self._ready()
        entries: list[dict[str, Any]] = []
        async with _request(client, "list") as channel:
            while (frame := await _answer(client, channel, "entries", "done")).op == "entries":
                found = _shaped(client, Entries, frame).model_dump(exclude_none=True)["entries"]
                entries += found
                if not found or len(entries) > MAX_ENTRIES:
                    raise _liar(client, "listed files without end")
            return entries, _shaped(client, Done, frame).more

    async def read_file(self, path: str) -> AsyncGenerator[bytes, None]:
        """The contents of a file, in pieces: no more than it has when it is opened, less where it shrinks."""
        client = await self._ready()
        async with _request(client, "get", path=path) as channel:
            size = _shaped(client, Size, await _answer(client, channel, "size")).size
            async for data in _chunks(client, channel, size):
                yield data

    async def write_file(self, path: str, chunks: AsyncIterator[bytes]) -> None:
        """Write a file; it takes its place when it is complete."""
        client = await self._ready()
        async with _request(client, "put", path=path) as channel:
            await _answer(client, channel, "go")
            async for chunk in chunks:
                for start in range(0, len(chunk), CHUNK):
                    await _within(channel.send_data(chunk[start : start + CHUNK]))
            await _within(channel.send_data(b""))
            await _answer(client, channel, "done")

    async def delete_file(self, path: str) -> None:
        """Remove a file, a link (not what it points at) or an empty directory."""
        client = await self._ready()
        async with request(client, "delete", path=path) as channel:
            await _answer(client, channel, "done")


@contextlib.asynccontextmanager
async def _request(client: SupervisorClient, op: str, **fields: Any) -> AsyncIterator[Channel]:
    """A request that takes a while, and that the supervisor is told of when it is given up."""
    async with request(client, op, **fields) as channel:
        try:
            yield channel
        except BaseException:
            with contextlib.suppress(ExecError):
                await _within(channel.send("abandon"))
            raise


async def _within(work: Coroutine[Any, Any, T]) -> T:
    # Not `asyncio.wait_for`, which up to Python 3.11 loses a cancellation that comes with the answer.
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.wait({task}, timeout=PATIENCE)
    finally:
        given_up = task.cancel()
    if given_up:
        raise Unavailable(
            f"The session has not answered for {PATIENCE:g} s: what runs in it may have stopped its "
            "supervisor. Cancel that, or restart the session."
        )
    return task.result()


async def _answer(client: SupervisorClient, channel: Channel, *ops: str) -> Frame:
    """The next frame, which is one of these; no operation stands for bytes. Raises what was refused."""
    frame = await _within(channel.receive())
    if frame.op == "refused":
        said = _shaped(client, Refusal, frame)
        raise _REASONS.get(said.reason or "", Refused)(one_line(said.message[:1000]), field="path")
    if frame.op not in ops or (not frame.op and frame.kind != DATA):
        raise _liar(client, "answered a request for files with something else")
    return frame


async def _chunks(client: SupervisorClient, channel: Channel, size: int) -> AsyncIterator[bytes]:
    """The chunks of a file; there are never more on their way than somebody will take."""
    taken = sent = 0
    while (frame := await _answer(client, channel, "", "done")).kind == DATA:
        sent += len(frame.data)
        if not frame.data:
            raise _liar(client, "sent nothing for a piece of a file")
        if sent > size > 0:  # what has no size, as the files in /proc, is read to its end
            raise _liar(client, "sent more of a file than there was")
        yield frame.data
        taken += 1
        if taken == WINDOW // 2:
            await _within(channel.send("more", chunks=taken))
            taken = 0


def _liar(client: SupervisorClient, deed: str) -> ProtocolError:
    error = lied(deed)
    client.kill(error)  # who has lied once is not asked again
    return error


def _shaped(client: SupervisorClient, shape: type[M], frame: Frame) -> M:
    try:
        return read(shape, frame.fields)
    except ProtocolError as error:
        client.kill(error)
        raise
