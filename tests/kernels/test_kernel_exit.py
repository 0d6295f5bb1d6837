"""A kernel that ends between two blocks: the next one has a fresh kernel. Real kernels."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from jupyter_exec_ext.executors.base import CodeResult, RunOptions
from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.kernels.client import JupyterClient
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

NEXT = "import time; time.sleep(1); print('x' in globals())"


async def run(executor: JupyterCodeExecutor, *codes: str) -> CodeResult:
    blocks = [CodeBlock(code=code) for code in codes]
    return await executor.execute_code_blocks(blocks, RunOptions(timeout=30))


def told(result: CodeResult) -> tuple[object, ...]:
    return result.outcome.status, result.exit_code, result.output


@pytest.mark.parametrize("pause", [0, 0.2, 1])
async def test_the_block_after_exit_has_a_fresh_kernel(make: Make, pause: float) -> None:
    executor = await make()

    ended = await run(executor, "x = 1\nquit()")
    await asyncio.sleep(pause)
    result = await run(executor, NEXT)

    assert told(ended) == ("ok", 0, "")
    assert not ended.outcome.verdict.state_kept
    assert told(result) == ("ok", 0, "False\n")
    assert result.outcome.verdict.state_kept


async def test_so_has_the_next_block_of_the_same_execution(make: Make) -> None:
    executor = await make()
    assert told(await run(executor, "x = 1\nexit()", NEXT)) == ("ok", 0, "False\n")


async def test_an_exit_that_keeps_the_kernel_keeps_it(make: Make) -> None:
    executor = await make()
    ended = await run(executor, "x = 1\nexit(True)")
    assert ended.outcome.verdict.state_kept
    assert told(await run(executor, "print('x' in globals())")) == ("ok", 0, "True\n")


async def test_the_death_of_a_kernel_between_two_blocks_is_not_that_of_the_next(
    make: Make, client: JupyterClient
) -> None:
    executor = await make()
    await run(executor, "x = 1")
    kernel = client.kernel(str(executor.kernel_id))

    os.kill(kernel.provisioner.pid, signal.SIGKILL)
    await asyncio.sleep(0.1)

    assert told(await run(executor, NEXT)) == ("ok", 0, "False\n")


async def test_a_block_under_which_its_kernel_ends_well_has_failed_without_a_code(make: Make) -> None:
    executor = await make()
    result = await run(executor, "import os; os._exit(0)")
    assert told(result) == ("failed", None, "")
    assert "The kernel died with exit code 0" in str(result.outcome.verdict.cause)
