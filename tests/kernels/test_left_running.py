"""A cell that the kernel goes on with when its time is up: the next block waits for it, or it is ended."""

from __future__ import annotations

import asyncio

from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make, run, told

GOES_ON = "import time\nfor _ in range(30): time.sleep(.1)\nx = 'done'"


async def test_the_next_block_waits_until_it_has_ended_and_has_its_own_time(make: Make) -> None:
    # given
    executor = await make(on_timeout="keep")
    assert (await run(executor, GOES_ON, timeout=0.5)).outcome.status == "timeout"
    # when
    events = [event async for event in executor.run([CodeBlock(code="print(x)")], RunOptions(timeout=1))]
    # then
    assert [event.data["status"] for event in events if event.type == "status"] == ["queued", "running"]
    assert [event.data["text"] for event in events if event.type == "stream"] == ["done\n"]
    outcome = events[-1].data["outcome"]
    assert (outcome.status, outcome.verdict.wall_seconds < 1) == ("ok", True)


async def test_an_interrupt_of_the_session_ends_it(make: Make) -> None:
    executor = await make(on_timeout="keep")
    await run(executor, GOES_ON.replace("30", "600"), timeout=0.5)
    waiting = asyncio.create_task(run(executor, "print('x' in globals())"))
    await asyncio.sleep(0.5)
    assert not waiting.done()

    await executor.interrupt()

    assert told(await asyncio.wait_for(waiting, 5)) == ("ok", 0, "False\n")
    await executor.interrupt()  # nothing is left to be interrupted
    assert told(await run(executor, "print(1)")) == ("ok", 0, "1\n")


async def test_a_cancel_of_what_waits_for_it_leaves_it_alone(make: Make) -> None:
    executor = await make(on_timeout="keep")
    await run(executor, GOES_ON, timeout=0.5)
    waiting = asyncio.create_task(run(executor, "x = 'other'"))
    await asyncio.sleep(0.3)

    await executor.cancel()

    assert (await asyncio.wait_for(waiting, 1)).outcome.status == "cancelled"
    assert told(await run(executor, "print(x)")) == ("ok", 0, "done\n")


async def test_who_waits_for_it_is_told_when_the_kernel_dies(make: Make) -> None:
    executor = await make(on_timeout="keep")
    await run(executor, "import time, os; time.sleep(2); os._exit(1)", timeout=0.5)
    result = await asyncio.wait_for(run(executor, "print(1)"), 10)
    assert told(result) == ("ok", 0, "1\n") or result.outcome.status in ("failed", "lost")
    assert told(await run(executor, "print(2)")) == ("ok", 0, "2\n")


async def test_an_interrupt_that_is_ignored_leaves_the_next_block_waiting(make: Make) -> None:
    executor = await make(on_timeout="interrupt", interrupt_grace=0.2)
    code = """
import time
until = time.time() + 3
while time.time() < until:
    try: time.sleep(1)
    except KeyboardInterrupt: pass
"""
    stopped = await run(executor, code, timeout=0.5)
    assert "still busy" in str(stopped.outcome.verdict.cause)
    assert told(await run(executor, "print(2)", timeout=1)) == ("ok", 0, "2\n")
