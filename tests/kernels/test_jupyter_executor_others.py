"""JupyterCodeExecutor: somebody else uses, restarts or ends the kernel."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.kernels.client import JupyterClient
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make, run, told


async def test_a_restart_by_somebody_else_is_lost_with_its_output(make: Make, client: JupyterClient) -> None:
    executor = await make()
    task = asyncio.create_task(run(executor, "print('on', flush=True)\nimport time; time.sleep(60)"))
    await asyncio.sleep(1)

    await client._multi.restart_kernel(executor.kernel_id, now=True)
    result = await asyncio.wait_for(task, 5)

    assert told(result) == ("lost", None, "on\n")
    assert "restarted by somebody else" in str(result.outcome.verdict.cause)
    assert told(await run(executor, "print(2)")) == ("ok", 0, "2\n")


async def test_a_kernel_shut_down_by_somebody_else_is_lost(make: Make, client: JupyterClient) -> None:
    executor = await make()
    task = asyncio.create_task(run(executor, "import time; time.sleep(60)"))
    await asyncio.sleep(1)

    await client._multi.shutdown_kernel(executor.kernel_id, now=True)
    result = await asyncio.wait_for(task, 5)

    assert result.outcome.status == "lost"
    assert told(await run(executor, "print(2)")) == ("ok", 0, "2\n")


async def test_a_restart_between_two_runs_is_the_loss_of_neither(make: Make, client: JupyterClient) -> None:
    executor = await make()
    await run(executor, "x = 1")

    await client._multi.restart_kernel(executor.kernel_id, now=True)
    await asyncio.sleep(1)

    for _ in range(2):
        result = await run(executor, "import time; time.sleep(1); print('x' in globals())")
        assert told(result) == ("ok", 0, "False\n")


@pytest.mark.parametrize(("rest", "pause"), [(0, 0), (1, 0), (1, 0.2)])
async def test_a_run_right_after_a_restart_by_somebody_else_has_a_prepared_kernel(
    make: Make, client: JupyterClient, rest: float, pause: float
) -> None:
    executor = await make()
    await run(executor, "x = 1")
    await asyncio.sleep(rest)  # the connection looks after the kernel for a moment after a run

    await client._multi.restart_kernel(executor.kernel_id, now=True)
    await asyncio.sleep(pause)

    code = "import sys, threading; print('x' in globals(), sys.stdout.flush.__name__)"
    assert told(await run(executor, code)) == ("ok", 0, "False empty_and_flush\n")
    late = "import time; threading.Thread(target=lambda: [time.sleep(.5), print('late')]).start()"
    assert told(await run(executor, late)) == ("ok", 0, "")
    assert told(await run(executor, "time.sleep(1.5); print('mine')")) == ("ok", 0, "mine\n")


async def test_an_attached_kernel_shares_its_state_and_lives_on(make: Make, client: JupyterClient) -> None:
    own = await make()
    await run(own, "x = 5")
    attached = await make(kernel_id=own.kernel_id)

    assert (await run(attached, "x")).output == "5\n"
    assert "In [1]" not in (await run(attached, "1/0")).output
    await attached.stop()

    assert (await run(own, "x")).output == "5\n"
    count = (await run(own, "get_ipython().execution_count")).output
    assert count == "4\n"  # IPython is one ahead in a cell; what was attached has not counted


async def test_the_wait_for_a_kernel_that_others_keep_busy_is_told_and_counted_apart(
    make: Make, client: JupyterClient
) -> None:
    own = await make()
    attached = await make(kernel_id=own.kernel_id)
    others = asyncio.create_task(run(own, "import time; time.sleep(2)\nx = 1"))
    # another client of the same kernel: its messages are nobody's request here
    attached.kernel.client, private = JupyterClient(client._multi), attached.kernel.client
    await attached.kernel.client.connect(own.kernel_id)
    await asyncio.sleep(0.5)

    events = [
        event async for event in attached.run([CodeBlock(code="x")], RunOptions(timeout=1, allow_stdin=False))
    ]
    await others
    await attached.kernel.client.close()
    attached.kernel.client = private

    assert [event.data["status"] for event in events if event.type == "status"] == ["queued", "running"]
    outcome = events[-1].data["outcome"]
    assert outcome.status == "ok", outcome
    assert outcome.verdict.wall_seconds < 1


async def test_what_waits_for_a_busy_kernel_is_cancelled_without_having_run(
    make: Make, client: JupyterClient
) -> None:
    own = await make()
    others = asyncio.create_task(run(own, "import time; time.sleep(2)"))
    await asyncio.sleep(0.5)
    second = JupyterClient(client._multi)
    attached = JupyterCodeExecutor(own.environment, own.workspace, client=second, kernel_id=own.kernel_id)
    await attached.start()
    task = asyncio.create_task(run(attached, "y = 1"))
    await asyncio.sleep(0.5)

    await attached.cancel()
    result = await asyncio.wait_for(task, 1)
    await second.close()

    assert result.outcome.status == "cancelled"
    assert (await others).outcome.status == "ok", (await others).output  # nobody interrupted it
    assert (await run(own, "'y' in globals()")).output == "False\n"
