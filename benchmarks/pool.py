"""A fresh kernel for one block, through REST from the pool, beside one that jupyter_client starts."""

from __future__ import annotations

import asyncio
import http.client
import json

import httpx
from jupyter_client.manager import start_new_async_kernel

from .timing import Row, in_turns

#: Seconds after which the next kernel is ready, also on a machine that has other things to do.
REFILL = 3.0


def pool_row(client: httpx.Client) -> Row:
    """The row; the server is one with the default settings of the pool."""
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port)
    path = f"{client.base_url.path}api/exec/executions?wait=60"
    headers = {"Authorization": client.headers["Authorization"], "Content-Type": "application/json"}
    ask = json.dumps({"environment": "kernel:python3", "code": "print(1)"})

    async def pooled() -> None:
        connection.request("POST", path, ask, headers)
        answer = connection.getresponse().read()
        if json.loads(answer)["status"] != "ok":
            raise SystemExit(answer.decode())

    async def started() -> None:
        manager, kernel = await start_new_async_kernel()
        try:
            await kernel.execute_interactive("print(1)", output_hook=lambda message: None)
        finally:
            kernel.stop_channels()
            await manager.shutdown_kernel(now=True)

    ms = asyncio.run(in_turns({"pool": pooled, "cold": started}, 10, pause=REFILL))
    ours = ms["pool"]
    name = "fresh kernel for one block, from the pool, by REST"
    return Row(name, "jupyter_client", ours, ms["cold"], "at most 150 ms", ours <= 150)
