"""`Wire`: messages from and to one kernel, over ZeroMQ or through a gateway.

A seam of two methods, so that what is above it knows nothing of sockets. Messages are read as raw
frames: what is shown and too large to be kept is not unpacked, and what takes long to unpack is unpacked
in a thread, since the server's event loop does this work.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from ..errors import SessionLost
from .heavy import HEAVY, HUGE, is_read, trimmed
from .slices import slice_of

if TYPE_CHECKING:
    from jupyter_client.asynchronous.client import AsyncKernelClient

__all__ = ["CHANNELS", "Message", "Wire", "as_message", "open_wire", "unpack"]

#: What stands between a message's addresses and its parts.
DELIM = b"<IDS|MSG>"
CHANNELS = ("shell", "iopub", "stdin", "control")
#: Seconds between two looks whether a channel is connected.
CONNECTING = 0.005
#: Bytes of a parent header that is remembered; all messages of one execution have the same.
SMALL = 4096

_decode = json.JSONDecoder().decode


@dataclass(slots=True)
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
        Empty where it only shows something and was too large.
    size : int
        Bytes, also of what was not unpacked.
    header : dict
    deep : bool
        Whether its content was nested too deep to be read.
    """

    channel: str
    type: str
    parent: str
    parent_type: str
    kernel: str
    content: dict[str, Any] = field(default_factory=dict)
    size: int = 0
    header: dict[str, Any] = field(default_factory=dict)
    deep: bool = False

    @property
    def huge(self) -> bool:
        """Whether its content was left out."""
        return self.size > HUGE and not is_read(self.type, self.size)


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

    async def asks_arrive(self, seconds: float) -> bool:
        """Wait until what the kernel asks reaches us, so many seconds at most; whether it does."""
        return True

    def limit(self, messages: int) -> None:  # noqa: B027 - what a gateway sends is bounded there
        """Let no more output than so many messages wait to be received."""

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

    async def asks_arrive(self, seconds: float) -> bool:
        """Wait until the stdin channel is connected: a kernel drops what it asks of nobody it knows.

        The channels connect one by one, and where the kernel was not there yet, each tries again in its time.
        """
        import zmq

        until = time.monotonic() + seconds
        while not self._socket("stdin").get(zmq.EVENTS) & zmq.POLLOUT:
            if time.monotonic() > until:
                return False
            await asyncio.sleep(CONNECTING)
        return True

    def limit(self, messages: int) -> None:
        """Let no more output than so many messages wait to be received."""
        import zmq

        self._socket("iopub").setsockopt(zmq.RCVHWM, messages)

    async def close(self) -> None:
        """Close the channels."""
        self._client.stop_channels()

    async def receive(self, channel: str) -> Message | None:
        """The next message of a channel."""
        frames = self._at_once(channel)
        if not frames:
            frames = await self._socket(channel).recv_multipart(copy=False)
            await slice_of(asyncio.get_running_loop()).turn()
        size = sum(map(len, frames))
        if size < HEAVY:
            return self._unpack(channel, frames, size)
        return await asyncio.to_thread(self._unpack, channel, frames, size)

    def _at_once(self, channel: str) -> list[Any]:
        """A message that is there already: what asyncio does for each takes as long as all the rest."""
        import zmq

        plain = self._ready.get(channel)
        if plain is None:
            plain = self._ready[channel] = zmq.Socket.shadow(self._socket(channel).underlying)
        frames: list[Any] = []
        with contextlib.suppress(zmq.Again):
            frames.append(plain.recv(zmq.NOBLOCK, copy=False))
            # A frame knows whether another one follows; to ask the socket each time takes as long again.
            while frames[-1].more:
                frames.append(plain.recv(zmq.NOBLOCK, copy=False))
        return frames

    def _unpack(self, channel: str, frames: list[Any], size: int) -> Message | None:
        """Read the parts that are needed. Jupyter's own `Session.deserialize` takes ten times as long."""
        parts = [frame.bytes for frame in frames]
        try:
            signature, header, parent, metadata, content = parts[parts.index(DELIM) + 1 :][:5]
            signed = self._sign(header, parent, metadata, content)
            if signed is not None and not compare_digest(signed, signature):
                return None
            return unpack(channel, (header, parent, metadata, content), size)
        except (ValueError, RecursionError):
            return None

    def _sign(self, *parts: bytes) -> bytes | None:
        auth = self._client.session.auth
        if auth is None:
            return None
        digest = auth.copy()
        for part in parts:
            digest.update(part)
        return str(digest.hexdigest()).encode()


async def open_wire(client: AsyncKernelClient) -> Wire:
    """Open the channels of a kernel's client, of whichever kind it is."""
    from .gateway import WebsocketWire, is_remote

    if is_remote(client.parent):
        return await WebsocketWire.open(client)
    _open_stdin(client)
    client.start_channels(hb=False)
    return ZmqWire(client)


def _open_stdin(client: AsyncKernelClient) -> None:
    """Open that channel so that its socket can be written to once it is connected, and not before."""
    import zmq

    context = client.context
    context.setsockopt(zmq.IMMEDIATE, 1)  # of the sockets that are opened next
    try:
        client.stdin_channel  # noqa: B018 - which makes it
    finally:
        context.setsockopt(zmq.IMMEDIATE, 0)


def unpack(channel: str, parts: Sequence[bytes], size: int) -> Message | None:
    """Read the parts of a message that are needed: header, parent header, metadata and content."""
    header, parent, _, content = parts
    origin = _origin(parent) if len(parent) < SMALL else _origin.__wrapped__(parent)
    headers = _read(header)
    try:
        read = _read(content) if size < HEAVY else _heavy(headers, content, size)
    except RecursionError:
        message = _message(channel, headers, origin, {}, size)
        if message is not None:
            message.deep = True
        return message
    return _message(channel, headers, origin, read, size)


def _heavy(header: Any, content: bytes, size: int) -> Any:
    """The content of a large message; of one that is shown, and too large to be kept, it is not even read."""
    kind = str(header.get("msg_type", "")) if isinstance(header, dict) else ""
    return trimmed(kind, _read(content)) if is_read(kind, size) else {}


def as_message(channel: str, raw: Mapping[str, Any], size: int) -> Message | None:
    """The message that was read; None where it is none."""
    parent = raw.get("parent_header") or {}
    if not isinstance(parent, dict):
        return None
    message = _message(channel, raw.get("header"), _names(parent), raw.get("content", {}), size)
    if message is not None and size >= HEAVY:
        message.content = {} if message.huge else trimmed(message.type, message.content)
    return message


def _read(part: bytes) -> Any:
    return _decode(part.decode("utf-8", "surrogatepass"))


@lru_cache(maxsize=256)
def _origin(part: bytes) -> tuple[str, str]:
    """The identifier and the type of the request in a parent header. Raises ValueError."""
    parent = _read(part) or {}
    if not isinstance(parent, dict):
        raise ValueError(part)
    return _names(parent)


def _names(header: Mapping[str, Any]) -> tuple[str, str]:
    return str(header.get("msg_id", "")), str(header.get("msg_type", ""))


def _message(channel: str, header: Any, origin: tuple[str, str], content: Any, size: int) -> Message | None:
    if not (isinstance(header, dict) and isinstance(content, dict)):
        return None
    kind, kernel = str(header.get("msg_type", "")), str(header.get("session", ""))
    return Message(channel, kind, *origin, kernel, content, size, header)
