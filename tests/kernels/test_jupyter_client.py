"""JupyterClient over a private manager: what is left of what nobody waits for any more."""

from __future__ import annotations

import asyncio

from jupyter_exec_ext.kernels.client import JupyterClient


async def test_a_start_that_is_broken_off_leaves_no_kernel(client: JupyterClient) -> None:
    start = asyncio.create_task(client.start("python3"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    start.cancel()
    await asyncio.wait({start})
    await client.close()

    assert start.cancelled()
    assert await client.list() == []
