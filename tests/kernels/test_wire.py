"""The channels of a kernel: what is connected, and what is not yet."""

from __future__ import annotations

import asyncio

import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient

from jupyter_exec_ext.kernels.wire import open_wire


async def test_questions_arrive_once_the_kernel_has_opened_the_channel_for_them() -> None:
    context = zmq.asyncio.Context()
    plain = zmq.Context()
    kernel = plain.socket(zmq.ROUTER)
    port = kernel.bind_to_random_port("tcp://127.0.0.1")
    kernel.unbind(f"tcp://127.0.0.1:{port}")  # as one that has not come so far
    client = AsyncKernelClient(context=context)
    nowhere = {f"{name}_port": 1 for name in ("shell", "iopub", "control", "hb")}
    info = {"ip": "127.0.0.1", "transport": "tcp", "key": b"", "stdin_port": port, **nowhere}
    client.load_connection_info(info)
    wire = await open_wire(client)
    try:
        assert not await wire.asks_arrive(0.2)
        arriving = asyncio.ensure_future(wire.asks_arrive(10))
        await asyncio.sleep(0.1)
        assert not arriving.done()
        kernel.bind(f"tcp://127.0.0.1:{port}")
        assert await arriving
        kernel.send_multipart([client.session.bsession, b"a question"])
        assert await wire._socket("stdin").recv_multipart() == [b"a question"]  # type: ignore[attr-defined]
    finally:
        await wire.close()
        plain.destroy(0)
        context.destroy(0)
