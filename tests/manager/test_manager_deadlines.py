"""`within` always returns in time, whatever it waits for does."""

from __future__ import annotations

import asyncio
import time

import pytest

from jupyter_exec_ext.manager import deadlines
from jupyter_exec_ext.manager.deadlines import GivenUp, within


async def test_what_ends_in_time_gives_its_result_or_its_error() -> None:
    async def answer() -> int:
        return 42

    async def fails() -> None:
        raise KeyError("x")

    assert await within(answer(), 1) == 42
    assert await within(answer(), None) == 42
    with pytest.raises(KeyError):
        await within(fails(), 1)


async def test_what_does_not_end_in_time_is_cancelled_and_awaited() -> None:
    cleaned = False

    async def slow() -> None:
        nonlocal cleaned
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            cleaned = True

    with pytest.raises(GivenUp) as caught:
        await within(slow(), 0.05)

    assert cleaned
    assert not caught.value.stuck


async def test_what_swallows_its_cancellation_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "CLEAN_UP", 0.05)
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    before = time.monotonic()
    with pytest.raises(GivenUp) as caught:
        await within(stubborn(), 0.05)

    assert caught.value.stuck
    assert time.monotonic() - before < 1
    release.set()
    await asyncio.sleep(0.01)


async def test_what_is_of_no_more_use_gets_its_grace_and_is_then_cancelled() -> None:
    until = asyncio.get_running_loop().create_future()
    until.set_result(None)

    async def short() -> str:
        await asyncio.sleep(0.05)
        return "done"

    assert await within(short(), None, until=until, grace=1) == "done"
    with pytest.raises(GivenUp):
        await within(asyncio.sleep(60), None, until=until, grace=0.05)
    with pytest.raises(GivenUp):
        await within(asyncio.sleep(60), None, until=until)


async def test_whoever_is_cancelled_while_it_waits_takes_the_work_along() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    waiting = asyncio.create_task(within(work(), None))
    await asyncio.sleep(0.01)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
