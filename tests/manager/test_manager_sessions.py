"""Sessions: made, used, and ended with what is in them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest
from house import SLEEP

from jupyter_exec_ext.errors import (
    Conflict,
    EnvironmentFailed,
    ExecError,
    NotFound,
)
from jupyter_exec_ext.models import SessionRequest


async def test_a_session_is_idle_then_busy_then_idle_then_gone(house: Any) -> None:
    async with house() as it:
        (it.root / "sub").mkdir()
        session = await it.manager.create_session(SessionRequest(path="sub/", name="mine"))
        assert (session.status, session.environment, session.path, session.name) == (
            "idle",
            "local",
            "sub",
            "mine",
        )

        running = await it.submit(SLEEP, session=session.id)
        await it.until(running, "began\n")
        assert it.manager.get_session(session.id).status == "busy"
        assert [one.id for one in it.manager.list_sessions()] == [session.id]
        await it.manager.cancel(running.id)
        await it.manager.wait(running.id, 20)
        assert it.manager.get_session(session.id).status == "idle"
        assert it.manager.get_session(session.id).last_activity > session.last_activity

        await it.manager.delete_session(session.id)

        assert it.manager.list_sessions() == []
        for gone in (it.manager.delete_session, it.manager.restart_session, it.manager.interrupt_session):
            with pytest.raises(NotFound):
                await gone(session.id)


async def test_code_runs_in_the_sessions_folder(house: Any) -> None:
    async with house() as it:
        (it.root / "sub").mkdir()
        session = await it.session(path="sub")

        in_session = await it.run("import os; print(os.getcwd())", session=session)
        alone = await it.run("import os; print(os.getcwd())", path="sub")
        at_root = await it.run("import os; print(os.getcwd())")

        assert in_session.output.strip() == alone.output.strip() == str(it.root / "sub")
        assert at_root.output.strip() == str(it.root)


async def test_an_execution_without_a_session_gets_one_for_as_long_as_it_runs(house: Any) -> None:
    async with house() as it:
        told: list[tuple[str, str]] = []
        it.manager.observers.append(lambda kind, action, what: told.append((kind, f"{action} {what.status}")))
        execution = await it.submit(SLEEP)
        assert execution.session is None
        await it.until(execution, "began\n")
        (session,) = it.manager.list_sessions()
        assert (await it.manager.get(execution.id)).session == session.id
        with pytest.raises(Conflict, match="start one that stays"):
            await it.submit("1", session=session.id)

        await it.manager.cancel(execution.id)
        await it.manager.wait(execution.id, 20)

        await it.true(lambda: it.manager.session_count == 0 and told[-1] == ("session", "deleted dead"))
        assert it.private_folders == []
        assert [what for kind, what in told if kind == "session"][0] == "created starting"
        assert [what for kind, what in told if kind == "session"][-1] == "deleted dead"
        assert [what for kind, what in told if kind == "execution"] == [
            "created queued",
            "started running",
            "ended cancelled",
        ]


async def test_the_session_of_one_execution_is_not_restarted_and_nothing_is_done(house: Any) -> None:
    async with house() as it:
        execution = await it.submit("print('got', input())", allow_stdin=True)
        async for event in it.manager.events(execution.id):
            if event.type == "input_request":
                break
        (session,) = it.manager.list_sessions()

        with pytest.raises(Conflict, match="cancel the execution"):
            await it.manager.restart_session(session.id)

        assert (await it.manager.get(execution.id)).status == "running"
        await it.manager.send_input(execution.id, "me")
        assert (await it.manager.wait(execution.id, 20)).output.endswith("got me\n")


async def test_a_deleted_session_cancels_what_is_queued_and_what_runs(house: Any) -> None:
    async with house() as it:
        session = await it.session()
        running = await it.submit(SLEEP, session=session)
        queued = [await it.submit(SLEEP, session=session) for _ in range(3)]
        await it.until(running, "began\n")

        await it.manager.delete_session(session)

        for one in (running, *queued):
            ended = await it.manager.wait(one.id, 0)
            assert (ended.status, ended.exit_code) == ("cancelled", 130)
            assert ended.verdict.cause == "Its session was deleted."
            assert not ended.verdict.state_kept
        assert (await it.manager.get(running.id)).output.startswith("began\n")
        with pytest.raises(NotFound):
            await it.submit("1", session=session)
        assert psutil.Process().children(recursive=True) == []
        assert it.private_folders == []


async def test_a_link_that_is_there_for_an_instant_binds_no_session_to_what_it_leads_to(
    house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside").mkdir()
    async with house() as it:
        place = it.root / "place"
        place.mkdir()
        real = it.factory.for_environment

        def between(*arguments: Any, **options: Any) -> Any:
            place.rename(it.root / "aside")
            place.symlink_to(tmp_path / "outside")
            try:
                return real(*arguments, **options)
            finally:
                place.unlink()
                (it.root / "aside").rename(place)

        monkeypatch.setattr(it.factory, "for_environment", between)
        execution = await it.submit("import os; print(os.getcwd())", path="place")

        ended = await it.manager.wait(execution.id, 20)
        assert (ended.status, ended.output) == ("env_error", "")
        assert "links are not followed" in ended.verdict.cause


async def test_a_session_that_is_deleted_twice_at_once_is_deleted_once(house: Any) -> None:
    async with house() as it:
        session = await it.session()

        answers = await asyncio.gather(
            *(it.manager.delete_session(session) for _ in range(3)), return_exceptions=True
        )

        assert sorted(type(one).__name__ for one in answers) == ["NoneType", "NotFound", "NotFound"]


async def test_a_session_that_is_deleted_while_it_starts_is_never_started(
    house: Any, tame: Any, only: Any
) -> None:
    class Slow(tame):  # type: ignore[misc]
        async def start(self) -> None:
            await asyncio.sleep(60)

    async with house(factory=only(Slow)) as it:
        creating = asyncio.create_task(it.session())
        await asyncio.sleep(0.05)
        (session,) = it.manager.list_sessions()
        assert session.status == "starting"

        await it.manager.delete_session(session.id)

        with pytest.raises(EnvironmentFailed, match="deleted"):
            await creating
        assert it.factory.made[0].stopped


async def test_a_start_that_is_broken_off_at_any_moment_leaves_nothing(house: Any) -> None:
    async with house() as it:
        for turns in (*range(1, 12), 20, 50, 100):
            creating = asyncio.create_task(it.session())
            for _ in range(turns):
                await asyncio.sleep(0)
            for session in it.manager.list_sessions():
                await it.manager.delete_session(session.id)
            await asyncio.wait({creating})
            for session in it.manager.list_sessions():  # it had not begun yet
                await it.manager.delete_session(session.id)
            # Where it was complete just before it was deleted, it is told of all the same.
            assert isinstance(creating.exception(), (ExecError, type(None)))

            assert it.manager.list_sessions() == []
            assert it.private_folders == []
        # the house checks that no process, task or descriptor is left
