"""Kernels behind a gateway: their messages come over a websocket, all else over HTTP.

Jupyter Server's own client for it connects, and waits for its thread, with calls that block; it sends no
token, and its queues can only be polled. So only its addresses and its settings are used here.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..errors import EnvironmentFailed, ExecError, KernelDied, NotFound, SessionLost
from ..text import one_line
from .heavy import HEAVY
from .wire import CHANNELS, Message, Wire, as_message, unpack

if TYPE_CHECKING:
    from jupyter_client.asynchronous.client import AsyncKernelClient
    from tornado.websocket import WebSocketClientConnection

__all__ = ["WebsocketWire", "explain", "is_remote", "is_there"]

#: Jupyter's websocket protocol in which the parts of a message stay apart, so that not all are unpacked.
V1 = "v1.kernel.websocket.jupyter.org"
#: Seconds to connect in.
CONNECT = 10.0
#: Bytes of the largest message; after a larger one the connection is lost.
LARGEST = 256 * 1024 * 1024
#: Messages of a channel that wait to be read; then the gateway waits.
WAITING = 1000

_PARTS = ("header", "parent_header", "metadata", "content")
#: HTTP statuses of a gateway, or of a proxy before it, that is not there.
_AWAY = frozenset({502, 503, 504, 599})


def is_remote(manager: Any) -> bool:
    """Whether the kernel, or the kernels, of a manager are behind a gateway."""
    return hasattr(manager, "kernels_url")


async def is_there(manager: Any) -> bool:
    """Whether the gateway still has the kernel of that manager. Raises what HTTP raises."""
    return await manager.refresh_model() is not None


def explain(error: BaseException) -> str:
    """What went wrong, for a sentence that is read by a person."""
    code = getattr(error, "status_code", None) or getattr(error, "code", None)
    if code in _AWAY or isinstance(error, (OSError, asyncio.TimeoutError)):
        return "the gateway does not answer; try again when it is back"
    if code in (401, 403):
        return f"the gateway refuses it ({code}); check the token and the limits it is configured with"
    said = getattr(error, "args", ())
    return f"the gateway says {str(said[0])[:300]!r}" if code and said else one_line(str(error)).rstrip(".")


class WebsocketWire(Wire):
    """Over one websocket, which a task reads."""

    def __init__(self, client: AsyncKernelClient, connection: WebSocketClientConnection) -> None:
        super().__init__(client)
        self._connection = connection
        self._v1 = connection.selected_subprotocol == V1
        self._queues: dict[str, asyncio.Queue[Message | ExecError | None]] = {
            channel: asyncio.Queue(WAITING) for channel in CHANNELS
        }
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, client: AsyncKernelClient) -> WebsocketWire:
        """Connect.

        Raises
        ------
        NotFound
            The gateway has no such kernel any more.
        EnvironmentFailed
            It does not answer, or refuses.
        """
        try:
            return cls(client, await _connect(str(getattr(client, "kernel_id", ""))))
        except Exception as error:
            if getattr(error, "code", None) == 404:
                raise NotFound("The gateway has this kernel no more; it was shut down there.") from None
            raise EnvironmentFailed(f"The kernel cannot be reached: {explain(error)}.") from error

    async def receive(self, channel: str) -> Message | None:
        """The next message of a channel."""
        item = await self._queues[channel].get()
        if isinstance(item, ExecError):
            raise item
        return item

    async def _read(self) -> None:
        how = ""
        try:
            while (raw := await self._connection.read_message()) is not None:
                self._acknowledge()
                channel, message = await self._unpacked(raw)
                if channel in self._queues:
                    await self._queues[channel].put(_death(message) or message)
        except Exception as error:
            how = f" ({type(error).__name__})"
        # Behind all that was printed, which is on this channel.
        await self._queues["iopub"].put(
            SessionLost(f"The connection to the gateway was lost{how}; what had been printed is kept.")
        )

    def _acknowledge(self) -> None:
        """Tell the system not to keep the acknowledgement: the next message waits for it for 40 ms."""
        stream = getattr(self._connection.protocol, "stream", None)
        option = getattr(socket, "TCP_QUICKACK", None)  # Linux has it, and forgets it again
        if option is not None and stream is not None and stream.socket is not None:
            stream.socket.setsockopt(socket.IPPROTO_TCP, option, 1)

    async def _unpacked(self, raw: str | bytes) -> tuple[str, Message | None]:
        read = _from_v1 if self._v1 else _from_json
        try:
            return read(raw) if len(raw) < HEAVY else await asyncio.to_thread(read, raw)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return "iopub", None

    def put(self, channel: str, message: dict[str, Any]) -> None:
        """Send a message."""
        from jupyter_server.services.kernels.connection import base

        serialize: Callable[..., bytes] = base.serialize_msg_to_ws_v1
        parts = [self._client.session.pack(message[name]) for name in _PARTS]
        if self._v1:
            sent = self._connection.write_message(serialize(parts, channel), binary=True)
        else:
            named = (f'"{name}":{part.decode()}' for name, part in zip(_PARTS, parts, strict=True))
            sent = self._connection.write_message(f'{{"channel":"{channel}","buffers":[],{",".join(named)}}}')
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())  # the reader tells of it

    async def close(self) -> None:
        """Close the websocket."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self._connection.close()


async def _connect(kernel_id: str) -> WebSocketClientConnection:
    from jupyter_server.gateway.gateway_client import GatewayClient
    from tornado.httpclient import HTTPRequest
    from tornado.websocket import websocket_connect

    gateway = GatewayClient.instance()
    url = f"{(gateway.ws_url or '').rstrip('/')}/{gateway.kernels_endpoint.strip('/')}"
    arguments: Callable[[], dict[str, Any]] = gateway.load_connection_args
    request = HTTPRequest(f"{url}/{quote(kernel_id)}/channels", **arguments())
    request.connect_timeout = request.request_timeout = CONNECT
    connecting = asyncio.ensure_future(
        websocket_connect(request, max_message_size=LARGEST, subprotocols=[V1])
    )
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        connecting.add_done_callback(_close_unwanted)
        raise


def _close_unwanted(done: asyncio.Future[WebSocketClientConnection]) -> None:
    if not done.cancelled() and done.exception() is None:
        done.result().close()


def _death(message: Message | None) -> KernelDied | None:
    """What a gateway says, in the kernel's place, of one that has died: it starts another one, or not."""
    if message is not None and message.type == "status" and not message.parent:
        state = message.content.get("execution_state")
        if state in ("restarting", "autorestarting"):
            return KernelDied(
                "The kernel died and the gateway started it again; its variables are gone, "
                "what it had printed is kept. A gateway does not tell the exit code."
            )
        if state == "dead":
            return KernelDied("The kernel died, and the gateway could not start it again.")
    return None


def _from_v1(raw: str | bytes) -> tuple[str, Message | None]:
    from jupyter_server.services.kernels.connection import base

    read: Callable[[Any], tuple[str, list[bytes]]] = base.deserialize_msg_from_ws_v1
    channel, parts = read(raw)
    return channel, unpack(channel, parts[:4], len(raw))


def _from_json(raw: str | bytes) -> tuple[str, Message | None]:
    from jupyter_server.services.kernels.connection import base

    # One with buffers comes as bytes, its JSON in front of them.
    read: Callable[[Any], Any] = base.deserialize_binary_message if isinstance(raw, bytes) else json.loads
    message = read(raw)
    channel = str(message["channel"])
    return channel, as_message(channel, message, len(raw))
