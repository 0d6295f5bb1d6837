"""Executors that start late, never end or do not stop: nobody waits for them longer than is said."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from jupyter_exec_ext.errors import EnvironmentFailed
from jupyter_exec_ext.manager import Patience

QUICK = Patience(start=0.3, run=0.3, close=0.3, cancel=0.3, stop=0.3)


@pytest.mark.parametrize("obeys", [True, False])
async def test_an_executor_that_never_ends_is_given_up_after_its_timeout_and_stopped(
    house: Any, tame: Any, only: Any, obeys: bool
) -> None:
    release = asyncio.Event()

    class Endless(tame):  # type: ignore[misc]
        async def run(self, blocks: Any, options: Any = None) -> Any:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    if obeys:
                        raise
            yield self.ended()

    async with house(factory=only(Endless), patience=QUICK) as it:
        session = await it.session()
        before = time.monotonic()

        ended = await it.run("1", timeout=0.2, session=session)

        assert 0.4 < time.monotonic() - before < 5
        assert (ended.status, ended.exit_code) == ("lost", None)
        assert "timeout" in ended.verdict.cause
        await it.true(lambda: it.factory.made[0].stopped)
        release.set()
        again = await it.run("1", timeout=0.2, session=session)
        assert again.status == "ok"


async def test_an_iterator_that_does_not_close_delays_nobody_but_its_session(
    house: Any, tame: Any, only: Any
) -> None:
    class Clinging(tame):  # type: ignore[misc]
        async def run(self, blocks: Any, options: Any = None) -> Any:
            try:
                yield self.ended()
            finally:
                await asyncio.sleep(60)

    async with house(factory=only(Clinging), patience=QUICK) as it:
        before = time.monotonic()

        assert (await it.run("1")).status == "ok"

        assert time.monotonic() - before < 0.25


async def test_a_start_that_never_ends_is_an_environment_error(house: Any, tame: Any, only: Any) -> None:
    class Stuck(tame):  # type: ignore[misc]
        async def start(self) -> None:
            await asyncio.sleep(60)

    async with house(factory=only(Stuck), patience=QUICK) as it:
        ended = await it.run("1")

        assert ended.status == "env_error"
        assert "within 0.3 seconds" in ended.verdict.cause
        with pytest.raises(EnvironmentFailed, match=r"within 0\.3 seconds"):
            await it.session()


@pytest.mark.parametrize("how", ["hangs", "raises"])
async def test_an_executor_that_does_not_stop_cannot_hold_the_server_up(
    house: Any, tame: Any, only: Any, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Sticky(tame):  # type: ignore[misc]
        async def stop(self) -> None:
            if how == "raises":
                raise OSError("busy")
            await asyncio.sleep(60)

    with caplog.at_level(logging.WARNING):
        async with house(factory=only(Sticky), patience=QUICK) as it:
            await it.session()
            await it.run("1")
            before = time.monotonic()

            await it.manager.stop()

            assert time.monotonic() - before < 5
    assert "did not stop" in caplog.text


async def test_a_start_that_takes_longer_than_the_time_limit_is_a_timeout(
    house: Any, tame: Any, only: Any
) -> None:
    class Slow(tame):  # type: ignore[misc]
        async def start(self) -> None:
            await asyncio.sleep(60)

    async with house(factory=only(Slow), patience=Patience(late=0.3)) as it:
        began = time.monotonic()
        ended = await it.run("1", timeout=0.2)
        assert time.monotonic() - began < 3
        assert (ended.status, ended.exit_code) == ("timeout", 124)
        assert "had not started after 0.5 s" in ended.verdict.cause


async def test_a_start_that_was_too_late_for_one_execution_is_there_for_the_next(
    house: Any, tame: Any, only: Any
) -> None:
    starts: list[float] = []
    died = False

    class Slow(tame):  # type: ignore[misc]
        async def start(self) -> None:
            starts.append(time.monotonic())
            await asyncio.sleep(1 if len(starts) > 1 else 0)
            await super().start()

        @property
        def alive(self) -> bool:
            return len(starts) > 1 or not died

    async with house(factory=only(Slow), patience=Patience(late=0.1)) as it:
        session = await it.session(environment="local")
        died = True
        assert (await it.run("1", session=session, timeout=0.1)).status == "timeout"
        await asyncio.sleep(1.2)
        assert (await it.run("1", session=session, timeout=0.1)).status == "ok"
        assert len(starts) == 2
