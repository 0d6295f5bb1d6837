"""Sessions: how many, for how long, in private, refused where they cannot be, ended with the server."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import Any

import psutil
import pytest

from jupyter_exec_ext.errors import (
    EnvironmentFailed,
    InvalidRequest,
    NotFound,
    QueueFull,
    Refused,
    Unavailable,
    UnknownEnvironment,
)
from jupyter_exec_ext.models import ExecutionRequest

SLEEP = "import time\nprint('began', flush=True)\ntime.sleep(60)"


async def test_only_idle_sessions_are_culled(house: Any) -> None:
    async with house(cull_idle_seconds=0.3, cull_interval=0.05) as it:
        idle, busy = await it.session(), await it.session()
        running = await it.submit("import time; time.sleep(1)", session=busy)

        await asyncio.sleep(0.7)

        assert [one.id for one in it.manager.list_sessions()] == [busy]
        with pytest.raises(NotFound):
            it.manager.get_session(idle)
        assert (await it.manager.wait(running.id, 20)).status == "ok"
        await asyncio.sleep(0.8)
        assert it.manager.list_sessions() == []


async def test_a_session_with_executions_that_wait_for_a_place_is_not_culled(
    house: Any, tame: Any, only: Any
) -> None:
    class Slow(tame):  # type: ignore[misc]
        async def run(self, blocks: Any, options: Any = None) -> Any:
            await asyncio.sleep(0.5)
            yield self.ended()

    async with house(max_running=1, cull_idle_seconds=0.1, cull_interval=0.02, factory=only(Slow)) as it:
        first, second = await it.session(), await it.session()
        submitted = [await it.submit("1", session=session) for session in (first, second)]

        statuses = [(await it.manager.wait(one.id, 20)).status for one in submitted]

        assert statuses == ["ok", "ok"]


async def test_the_private_folder_is_the_owners_alone_and_goes_with_the_session(house: Any) -> None:
    async with house() as it:
        session = await it.session()
        (name,) = it.private_folders
        folder = it.lease.path / "sessions" / name
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        # a block may take away its own rights
        (folder / "a" / "b").mkdir(parents=True)
        (folder / "a").chmod(0)

        await it.manager.delete_session(session)

        assert it.private_folders == []


async def test_no_more_than_max_sessions(house: Any) -> None:
    async with house(max_sessions=2) as it:
        await it.session()
        second = await it.session()

        with pytest.raises(QueueFull, match="delete one"):
            await it.session()

        assert (await it.run("print(1)")).status == "ok"  # one made for an execution is not counted
        await it.manager.delete_session(second)
        await it.session()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"environment": "venv:nowhere"}, UnknownEnvironment),
        ({"path": "nowhere"}, InvalidRequest),
    ],
)
async def test_a_session_that_cannot_be_is_refused(house: Any, fields: Any, error: Any) -> None:
    async with house() as it:
        with pytest.raises(error):
            await it.session(**fields)

        assert it.manager.list_sessions() == []


async def test_a_session_whose_start_fails_is_not_kept_and_the_reason_is_told(
    house: Any, tame: Any, only: Any
) -> None:
    class Failing(tame):  # type: ignore[misc]
        async def start(self) -> None:
            raise EnvironmentFailed("The engine is not running; start it.")

    async with house(factory=only(Failing)) as it:
        with pytest.raises(EnvironmentFailed, match="start it"):
            await it.session()

        assert it.manager.list_sessions() == []
        assert it.factory.made[0].stopped
        assert it.private_folders == []


async def test_an_environment_is_in_use_while_a_session_lives_in_it(house: Any) -> None:
    async with house() as it:
        assert not it.registry.in_use("local")
        session = await it.session()
        assert it.registry.in_use("local")
        assert not it.registry.in_use("venv:other")
        await it.manager.delete_session(session)
        assert not it.registry.in_use("local")


async def test_the_end_of_the_server_loses_what_runs_and_what_waits_and_leaves_nothing(house: Any) -> None:
    async with house() as it:
        kept = await it.session()
        running = [await it.submit(SLEEP, session=kept), await it.submit(SLEEP)]
        queued = [await it.submit(SLEEP, session=kept) for _ in range(3)]
        for one in running:
            await it.until(one, "began\n")

        await it.manager.stop()

        for one in running:
            ended = await it.manager.get(one.id)
            assert (ended.status, ended.exit_code, ended.output) == ("lost", None, "began\n")
            assert "stopped" in ended.verdict.cause
        for one in queued:
            assert (await it.manager.get(one.id)).status == "lost"
        assert psutil.Process().children(recursive=True) == []
        with pytest.raises(Unavailable):
            await it.manager.submit(ExecutionRequest(code="1"))
        with pytest.raises(Unavailable):
            await it.session()


async def test_files_of_an_environment_that_has_none_are_refused(house: Any, tame: Any, only: Any) -> None:
    async with house(factory=only(tame)) as it:
        session = await it.session()

        with pytest.raises(Refused):
            await it.manager.list_files(session)
        with pytest.raises(NotFound):
            await it.manager.list_files("nobody")
