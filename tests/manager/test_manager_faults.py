"""Executors that do what they must not: no execution hangs, each ends once and says why."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jupyter_exec_ext.errors import EnvironmentFailed, InvalidRequest, SessionLost
from jupyter_exec_ext.events import Event, Outcome
from jupyter_exec_ext.models import Verdict


@pytest.mark.parametrize(
    ("error", "status", "cause"),
    [
        (EnvironmentFailed("The disk is full; make room."), "env_error", "The disk is full; make room."),
        (SessionLost("The container was removed."), "lost", "The container was removed."),
        (InvalidRequest("There is no such option."), "env_error", "There is no such option."),
        (KeyError("x"), "env_error", "KeyError"),
        (SystemExit(3), "env_error", "exit"),
        (asyncio.CancelledError(), "env_error", "cancelled"),
        (asyncio.TimeoutError(), "env_error", "TimeoutError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
@pytest.mark.parametrize("where", ["start", "run", "after some output"])
async def test_what_an_executor_raises_becomes_the_end(
    house: Any, tame: Any, only: Any, error: BaseException, status: str, cause: str, where: str
) -> None:
    broken = True

    class Raising(tame):  # type: ignore[misc]
        async def start(self) -> None:
            await super().start()
            if broken and where == "start":
                raise error

        async def run(self, blocks: Any, options: Any = None) -> Any:
            if where == "after some output":
                yield Event.stream("stdout", "so far")
            if broken:
                raise error
            yield self.ended()

    async with house(factory=only(Raising)) as it:
        ended = await it.run("1")
        assert ended.status == status
        assert cause in ended.verdict.cause
        assert ended.output == ("so far" if where == "after some output" else "")
        assert ended.exit_code is None
        # and the next run works
        broken = False
        assert (await it.run("1")).status == "ok"


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        "text",
        {"type": "end"},
        Event("end", {}),
        Event("end", {"outcome": None}),
        Event("end", {"outcome": Outcome("fine", 0, Verdict())}),
        Event("end", {"outcome": Outcome("running", 0, Verdict())}),
        Event("end", {"outcome": Outcome("ok", "0", Verdict())}),  # type: ignore[arg-type]
        Event("end", {"outcome": Outcome("ok", 0, None)}),  # type: ignore[arg-type]
        Event("end", {"outcome": Outcome("ok", 0, Verdict(), code_files=[1])}),  # type: ignore[list-item]
        Event("end", {"outcome": Outcome("ok", 0, Verdict(), output_files=None)}),  # type: ignore[arg-type]
        Event("stream", None),  # type: ignore[arg-type]
    ],
    ids=repr,
)
async def test_garbage_from_an_executor_ends_the_run_and_the_executor(
    house: Any, tame: Any, only: Any, garbage: Any
) -> None:
    class Babbling(tame):  # type: ignore[misc]
        async def run(self, blocks: Any, options: Any = None) -> Any:
            yield garbage
            yield self.ended()

    async with house(factory=only(Babbling)) as it:
        session = await it.session()

        ended = await it.run("1", session=session)

        assert ended.status == "env_error"
        assert ended.verdict.cause
        assert it.factory.made[0].stopped


async def test_an_iterator_that_ends_without_an_end_is_lost(house: Any, tame: Any, only: Any) -> None:
    class Silent(tame):  # type: ignore[misc]
        async def run(self, blocks: Any, options: Any = None) -> Any:
            yield Event.stream("stdout", "so far")

    async with house(factory=only(Silent)) as it:
        ended = await it.run("1")

        assert (ended.status, ended.output) == ("lost", "so far")
        assert ended.verdict.cause


async def test_what_comes_after_the_end_is_not_recorded(house: Any, tame: Any, only: Any) -> None:
    closed = False

    class Talkative(tame):  # type: ignore[misc]
        async def run(self, blocks: Any, options: Any = None) -> Any:
            nonlocal closed
            try:
                yield self.ended("failed", 3)
                yield Event.stream("stdout", "more")
                yield self.ended()
            finally:
                closed = True

    async with house(factory=only(Talkative)) as it:
        ended = await it.run("1")

        assert (ended.status, ended.exit_code, ended.output) == ("failed", 3, "")
        await asyncio.sleep(0.05)
        assert closed


async def test_an_iterator_that_is_no_generator_will_do(house: Any, tame: Any, only: Any) -> None:
    class Events:
        def __init__(self, events: list[Event]) -> None:
            self.events = events

        def __aiter__(self) -> Events:
            return self

        async def __anext__(self) -> Event:
            if not self.events:
                raise StopAsyncIteration
            return self.events.pop(0)

    class Plain(tame):  # type: ignore[misc]
        def run(self, blocks: Any, options: Any = None) -> Any:
            return Events([Event.stream("stdout", "1\n"), self.ended()])

    async with house(factory=only(Plain)) as it:
        assert (await it.run("1")).output == "1\n"


async def test_an_alive_that_raises_counts_as_dead(house: Any, tame: Any, only: Any) -> None:
    class Unsure(tame):  # type: ignore[misc]
        @property
        def alive(self) -> bool:
            raise RuntimeError("who knows")

    async with house(factory=only(Unsure)) as it:
        session = await it.session()

        assert it.manager.get_session(session).status == "dead"
        assert (await it.run("1", session=session)).status == "ok"


async def test_an_observer_can_break_nothing(house: Any) -> None:
    calls = []

    def breaks(kind: str, action: str, what: Any) -> None:
        calls.append((kind, action))
        what.status = "nonsense"
        raise asyncio.CancelledError if len(calls) % 2 else ValueError

    async with house() as it:
        it.manager.observers.append(breaks)
        users = []
        it.manager.observers.append(
            lambda kind, action, what: kind == "execution" and users.append(it.manager.user_of(what.id))
        )
        session = await it.session()

        ended = await it.run("print(1)", session=session)

        assert (ended.status, ended.output) == ("ok", "1\n")
        assert it.manager.get_session(session).status in ("idle", "busy")
        assert ("execution", "ended") in calls
        assert users == ["", "", ""]


async def test_a_factory_that_fails_is_an_environment_error(house: Any, only: Any) -> None:
    def broken() -> Any:
        raise ImportError("no such executor")

    async with house(factory=only(broken)) as it:
        ended = await it.run("1")

        assert ended.status == "env_error"
        assert "no such executor" in ended.verdict.cause
        with pytest.raises(EnvironmentFailed, match="no such executor"):
            await it.session()


async def test_an_environment_that_is_away_ends_the_execution_and_says_why(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(name: str) -> Any:
        raise EnvironmentFailed("The environment is still being prepared; wait a moment.")

    async with house() as it:
        monkeypatch.setattr(it.registry, "get", away)

        ended = await it.run("1")

        assert (ended.status, ended.started_at) == ("env_error", None)
        assert "prepared" in ended.verdict.cause
        assert [event.type async for event in it.manager.events(ended.id)] == ["status", "end"]


async def test_that_output_was_dropped_is_in_the_record_at_once_and_stays_there(
    house: Any, tame: Any, only: Any
) -> None:
    class Dropping(tame):  # type: ignore[misc]
        async def run(self, blocks: Any, options: Any = None) -> Any:
            yield Event("progress", {"label": "dropped", "current": 1, "total": None}, truncated=True)
            yield Event.stream("stdout", "seen")
            await asyncio.sleep(0.2)
            raise SessionLost("It was lost.")

    async with house(factory=only(Dropping)) as it:
        execution = await it.submit("1")
        await it.until(execution, "seen")
        running = await it.log.get(execution.id)
        ended = await it.manager.wait(execution.id, 5)
        assert (running.status, running.truncated, running.verdict) == ("running", True, None)
        assert (ended.status, ended.truncated, ended.verdict.limits_hit) == ("lost", True, ["output"])
