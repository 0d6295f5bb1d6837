"""The slice that connections share: a crowd works in many short turns of the loop, and all in order."""

from __future__ import annotations

import asyncio
import time

from jupyter_exec_ext.kernels import slices
from jupyter_exec_ext.kernels.slices import slice_of


def busy() -> None:
    """Keep the loop for longer than a slice."""
    until = time.monotonic() + 2 * slices.LENGTH
    while time.monotonic() < until:
        pass


async def test_a_crowd_goes_on_one_by_one_in_the_order_of_arrival() -> None:
    shared, order, turns = slice_of(asyncio.get_running_loop()), [], 0

    async def work(number: int) -> None:
        await shared.turn()
        busy()
        order.append((number, turns))

    crowd = [asyncio.create_task(work(number)) for number in range(10)]
    while not all(task.done() for task in crowd):
        await asyncio.sleep(0)
        turns += 1

    assert [number for number, _ in order] == list(range(10))
    assert len({turn for _, turn in order}) == 10


async def test_who_is_cancelled_while_waiting_keeps_nobody_from_going_on() -> None:
    shared = slice_of(asyncio.get_running_loop())
    assert not shared.over()
    busy()
    first, second = (asyncio.create_task(shared.turn()) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()

    await asyncio.wait_for(second, 5)
