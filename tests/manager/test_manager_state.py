"""The execution state machine, under whatever order of things hypothesis thinks of.

Whatever was submitted, cancelled, restarted, deleted, killed or read meanwhile: each execution has
one terminal status and one ``end``, its events are numbered without gaps, every reader saw what a
replay shows, also after the server's end, and nothing is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Any

import psutil
from house import House, open_house
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from jupyter_exec_ext.errors import Conflict, EnvironmentFailed, NotFound
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log import EventLog
from jupyter_exec_ext.models import ENDED

PROGRAMS = [
    "print('short')",
    "for n in range(50): print(n, flush=True)",
    "import sys; print('bad', file=sys.stderr); sys.exit(3)",
    "import time; print('long', flush=True); time.sleep(60)",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
]
ALL_OF_THEM = st.integers(min_value=0, max_value=1000)


class Executions(RuleBasedStateMachine):
    """One server, and everything that people and machines do to it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.executions: list[str] = []
        self.readers: list[tuple[str, int, list[Event], asyncio.Task[None]]] = []

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @property
    def house(self) -> House:
        return self._house

    def session(self, number: int) -> str | None:
        sessions = self.house.manager.list_sessions()
        return sessions[number % len(sessions)].id if sessions else None

    @initialize(max_running=st.integers(1, 3))
    def open(self, max_running: int) -> None:
        self._opened = open_house(Path(self.folder.name), max_running=max_running)
        self._house = self.do(self._opened.__aenter__())

    @rule()
    def start_a_session(self) -> None:
        if self.house.manager.session_count < 4:
            self.do(self.house.session())

    @rule(program=st.sampled_from(PROGRAMS), number=ALL_OF_THEM, alone=st.booleans())
    def submit(self, program: str, number: int, alone: bool) -> None:
        session = None if alone else self.session(number)
        with contextlib.suppress(NotFound, Conflict):  # one that is its execution's own
            self.executions.append(self.do(self.house.submit(program, session=session, timeout=30.0)).id)

    @rule(number=ALL_OF_THEM)
    def cancel(self, number: int) -> None:
        if self.executions:
            execution = self.executions[number % len(self.executions)]
            try:
                self.do(self.house.manager.cancel(execution))
            except Conflict:
                assert self.do(self.house.manager.get(execution)).ended

    @rule(number=ALL_OF_THEM, since=st.integers(0, 5))
    def read(self, number: int, since: int) -> None:
        if self.executions:
            execution, seen = self.executions[number % len(self.executions)], list[Event]()
            reader = self.loop.create_task(self._follow(execution, since, seen))
            self.readers.append((execution, since, seen, reader))

    async def _follow(self, execution: str, since: int, seen: list[Event]) -> None:
        async for event in self.house.manager.events(execution, since):
            seen.append(event)

    @rule(number=ALL_OF_THEM)
    def disconnect(self, number: int) -> None:
        if self.readers:
            self.readers[number % len(self.readers)][3].cancel()

    @rule(number=ALL_OF_THEM)
    def restart_a_session(self, number: int) -> None:
        session = self.session(number)
        if session is not None:
            with contextlib.suppress(NotFound, EnvironmentFailed, Conflict):
                self.do(self.house.manager.restart_session(session))

    @rule(number=ALL_OF_THEM)
    def delete_a_session(self, number: int) -> None:
        session = self.session(number)
        if session is not None:
            with contextlib.suppress(NotFound):
                self.do(self.house.manager.delete_session(session))

    @rule(number=ALL_OF_THEM)
    def kill_a_supervisor(self, number: int) -> None:
        children = psutil.Process().children()
        if children:
            with contextlib.suppress(psutil.NoSuchProcess):
                children[number % len(children)].kill()

    @rule(seconds=st.sampled_from([0, 0.005, 0.05, 0.2]))
    def let_time_pass(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @rule()
    def interrupt_everything(self) -> None:
        for session in self.house.manager.list_sessions():
            with contextlib.suppress(NotFound, EnvironmentFailed):
                self.do(self.house.manager.interrupt_session(session.id))

    def teardown(self) -> None:
        try:
            if hasattr(self, "_house"):
                self.do(self._check())
        finally:
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.folder.cleanup()

    async def _check(self) -> None:
        # some end by themselves, some by the end of the server
        for execution in self.executions[::2]:
            with contextlib.suppress(Conflict):
                await self.house.manager.cancel(execution)
        for execution in self.executions[::2]:
            assert (await self.house.manager.wait(execution, 20)).ended
        await self.house.manager.stop()
        replays = {execution: await self._checked(self.house.log, execution) for execution in self.executions}
        for execution, since, seen, reader in self.readers:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait_for(reader, 5)
            replay = replays[execution][since:]
            if not replay and seen:  # it asked for more than there came to be, while it was live
                replay = replays[execution][-1:]
            assert seen == (replay[: len(seen)] if reader.cancelled() else replay)
        await self._opened.__aexit__(None, None, None)
        await self._check_after_the_end(replays)

    async def _checked(self, log: EventLog, execution: str) -> list[Event]:
        events = [event async for event in log.read(execution)]
        record = await log.get(execution)
        assert record.status in ENDED
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert [event.type for event in events].count("end") == 1
        assert events[-1].type == "end"
        assert events[-1].data["execution"]["status"] == record.status
        assert record.last_event == len(events)
        assert record.finished_at
        assert record.verdict is not None
        assert record.verdict.cause or record.status == "ok"
        return events

    async def _check_after_the_end(self, replays: dict[str, list[Event]]) -> None:
        log = EventLog(path=str(Path(self.folder.name) / "log.sqlite"))
        await log.open("the next server")
        try:
            for execution, replay in replays.items():
                assert await self._checked(log, execution) == replay
        finally:
            await log.close()


TestExecutions = Executions.TestCase
TestExecutions.settings = settings(
    max_examples=20,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
