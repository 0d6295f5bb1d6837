"""Many kernels busy at once: nothing is lost or filed under another one's execution."""

from __future__ import annotations

import asyncio

from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

KERNELS, LINES = 20, 1000


async def test_twenty_kernels_at_once_lose_and_mix_nothing(make: Make) -> None:
    executors = []
    for _ in range(0, KERNELS, 4):
        executors += await asyncio.gather(*(make() for _ in range(4)))
    waits: list[float] = []

    async def probe() -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(0.005)
            waits.append(loop.time() - began - 0.005)

    probing = asyncio.create_task(probe())
    code = "for number in range({}): print({}, number, flush=True)"
    results = await asyncio.gather(
        *(
            executor.execute_code_blocks([CodeBlock(code=code.format(LINES, index))])
            for index, executor in enumerate(executors)
        )
    )
    probing.cancel()

    for index, result in enumerate(results):
        assert result.output == "".join(f"{index} {number}\n" for number in range(LINES))
    assert sorted(waits)[len(waits) // 2] < 1  # it answered all along; the figure is the benchmark's
