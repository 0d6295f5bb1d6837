"""Cancel: queued, starting, running, racing the end, repeated, and with executors that do not hear."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from jupyter_exec_ext.errors import Conflict, NotFound
from jupyter_exec_ext.manager import Patience

SLEEP = "import time\nprint('began', flush=True)\ntime.sleep(60)"


async def ends(it: Any, execution: Any) -> list[Any]:
    return [event async for event in it.manager.events(execution.id) if event.type == "end"]


async def test_a_queued_execution_ends_cancelled_at_once_and_never_runs(house: Any) -> None:
    async with house() as it:
        session = await it.session()
        running = await it.submit(SLEEP, session=session)
        queued = await it.submit(f"open({str(it.root / 'ran')!r}, 'w')", session=session)
        await it.until(running, "began\n")

        assert (await it.manager.cancel(queued.id)).status == "cancelled"

        ended = await it.manager.wait(queued.id, 0)
        assert (ended.status, ended.exit_code, ended.started_at) == ("cancelled", 130, None)
        assert ended.verdict is not None
        assert ended.verdict.cause
        assert (await it.manager.get(running.id)).status == "running"
        await it.manager.cancel(running.id)
        await it.manager.wait(running.id, 20)
        assert (await it.run("print(1)", session=session)).status == "ok"
        assert not (it.root / "ran").exists()
        assert it.manager.queued == 0


async def test_a_running_execution_ends_cancelled_with_its_output(house: Any) -> None:
    async with house() as it:
        running = await it.submit(SLEEP)
        await it.until(running, "began\n")

        await it.manager.cancel(running.id)

        ended = await it.manager.wait(running.id, 20)
        assert (ended.status, ended.exit_code) == ("cancelled", 130)
        assert ended.output.startswith("began\n")
        assert len(await ends(it, running)) == 1


async def test_A14_cancel_twice_changes_nothing_and_cancel_of_an_ended_one_is_a_conflict(house: Any) -> None:
    async with house() as it:
        running = await it.submit(SLEEP)
        await it.until(running, "began\n")

        await it.manager.cancel(running.id)
        again = await it.manager.cancel(running.id)

        assert again.status in ("running", "cancelled")
        ended = await it.manager.wait(running.id, 20)
        assert ended.status == "cancelled"
        with pytest.raises(Conflict, match="has ended"):
            await it.manager.cancel(running.id)
        assert await it.manager.get(running.id) == ended
        with pytest.raises(NotFound):
            await it.manager.cancel("0" * 32)


@pytest.mark.parametrize("delay", [0, 0.005, 0.02, 0.05, 0.1])
async def test_A15_a_cancel_that_races_the_end_leaves_one_status_and_one_end(
    house: Any, delay: float
) -> None:
    async with house() as it:
        session = await it.session()
        submitted = [await it.submit("print(1)", session=session) for _ in range(4)]
        await asyncio.sleep(delay)

        for one in submitted:
            try:
                await it.manager.cancel(one.id)
            except Conflict:
                assert (await it.manager.get(one.id)).ended

        for one in submitted:
            ended = await it.manager.wait(one.id, 20)
            assert ended.status in ("ok", "cancelled")
            (end,) = await ends(it, one)
            assert end.number == ended.last_event
            assert end.data["execution"]["status"] == ended.status


async def test_a_cancel_in_the_moment_of_submission_is_heard(house: Any) -> None:
    async with house() as it:
        session = await it.session()
        for wait in range(5):
            execution = await it.submit(SLEEP, session=session)
            for _ in range(wait):
                await asyncio.sleep(0)

            await it.manager.cancel(execution.id)

            ended = await it.manager.wait(execution.id, 10)
            assert (ended.status, ended.exit_code) == ("cancelled", 130)


async def test_a_cancel_while_the_environment_starts_breaks_the_start_off(
    house: Any, tame: Any, only: Any
) -> None:
    class Slow(tame):  # type: ignore[misc]
        async def start(self) -> None:
            await asyncio.sleep(60)

    async with house(factory=only(Slow)) as it:
        execution = await it.submit("1")
        await asyncio.sleep(0.05)
        before = time.monotonic()

        await it.manager.cancel(execution.id)

        ended = await it.manager.wait(execution.id, 10)
        assert (ended.status, ended.exit_code) == ("cancelled", 130)
        assert time.monotonic() - before < 1
        await it.manager.stop()
        assert it.factory.made[0].stopped


async def test_a_cancel_that_the_executor_misses_at_first_is_repeated(
    house: Any, tame: Any, only: Any
) -> None:
    class Late(tame):  # type: ignore[misc]
        asked = 0

        async def start(self) -> None:
            await super().start()
            self.heard = asyncio.Event()

        async def run(self, blocks: Any, options: Any = None) -> Any:
            await self.heard.wait()
            yield self.ended("cancelled", 130)

        async def cancel(self) -> None:
            self.asked += 1
            if self.asked == 3:
                self.heard.set()

    async with house(factory=only(Late)) as it:
        execution = await it.submit("1")
        await asyncio.sleep(0.05)

        await it.manager.cancel(execution.id)

        assert (await it.manager.wait(execution.id, 10)).status == "cancelled"


async def test_a_cancel_that_the_executor_never_hears_still_ends_it(house: Any, tame: Any, only: Any) -> None:
    class Deaf(tame):  # type: ignore[misc]
        async def run(self, blocks: Any, options: Any = None) -> Any:
            await asyncio.sleep(60)
            yield self.ended()

    async with house(factory=only(Deaf), patience=Patience(cancel=0.3, close=0.1)) as it:
        session = await it.session()
        execution = await it.submit("1", session=session)
        await asyncio.sleep(0.05)

        await it.manager.cancel(execution.id)

        ended = await it.manager.wait(execution.id, 10)
        assert (ended.status, ended.exit_code) == ("cancelled", 130)
        assert ended.verdict.state_kept is False
        assert "did not confirm" in ended.verdict.cause
        later = await it.submit("1", session=session)
        await asyncio.sleep(0.5)
        assert len(it.factory.made) == 2
        assert it.factory.made[0].stopped
        await it.manager.cancel(later.id)


async def test_a_cancelled_run_whose_environment_dies_is_cancelled(house: Any, tame: Any, only: Any) -> None:
    class Dying(tame):  # type: ignore[misc]
        async def start(self) -> None:
            await super().start()
            self.died = asyncio.Event()

        async def run(self, blocks: Any, options: Any = None) -> Any:
            await self.died.wait()
            yield self.ended("lost", None)

        async def cancel(self) -> None:
            self.running = False
            self.died.set()

    async with house(factory=only(Dying)) as it:
        execution = await it.submit("1")
        await asyncio.sleep(0.05)

        await it.manager.cancel(execution.id)

        ended = await it.manager.wait(execution.id, 10)
        assert (ended.status, ended.exit_code) == ("cancelled", 130)
