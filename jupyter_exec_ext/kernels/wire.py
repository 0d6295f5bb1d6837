"""`Wire`: messages from and to one kernel, over ZeroMQ or through a gateway.

A seam of two methods, so that what is above it knows nothing of sockets. Messages are read as raw
frames: what is too large to be kept is not unpacked, and what takes long to unpack is unpacked in a
thread, since the server's event loop does this work.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from ..errors import SessionLost

if TYPE_CHECKING:
    from jupyter_client.asynchronous.client import AsyncKernelClient

__all__ = ["CHANNELS", "HEAVY", "Message", "Wire", "as_message", "open_wire", "unpack"]

#: What stands between a message's addresses and its parts.
DELIM = b"<IDS|MSG>"
CHANNELS = ("shell", "iopub", "stdin", "control")
#: Bytes of a message that are unpacked in a thread: a megabyte takes some 10 ms.
HEAVY = 256 * 1024
#: Bytes of a message whose content is not unpacked at all: it is far more than is kept of one execution.
HUGE = 32 * 1024 * 1024


@dataclass(frozen=True)
class Message:
    """A message of the Jupyter protocol, as far as it is needed here.

    Parameters
    ----------
    channel, type : str
    parent, parent_type : str
        The ``msg_id`` and the type of the request it belongs to; "" where it belongs to none.
    kernel : str
        The session in its header: it changes when the kernel's process does.
    content : dict
        Empty where it was too large.
    size : int
        Bytes, also of what was not unpacked.
    """

    channel: str
    type: str
    parent: str
    parent_type: str
    kernel: str
    content: dict[str, Any] = field(default_factory=dict)
    size: int = 0
    header: dict[str, Any] = field(default_factory=dict)

    @property
    def huge(self) -> bool:
        """Whether its content was left out."""
        return self.size > HUGE


class Wire(ABC):
    """The channels of one kernel."""

    def __init__(self, client: AsyncKernelClient) -> None:
        self._client = client

    @abstractmethod
    async def receive(self, channel: str) -> Message | None:
        """The next message of a channel; None for one that is none. Raises `SessionLost`."""

    def send(self, channel: str, kind: str, content: Mapping[str, Any], parent: Any = None) -> str:
        """Send a message and return its identifier. Raises `SessionLost`."""
        message = self._client.session.msg(kind, dict(content), parent=parent)
        try:
            self.put(channel, message)
        except Exception as error:  # a websocket raises what its library has
            raise SessionLost(f"The connection to the kernel broke: {error}.") from error
        return str(message["header"]["msg_id"])

    @abstractmethod
    def put(self, channel: str, message: dict[str, Any]) -> None:
        """Send a message; `send` calls it, and takes whatever it raises as the end of the connection."""

    @abstractmethod
    async def close(self) -> None:
        """Close the channels."""


class ZmqWire(Wire):
    """Over the kernel's own sockets."""

    def __init__(self, client: AsyncKernelClient) -> None:
        super().__init__(client)
        self._ready: dict[str, Any] = {}

    def _socket(self, channel: str) -> Any:
        return getattr(self._client, f"{channel}_channel").socket

    def put(self, channel: str, message: dict[str, Any]) -> None:
        """Send a message."""
        import zmq

        getattr(self._client, f"{channel}_channel").send(message)
        # It goes out past asyncio's socket, and may have taken the sign that something has come in.
        self._socket(channel).get(zmq.EVENTS)

    async def close(self) -> None:
        """Close the channels."""
        self._client.stop_channels()

    async def receive(self, channel: str) -> Message | None:
        """The next message of a channel."""
        frames = self._at_once(channel) or await self._socket(channel).recv_multipart(copy=False)
        size = sum(map(len, frames))
        if size < HEAVY:
            return self._unpack(channel, frames, size)
        return await asyncio.to_thread(self._unpack, channel, frames, size)

    def _at_once(self, channel: str) -> list[Any] | None:
        """A message that is there already: what asyncio does for each takes as long as all the rest."""
        import zmq

        plain = self._ready.get(channel)
        if plain is None:
            plain = self._ready[channel] = zmq.Socket.shadow(self._socket(channel).underlying)
        try:
            frames: list[Any] = plain.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        return frames

    def _unpack(self, channel: str, frames: list[Any], size: int) -> Message | None:
        """Read the parts that are needed. Jupyter's own `Session.deserialize` takes five times as long."""
        session = self._client.session
        parts = [frame.bytes for frame in frames]
        try:
            signature, header, parent, metadata, content = parts[parts.index(DELIM) + 1 :][:5]
            if session.auth is not None and not compare_digest(
                session.sign([header, parent, metadata, content]), signature
            ):
                return None
            return unpack(channel, (header, parent, metadata, content), size)
        except ValueError:
            return None


async def open_wire(client: AsyncKernelClient) -> Wire:
    """Open the channels of a kernel's client, of whichever kind it is."""
    from .gateway import WebsocketWire, is_remote

    if is_remote(client.parent):
        return await WebsocketWire.open(client)
    client.start_channels(hb=False)
    return ZmqWire(client)


def unpack(channel: str, parts: Sequence[bytes], size: int) -> Message | None:
    """Read the parts of a message that are needed: header, parent header, metadata and content."""
    header, parent, _, content = parts
    raw = {"header": json.loads(header), "parent_header": json.loads(parent)}
    # What is too large to be kept is not even read.
    return as_message(channel, raw if size > HUGE else {**raw, "content": json.loads(content)}, size)


def as_message(channel: str, raw: Mapping[str, Any], size: int) -> Message | None:
    """The message that was read; None where it is none."""
    header, parent = raw.get("header"), raw.get("parent_header") or {}
    content = raw.get("content", {})
    if not (isinstance(header, dict) and isinstance(parent, dict) and isinstance(content, dict)):
        return None
    return Message(
        channel=channel,
        type=str(header.get("msg_type", "")),
        parent=str(parent.get("msg_id", "")),
        parent_type=str(parent.get("msg_type", "")),
        kernel=str(header.get("session", "")),
        content=content,
        size=size,
        header=header,
    )
