"""Kernels: a block in one that runs, beside a bare client of it; and twenty that print at once."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from typing import Any

from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .timing import Row, at_most, in_turns

KERNELS, LINES = 20, 1000
PRINTS = f"for number in range({LINES}): print(number)"


async def kernel_rows() -> list[Row]:
    """All rows of this file."""
    with tempfile.TemporaryDirectory() as folder:
        environment = JupyterCodeExecutor.default_environment()
        async with JupyterCodeExecutor(environment, folder) as executor:
            bare = await _bare_client(executor)
            actions = {"executor": lambda: _block(executor, "print(1)"), "client": lambda: _round_trip(bare)}
            ms = await in_turns(actions, 100, pause=0.004)
            bare.stop_channels()
            waits = await _crowd(executor, folder)
    return [
        at_most("trivial block in a running kernel", "jupyter_client", ms["executor"], ms["client"], 1.25),
        Row("event loop p99, 20 kernels print 1,000 lines", "-", waits, 0.0, "at most 20 ms", waits <= 20),
    ]


async def _block(executor: JupyterCodeExecutor, code: str) -> None:
    result = await executor.execute_code_blocks([CodeBlock(code=code)])
    if result.outcome.status != "ok":
        raise SystemExit(f"{code!r} ended {result.outcome}")


async def _bare_client(executor: JupyterCodeExecutor) -> Any:
    manager = executor.client._multi.get_kernel(executor.kernel_id)
    session = manager.session.clone()
    session.session = "bare"
    client = manager.client(session=session)
    client.start_channels(hb=False)
    await client.wait_for_ready()
    return client


async def _round_trip(client: Any) -> None:
    """One request, and both of its ends: the kernel's idle, and the reply."""
    request = client.execute("print(1)")
    idle = False
    while not idle:
        message = await client.get_iopub_msg()
        mine = message["parent_header"].get("msg_id") == request
        idle = mine and message["content"].get("execution_state") == "idle"
    while (await client.get_shell_msg())["parent_header"].get("msg_id") != request:
        pass


async def _crowd(executor: JupyterCodeExecutor, folder: str) -> float:
    """Milliseconds that the event loop is late, at most, in 99 of 100 looks."""
    async with contextlib.AsyncExitStack() as stack:
        kernels = [
            await stack.enter_async_context(
                JupyterCodeExecutor(executor.environment, folder, client=executor.client)
            )
            for _ in range(KERNELS)
        ]
        late: list[float] = []
        watching = asyncio.create_task(_watch(late))
        await asyncio.gather(*(_block(kernel, PRINTS) for kernel in kernels))
        watching.cancel()
    return sorted(late)[len(late) * 99 // 100] * 1000


async def _watch(late: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(0.002)
        late.append(loop.time() - began - 0.002)
