"""A crowd of requests keeps nobody else waiting."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_exec_ext.handlers.turnstile import Turnstile


async def test_A18_a_crowd_begins_a_few_in_each_turn_of_the_loop_in_the_order_it_came() -> None:
    # given a thousand who come at once
    turnstile, begun = Turnstile(8), list[int]()

    async def begin(number: int) -> None:
        await turnstile.enter()
        begun.append(number)

    crowd = [asyncio.ensure_future(begin(number)) for number in range(1000)]
    # when
    steps, before = [], 0
    while len(begun) < 1000:
        await asyncio.sleep(0)
        steps.append(len(begun) - before)
        before = len(begun)
    await asyncio.gather(*crowd)
    # then
    assert begun == list(range(1000))
    assert max(steps) <= 8
    assert len(steps) < 150


async def test_without_a_crowd_nobody_waits() -> None:
    turnstile = Turnstile(2)
    for _ in range(3):
        for _ in range(2):
            with pytest.raises(StopIteration):  # it did not even pause
                turnstile.enter().send(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_who_gives_up_costs_nobody_a_place() -> None:
    # given
    turnstile = Turnstile(1)
    await turnstile.enter()
    waiting = [asyncio.ensure_future(turnstile.enter()) for _ in range(3)]
    await asyncio.sleep(0)
    # when
    waiting[1].cancel()
    # then
    await asyncio.wait_for(asyncio.gather(waiting[0], waiting[2]), 1)
    assert waiting[1].cancelled()
