"""Kernels through REST: a fresh one for a block, from the pool, and a block in one that runs."""

from __future__ import annotations

import asyncio
import tempfile

import httpx
from jupyter_client.manager import start_new_async_kernel

from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .server import submitter
from .timing import Row, at_most_more, in_turns

#: Seconds after which the next kernel is ready, also on a machine that has other things to do.
REFILL = 3.0


def pool_row(client: httpx.Client) -> Row:
    """A fresh kernel beside one that jupyter_client starts; the server has the pool's default settings."""
    submit = submitter(client)

    async def pooled() -> None:
        submit({"environment": "kernel:python3", "code": "print(1)"})

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


def kernel_rest_row(client: httpx.Client) -> Row:
    """A block in a kernel that runs, through REST beside the executor."""
    request = {"environment": "kernel:python3"}
    session = client.post("api/exec/sessions", json=request).raise_for_status().json()["id"]
    submit, blocks = submitter(client), [CodeBlock(code="print(1)")]

    async def rest() -> None:
        submit({"session": session, "code": "print(1)"})

    async def measure() -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            async with JupyterCodeExecutor(JupyterCodeExecutor.default_environment(), folder) as executor:
                actions = {"rest": rest, "executor": lambda: executor.execute_code_blocks(blocks)}
                return await in_turns(actions, 100, pause=0.004)

    ms = asyncio.run(measure())
    client.delete(f"api/exec/sessions/{session}").raise_for_status()
    return at_most_more("the same block in a kernel by REST", "executor", ms["rest"], ms["executor"], 5)
