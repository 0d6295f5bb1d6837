"""Sessions that are restarted, interrupted or killed: what ran says so, and the next run begins afresh."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import psutil
import pytest
from house import SLEEP

from jupyter_exec_ext.errors import (
    EnvironmentFailed,
)
from jupyter_exec_ext.manager import Patience


def kill_all() -> None:
    """Kill what belongs to the sessions; one process may take another with it."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


async def test_a_restart_and_a_run_that_finds_its_supervisor_dead_start_one_between_them(house: Any) -> None:
    async with house() as it:
        session = await it.session()
        for _ in range(5):
            for child in psutil.Process().children():
                child.kill()
            execution = await it.submit("print(1)", session=session)
            await asyncio.gather(*(it.manager.restart_session(session) for _ in range(3)))

            assert (await it.manager.wait(execution.id, 20)).status in ("ok", "lost")
            await it.manager.interrupt_session(session)
            assert len(psutil.Process().children()) == 1


async def test_a_restart_loses_what_runs_and_then_runs_what_is_queued(house: Any) -> None:
    async with house() as it:
        session = await it.session()
        running = await it.submit(SLEEP, session=session)
        queued = await it.submit("print(2)", session=session)
        await it.until(running, "began\n")

        await it.manager.restart_session(session)

        lost = await it.manager.wait(running.id, 0)
        assert (lost.status, lost.exit_code, lost.output) == ("lost", None, "began\n")
        assert "restarted" in lost.verdict.cause
        assert lost.verdict.state_kept is False
        assert (lost.verdict.cpu_seconds, lost.verdict.max_rss_bytes) == (None, None)  # nobody counted
        ended = await it.manager.wait(queued.id, 20)
        assert (ended.status, ended.output) == ("ok", "2\n")


async def test_a_restart_that_the_executor_does_not_survive_says_so_and_the_next_run_is_afresh(
    house: Any, tame: Any, only: Any
) -> None:
    class Fragile(tame):  # type: ignore[misc]
        async def run(self, blocks: Any, options: Any = None) -> Any:
            if blocks[0].code == "hang":
                await asyncio.sleep(60)
            yield self.ended()

        async def restart(self) -> None:
            raise OSError("no more processes")

    async with house(factory=only(Fragile), patience=Patience(close=0.2)) as it:
        session = await it.session()
        running = await it.submit("hang", session=session)
        await asyncio.sleep(0.05)

        with pytest.raises(EnvironmentFailed, match="no more processes"):
            await it.manager.restart_session(session)

        assert (await it.manager.wait(running.id, 5)).status == "lost"
        assert (await it.run("1", session=session)).status == "ok"
        assert len(it.factory.made) == 2


async def test_an_interrupt_ends_the_program_as_the_keyboard_would(house: Any) -> None:
    async with house() as it:
        session = await it.session()
        await it.manager.interrupt_session(session)  # nothing runs: nothing happens
        running = await it.submit(SLEEP, session=session)
        await it.until(running, "began\n")

        await it.manager.interrupt_session(session)

        ended = await it.manager.wait(running.id, 20)
        assert ended.status == "failed"
        assert "KeyboardInterrupt" in ended.output
        assert (await it.run("print(1)", session=session)).status == "ok"


async def test_P8_a_session_whose_processes_were_killed_starts_afresh(house: Any) -> None:
    async with house() as it:
        session = await it.session()
        kill_all()
        await asyncio.sleep(0.2)
        assert it.manager.get_session(session).status == "dead"

        ended = await it.run("print(1)", session=session)

        assert (ended.status, ended.output) == ("ok", "1\n")
        assert it.manager.get_session(session).status == "idle"


async def test_P8_a_run_whose_supervisor_is_killed_ends_and_the_next_one_works(house: Any) -> None:
    async with house() as it:
        session = await it.session()
        running = await it.submit(SLEEP, session=session)
        await it.until(running, "began\n")

        kill_all()

        ended = await it.manager.wait(running.id, 10)
        assert ended.status in ("lost", "failed")
        assert ended.verdict.cause
        assert ended.output == "began\n"
        assert (await it.run("print(1)", session=session)).output == "1\n"


async def test_a_session_that_starts_afresh_does_not_follow_a_link_in_its_folders_place(house: Any) -> None:
    async with house() as it:
        (it.root / "sub").mkdir()
        outside = it.root / "outside"
        outside.mkdir()
        session = await it.session(path="sub")
        code = "import os\nhere = os.getcwd()\nos.rename(here, here + '-old')\nos.symlink({!r}, here)"
        assert (await it.run(code.format(str(outside)), session=session)).status == "ok"

        kill_all()
        await asyncio.sleep(0.2)
        after = await it.run("open('planted', 'w')", session=session)

        assert after.status == "env_error"
        assert "replaced by a link" in (after.verdict.cause or "")
        assert list(outside.iterdir()) == []
