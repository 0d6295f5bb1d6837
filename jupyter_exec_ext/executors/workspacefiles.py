"""`WorkspaceFiles`: the files of a session, through its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any, TypeVar

from ..errors import ExecError, InvalidRequest, NoSpace, NotFound, ProtocolError, Refused, Unavailable
from ..supervisor.channel import Channel, Frame
from ..supervisor.client import SupervisorClient, request
from ..supervisor.frames import CHUNK, DATA, WINDOW
from ..supervisor.reports import Entries, Refusal, read

__all__ = ["WorkspaceFiles"]

T = TypeVar("T")

#: Seconds without a word from the supervisor after which a request for files is given up. Whatever
#: runs, it answers within milliseconds, unless a program has stopped it.
PATIENCE = 20.0
#: Entries of one list; a supervisor names fewer.
MOST_ENTRIES = 100_000
_REASONS = {"not_found": NotFound, "invalid": InvalidRequest, "refused": Refused, "no_space": NoSpace}


class WorkspaceFiles(ABC):
    """An executor whose workspace can be listed, read and written while code runs in it.

    All of these raise `NotFound`, `InvalidRequest` or `Refused` for a path that cannot be used,
    `Unavailable` where the session does not answer, and `NoSpace` where the disk is full.
    """

    @abstractmethod
    async def _ready(self) -> SupervisorClient:
        """The supervisor, started where there is none."""

    async def list_files(self) -> tuple[list[dict[str, Any]], bool]:
        """What is in the workspace (path, type, size in bytes, modified in seconds since 1970).

        Returns also whether there is more than the supervisor names.
        """
        client = await self._ready()
        entries: list[dict[str, Any]] = []
        async with request(client, "list") as channel:
            while (frame := _accepted(await _answer(channel))).op == "entries":
                found = _entries(client, frame)
                entries += found
                if not found or len(entries) > MOST_ENTRIES:
                    raise _liar(client, "listed files without end")
            return entries, bool(frame.fields.get("more"))

    async def read_file(self, path: str) -> AsyncGenerator[bytes, None]:
        """The contents of a file, in pieces."""
        client = await self._ready()
        async with request(client, "get", path=path) as channel:
            ended = False
            try:
                _accepted(await _answer(channel))
                async for data in _chunks(client, channel):
                    yield data
                ended = True
            finally:
                if not ended:
                    await _abandon(channel)

    async def write_file(self, path: str, chunks: AsyncIterator[bytes]) -> None:
        """Write a file; it takes its place when it is complete."""
        async with request(await self._ready(), "put", path=path) as channel:
            try:
                _accepted(await _answer(channel))
                async for chunk in chunks:
                    for start in range(0, len(chunk), CHUNK):
                        await _within(channel.send_data(chunk[start : start + CHUNK]))
            except BaseException:
                await _abandon(channel)
                raise
            await _within(channel.send_data(b""))
            _accepted(await _answer(channel))

    async def delete_file(self, path: str) -> None:
        """Remove a file, a link (not what it points at) or an empty directory."""
        async with request(await self._ready(), "delete", path=path) as channel:
            _accepted(await _answer(channel))


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


async def _answer(channel: Channel) -> Frame:
    return await _within(channel.receive())


async def _chunks(client: SupervisorClient, channel: Channel) -> AsyncIterator[bytes]:
    """The chunks of a file; there are never more on their way than somebody will take."""
    taken = 0
    while (frame := _accepted(await _answer(channel))).kind == DATA:
        yield frame.data
        taken += 1
        if taken == WINDOW // 2:
            await _within(channel.send("more", chunks=taken))
            taken = 0
    if frame.op != "done":  # a file that ends here would look as if it were whole
        raise _liar(client, "broke a file off")


def _liar(client: SupervisorClient, deed: str) -> ProtocolError:
    error = ProtocolError(f"The session's supervisor {deed}; the session was ended.")
    client.kill(error)
    return error


async def _abandon(channel: Channel) -> None:
    with contextlib.suppress(ExecError):
        await _within(channel.send("abandon"))


def _entries(client: SupervisorClient, frame: Frame) -> list[dict[str, Any]]:
    try:
        return read(Entries, frame.fields).model_dump()["entries"]  # type: ignore[no-any-return]
    except ProtocolError as error:
        client.kill(error)  # who has lied once is not asked again
        raise


def _accepted(frame: Frame) -> Frame:
    if frame.op != "refused":
        return frame
    said = read(Refusal, frame.fields)
    kind = _REASONS.get(said.reason or "", Refused)
    raise kind(said.message[:1000], field="path")
