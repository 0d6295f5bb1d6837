"""Turns: serial within a session, parallel across sessions, bounded and fair."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from jupyter_exec_ext.errors import QueueFull

STAMP = "import time; print(time.monotonic()); time.sleep({}); print(time.monotonic())"


def spans(executions: list[Any]) -> list[tuple[float, float]]:
    return sorted(tuple(map(float, execution.output.split())) for execution in executions)  # type: ignore[misc]


async def test_executions_of_one_session_run_one_after_the_other_in_order(house: Any) -> None:
    async with house() as it:
        session = await it.session()
        submitted = [await it.submit(f"print({n})\n" + STAMP.format(0.02), session=session) for n in range(5)]

        ended = [await it.manager.wait(one.id, 20) for one in submitted]

        lines = [one.output.split() for one in ended]
        assert [line[0] for line in lines] == ["0", "1", "2", "3", "4"]
        times = [float(time) for line in lines for time in line[1:]]
        assert times == sorted(times)


async def test_executions_of_two_sessions_run_at_the_same_time(house: Any) -> None:
    async with house() as it:
        sessions = [await it.session(), await it.session()]
        submitted = [await it.submit(STAMP.format(0.5), session=session) for session in sessions]

        (_, first_end), (second_start, _) = spans([await it.manager.wait(one.id, 20) for one in submitted])

        assert second_start < first_end


async def test_no_more_than_max_running_run_at_once(house: Any, tame: Any, only: Any) -> None:
    most = now = 0

    class Counting(tame):  # type: ignore[misc]
        async def run(self, blocks: Any, options: Any = None) -> Any:
            nonlocal most, now
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.01)
            now -= 1
            yield self.ended()

    async with house(max_running=3, factory=only(Counting)) as it:
        submitted = [await it.submit("1") for _ in range(20)]
        assert (it.manager.running, it.manager.queued) == (3, 17)

        ended = [await it.manager.wait(one.id, 20) for one in submitted]

        assert {one.status for one in ended} == {"ok"}
        assert most == 3


async def test_a_session_with_a_long_queue_does_not_keep_another_one_waiting(
    house: Any, tame: Any, only: Any
) -> None:
    async with house(max_running=1, factory=only(tame)) as it:
        greedy, modest = await it.session(), await it.session()
        many = [await it.submit("1", session=greedy) for _ in range(20)]
        one = await it.submit("1", session=modest)

        await it.manager.wait(one.id, 20)

        assert (await it.manager.get(many[-1].id)).status == "queued"
        assert (await it.manager.wait(many[-1].id, 20)).status == "ok"


async def test_A18_a_thousand_at_once_queue_up_to_the_limit_and_what_was_accepted_ends(
    house: Any, tame: Any, only: Any
) -> None:
    async with house(max_queued=200, max_running=8, factory=only(tame)) as it:
        answers = await asyncio.gather(*(it.submit("1") for _ in range(1000)), return_exceptions=True)

        accepted = [one for one in answers if not isinstance(one, BaseException)]
        refused = [one for one in answers if isinstance(one, BaseException)]
        assert {type(one) for one in refused} == {QueueFull}
        assert len(accepted) >= 200
        ended = [await it.manager.wait(one.id, 30) for one in accepted]
        assert {one.status for one in ended} == {"ok"}
        assert len(await it.manager.list_executions(limit=1000)) == len(accepted)
        # and then there is room again
        assert (await it.run("1")).status == "ok"


async def test_with_no_queue_what_can_run_at_once_is_still_taken(house: Any) -> None:
    async with house(max_queued=0, max_running=1) as it:
        first = await it.submit("import time; time.sleep(0.3)")

        with pytest.raises(QueueFull, match="try again later"):
            await it.submit("1")

        assert (await it.manager.wait(first.id, 20)).status == "ok"
        # its place is free again once its session has gone
        deadline = time.monotonic() + 5
        while True:
            try:
                assert (await it.run("print(1)")).output == "1\n"
                break
            except QueueFull:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)


async def test_the_code_that_waits_is_bounded_in_bytes(house: Any, tame: Any, only: Any) -> None:
    async with house(max_queued_bytes=10_000, max_running=1, factory=only(tame)) as it:
        first = await it.submit("#" * 6000)

        with pytest.raises(QueueFull, match="code"):
            await it.submit("#" * 6000)

        await it.manager.wait(first.id, 20)
        assert (await it.run("#" * 6000)).status == "ok"


async def test_variables_and_input_that_wait_are_bounded_as_code_is(house: Any, tame: Any, only: Any) -> None:
    async with house(max_queued_bytes=10_000, max_running=1, factory=only(tame)) as it:
        first = await it.submit("1", env={"A": "x" * 6000})

        for more in ({"env": {"A": "x" * 6000}}, {"stdin": "x" * 6000}):
            with pytest.raises(QueueFull, match="code"):
                await it.submit("1", **more)

        await it.manager.wait(first.id, 20)


async def test_the_manager_adds_less_than_2_ms_to_the_executor(house: Any, tame: Any, only: Any) -> None:
    async with house(factory=only(tame)) as it:
        session = await it.session()
        await it.run("1", session=session)
        taken = []
        for _ in range(100):
            before = time.perf_counter()
            await it.run("1", session=session)
            taken.append(time.perf_counter() - before)

        assert sorted(taken)[50] < 0.002
