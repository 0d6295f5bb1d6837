"""Kernels: a block in one that runs, beside a bare client of it; and twenty that print at once."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any

from jupyter_client.multikernelmanager import AsyncMultiKernelManager

from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.kernels.client import JupyterClient
from jupyter_exec_ext.models import CodeBlock

from .timing import Row, alone, at_most, in_turns

KERNELS, LINES, ROUNDS = 20, 1000, 10
#: Seconds between two looks at the event loop.
LOOK = 0.002
# IPython's kernels join what is printed within 0.2 s, so that the first one is a few messages.
PRINTS = f"for number in range({LINES}): print(number)"
FLUSHED = f"for number in range({LINES}): print(number, flush=True)"
PRINTED = "".join(f"{number}\n" for number in range(LINES))


async def kernel_rows() -> list[Row]:
    """All rows of this file."""
    with tempfile.TemporaryDirectory() as folder:
        environment = JupyterCodeExecutor.default_environment()
        async with (
            _client(Path(folder, "stderr")) as client,
            JupyterCodeExecutor(environment, folder, client=client) as executor,
        ):
            bare = await _bare_client(executor)
            actions = {"executor": lambda: _block(executor, "print(1)"), "client": lambda: _round_trip(bare)}
            ms = await in_turns(actions, 100, pause=0.004)
            bare.stop_channels()
            printing, flushing = await _crowd(executor, folder)
    return [
        at_most("trivial block in a running kernel", "jupyter_client", ms["executor"], ms["client"], 1.25),
        alone(f"event loop p99, {KERNELS} kernels print {LINES:,} lines", printing, 20),
        alone("the same, each line a message of its own", flushing, None),
    ]


class _Manager(AsyncMultiKernelManager):
    """Its kernels' stderr goes to a file: each of them warns there that it does not encrypt."""

    errors: IO[str]

    async def start_kernel(self, **options: Any) -> str:
        return str(await super().start_kernel(stderr=self.errors, **options))


@contextlib.asynccontextmanager
async def _client(log: Path) -> AsyncIterator[JupyterClient]:
    manager = _Manager()
    with log.open("w") as manager.errors:
        client = JupyterClient(manager)
        try:
            yield client
        except BaseException:
            print(log.read_text()[-5000:])
            raise
        finally:
            await client.close()
            await manager.shutdown_all(now=True)


async def _block(executor: JupyterCodeExecutor, code: str) -> str:
    result = await executor.execute_code_blocks([CodeBlock(code=code)])
    if result.outcome.status != "ok":
        raise SystemExit(f"{code!r} ended {result.outcome}")
    return result.output


async def _bare_client(executor: JupyterCodeExecutor) -> Any:
    manager = executor.kernel.client._multi.get_kernel(executor.kernel_id)
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


async def _crowd(executor: JupyterCodeExecutor, folder: str) -> list[float]:
    """Milliseconds that the event loop is late, at most, in 99 of 100 looks: printing, and flushing."""
    async with contextlib.AsyncExitStack() as stack:
        kernels = [
            await stack.enter_async_context(
                JupyterCodeExecutor(executor.environment, folder, client=executor.kernel.client)
            )
            for _ in range(KERNELS)
        ]
        return [await _lateness(kernels, PRINTS, ROUNDS), await _lateness(kernels, FLUSHED, 2)]


async def _lateness(kernels: list[JupyterCodeExecutor], code: str, rounds: int) -> float:
    late: list[float] = []
    for _ in range(rounds):
        watching = asyncio.create_task(_watch(late))
        outputs = await asyncio.gather(*(_block(kernel, code) for kernel in kernels))
        watching.cancel()
        if any(output != PRINTED for output in outputs):
            raise SystemExit(f"{code!r} lost, or mixed, what was printed")
        await asyncio.sleep(0.3)  # what has ended comes to rest, unwatched
    return sorted(late)[len(late) * 99 // 100] * 1000


async def _watch(late: list[float]) -> None:
    """Look at even intervals, as others come: in a long stall there are more looks than in a short one."""
    loop = asyncio.get_running_loop()
    due = loop.time() + LOOK
    while True:
        await asyncio.sleep(max(0.0, due - loop.time()))
        now = loop.time()
        while due <= now:
            late.append(now - due)
            due += LOOK
