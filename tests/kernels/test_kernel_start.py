"""A kernel whose start nobody waits for any more. Real kernels."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from jupyter_exec_ext.kernels.client import JupyterClient


@pytest.mark.parametrize("seconds", [0, 0.001, 0.005])
async def test_a_start_that_is_cancelled_leaves_no_kernel_and_a_manager_that_can_stop(
    client: JupyterClient, seconds: float
) -> None:
    # given
    before = psutil.Process().children()
    kept = await client.start("python3")
    start = asyncio.create_task(client.start("python3"))
    await asyncio.sleep(seconds)
    # when
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    await client.close()
    # then
    assert [kernel["id"] for kernel in await client.list()] == [kept]
    await client._multi.shutdown_all(now=True)
    assert psutil.Process().children() == before
