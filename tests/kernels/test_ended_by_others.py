"""Somebody else ends or restarts a kernel, asking it first: what runs in it is interrupted, and is lost."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.executors.sessionkernel import ANOTHER
from jupyter_exec_ext.kernels.client import JupyterClient

from .conftest import Make, run, told

SLEEP = "print('on', flush=True)\nimport time; time.sleep(60)"
CATCHES = (
    "print('on', flush=True)\nimport time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('caught')"
)


async def end_by_another(client: JupyterClient, executor: JupyterCodeExecutor, how: str) -> None:
    """Do what JupyterLab's menu does: the kernel is interrupted, and asked to end."""
    await (client._multi.restart_kernel if how == "restart" else client._multi.shutdown_kernel)(
        executor.kernel_id
    )


@pytest.mark.parametrize("how", ["restart", "shutdown"])
@pytest.mark.parametrize("code", [SLEEP, CATCHES])
async def test_what_runs_then_is_lost_however_it_ends(
    make: Make, client: JupyterClient, how: str, code: str
) -> None:
    # given
    executor = await make()
    task = asyncio.create_task(run(executor, code))
    await asyncio.sleep(1)
    # when
    await end_by_another(client, executor, how)
    result = await asyncio.wait_for(task, 5)
    # then
    verdict = result.outcome.verdict
    assert (result.outcome.status, result.exit_code, verdict.state_kept) == ("lost", None, False)
    assert "was shut down" in str(verdict.cause) or "restarted by somebody else" in str(verdict.cause)
    assert result.output.startswith("on\n")
    assert told(await run(executor, "print(2)")) == ("ok", 0, "2\n")


@pytest.mark.parametrize("how", ["restart", "shutdown"])
async def test_a_block_that_finds_its_variables_gone_is_told_why(
    make: Make, client: JupyterClient, how: str
) -> None:
    # given
    executor = await make()
    assert (await run(executor, "x = 1")).outcome.verdict.cause is None
    # when: between two blocks, as a culler does
    await end_by_another(client, executor, how)
    failed, following = await run(executor, "x"), await run(executor, "print(2)")
    # then
    assert "NameError" in failed.output
    assert str(failed.outcome.verdict.cause).endswith(ANOTHER)
    assert told(following) == ("ok", 0, "2\n")
    assert following.outcome.verdict.cause is None


async def test_a_restart_that_was_asked_for_is_no_news(make: Make) -> None:
    executor = await make()
    await run(executor, "x = 1")
    await executor.restart()
    assert (await run(executor, "print(1)")).outcome.verdict.cause is None


async def test_a_death_is_told_once(make: Make) -> None:
    executor = await make()
    died = await run(executor, "import os; os._exit(3)")
    following = await run(executor, "print(1)")
    assert died.outcome.status == "failed"
    assert (following.outcome.status, following.outcome.verdict.cause) == ("ok", None)


async def test_a_block_in_an_attached_kernel_that_died_before_it_is_not_blamed(
    make: Make, client: JupyterClient
) -> None:
    # given
    own = await make()
    attached = await make(kernel_id=own.kernel_id)
    await run(attached, "x = 1")
    # when
    process = client.kernel(own.kernel_id or "").provisioner.process
    process.kill()
    process.wait()
    result = await run(attached, "print(1)")
    # then
    assert (result.outcome.status, result.exit_code, result.output) == ("env_error", None, "")
    assert "Nothing of the block ran" in str(result.outcome.verdict.cause)
    # and it heals with the kernel
    await client._multi.restart_kernel(own.kernel_id, now=True)
    assert told(await run(attached, "print(1)")) == ("ok", 0, "1\n")
