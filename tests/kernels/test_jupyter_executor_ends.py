"""JupyterCodeExecutor: timeouts, cancelling and kernels that die, each said, and the next run works."""

from __future__ import annotations

import asyncio
import time

import pytest

from jupyter_exec_ext.kernels.client import JupyterClient

from .conftest import Make, run, told

SWALLOW = "import time\nwhile True:\n    try: time.sleep(10)\n    except KeyboardInterrupt: pass"


async def test_the_timeout_is_wall_clock_also_for_a_cell_that_prints(make: Make) -> None:
    executor = await make()
    await run(executor, "x = 1")
    began = time.monotonic()

    result = await run(
        executor, "import time\nwhile True: print('.', flush=True); time.sleep(0.05)", timeout=1
    )

    assert time.monotonic() - began < 3
    assert (result.outcome.status, result.exit_code) == ("timeout", 124)
    assert result.output.startswith(".\n.\n")
    assert result.outcome.verdict.state_kept
    assert "Timeout" in str(result.outcome.verdict.cause)
    assert (await run(executor, "x")).output == "1\n"


async def test_a_kernel_that_ignores_the_interrupt_is_restarted(make: Make) -> None:
    executor = await make(interrupt_grace=0.5)
    await run(executor, "x = 1")
    began = time.monotonic()

    result = await run(executor, SWALLOW, timeout=1)

    assert time.monotonic() - began < 6
    assert (result.outcome.status, result.exit_code) == ("timeout", 124)
    assert not result.outcome.verdict.state_kept
    assert "restarted" in str(result.outcome.verdict.cause)
    assert (await run(executor, "'x' in globals()")).output == "False\n"


@pytest.mark.parametrize("policy", ["interrupt", "keep"])
async def test_by_policy_it_is_not_restarted(make: Make, client: JupyterClient, policy: str) -> None:
    executor = await make(interrupt_grace=0.2, on_timeout=policy)
    code = SWALLOW if policy == "interrupt" else "import time; time.sleep(3); x = 5"

    result = await run(executor, code, timeout=0.5)

    assert result.outcome.status == "timeout"
    assert "restarted" not in str(result.outcome.verdict.cause)
    if policy == "keep":
        assert (await run(executor, "x")).output == "5\n"


async def test_cancel_interrupts_and_the_state_is_kept(make: Make) -> None:
    executor = await make()
    await run(executor, "x = 1")
    task = asyncio.create_task(run(executor, "import time\nprint('on', flush=True)\ntime.sleep(60)"))
    await asyncio.sleep(1)

    await executor.cancel()
    await executor.cancel()
    result = await asyncio.wait_for(task, 5)

    assert (result.outcome.status, result.exit_code) == ("cancelled", 130)
    assert result.output.startswith("on\n")
    assert result.outcome.verdict.state_kept
    assert (await run(executor, "x")).output == "1\n"


async def test_a_kernel_that_dies_is_said_and_started_again(make: Make) -> None:
    executor = await make()
    began = time.monotonic()

    result = await run(executor, "print('last', flush=True)\nimport os, time; time.sleep(.2); os._exit(1)")

    assert time.monotonic() - began < 5
    assert told(result) == ("failed", 1, "last\n")
    assert "The kernel died" in str(result.outcome.verdict.cause)
    assert not result.outcome.verdict.state_kept
    assert told(await run(executor, "print(2)")) == ("ok", 0, "2\n")


async def test_a_kernel_killed_by_a_signal_names_it(make: Make) -> None:
    executor = await make("faulty")
    result = await run(executor, "die 9")
    assert told(result) == ("failed", 137, "last words\n")
    assert result.outcome.verdict.signal == "SIGKILL"


async def test_nothing_is_kept_of_a_kernel_that_is_gone(make: Make, client: JupyterClient) -> None:
    executor = await make()
    await run(executor, "1")
    await executor.stop()
    connections = client._connections
    assert (connections._made, connections._locks) == ({}, {})
