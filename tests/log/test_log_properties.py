"""Whatever happens in whatever order: a replay from any number is what was appended, with one end."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, precondition, rule

from jupyter_exec_ext.errors import Conflict, NotFound
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log import EventLog
from jupyter_exec_ext.log.entry import decode, encode
from jupyter_exec_ext.models import ENDED, Execution

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_what_json_can_say_comes_back_as_it_was(data: dict[str, Any]) -> None:
    raw = encode(data)
    assert decode(raw) == data
    assert b"\n" not in raw


@given(
    st.dictionaries(st.text(max_size=5) | st.integers(), st.text() | st.floats() | st.binary(), max_size=5)
)
def test_anything_else_is_still_written_as_valid_json(data: dict[Any, Any]) -> None:
    assert isinstance(decode(encode(data)), dict)


class LogMachine(RuleBasedStateMachine):
    """A server's life: executions, readers, deletion, restarts; compared with a list in memory."""

    running = Bundle("running")
    ended = Bundle("ended")

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._loop = asyncio.new_event_loop()
        self.expected: dict[str, list[Any]] = {}
        self.alive: dict[str, Execution] = {}
        self.readers: list[tuple[str, int, asyncio.Task[list[Any]]]] = []

    def run(self, coroutine: Any) -> Any:
        """Let the loop run until it is done."""
        return self._loop.run_until_complete(coroutine)

    @initialize()
    def start(self) -> None:
        """Open the log."""
        self.log = EventLog(path=str(Path(self._directory.name) / "log.sqlite"), flush_interval=0.001)
        self.run(self.log.open("server"))

    @rule(target=running)
    def create(self) -> str:
        """A new execution."""
        execution = Execution(environment="local", status="running")
        self.log.create(execution)
        self.alive[execution.id] = execution
        self.expected[execution.id] = []
        return execution.id

    @precondition(lambda self: self.alive)
    @rule(name=running, text=TEXT, times=st.sampled_from([1, 3, 300]))
    def append(self, name: str, text: str, times: int) -> None:
        """Some output."""
        for _ in range(times):
            event = Event.stream("stdout", text)
            if name in self.alive:
                self.expected[name].append(("stream", event.data))
                assert self.log.append(name, event) == len(self.expected[name])
            else:
                with pytest.raises((Conflict, NotFound)):
                    self.log.append(name, event)

    @rule(target=ended, name=consumes(running), status=st.sampled_from(sorted(ENDED)))
    def finish(self, name: str, status: Any) -> str:
        """The end; twice, since a cancel may race it."""
        execution = self.alive.pop(name, None)
        if execution is not None:
            execution.status = status
            self.log.finish(execution)
            self.log.finish(execution)
            self.expected[name].append(("end", status))
        return name

    @rule(name=running | ended, since=st.integers(0, 400))
    def follow(self, name: str, since: int) -> None:
        """A reader comes while it runs, or after it."""
        if name in self.expected:
            self.readers.append((name, since, self._loop.create_task(self._read(name, since))))

    @rule(name=ended)
    def delete(self, name: str) -> None:
        """It is deleted, unless somebody is reading it."""
        if name in self.expected and name not in {reader[0] for reader in self.readers}:
            self.run(self.log.delete(name))
            del self.expected[name]

    @rule()
    def flush(self) -> None:
        """All is on disk."""
        self.run(self.log.flush())

    @rule()
    def wait(self) -> None:
        """The loop runs a little."""
        self.run(asyncio.sleep(0.002))

    @rule()
    def restart(self) -> None:
        """The server stops without ending what runs, and starts again."""
        for name in self.alive:
            self.expected[name].append(("end", "lost"))
        for _, _, reader in [reader for reader in self.readers if reader[0] in self.alive]:
            reader.cancel()
            self.run(asyncio.wait([reader]))
        self.check_ended_readers()
        self.alive.clear()
        self.run(self.log.close())
        self.start()

    def check_ended_readers(self) -> None:
        """Whoever followed something that has ended has seen all of it."""
        for name, since, reader in self.readers:
            if name not in self.alive:
                seen, told = self.run(reader), self.numbered(name)
                # Who asks from beyond the last number gets its end all the same.
                assert seen == (told[since:] or told[-1:]) or (since == len(told) and not seen)
        self.readers = []

    def numbered(self, name: str) -> list[Any]:
        """What a reader from the beginning should see."""
        return [(number, *event) for number, event in enumerate(self.expected[name], 1)]

    async def _read(self, name: str, since: int) -> list[Any]:
        return [
            (e.number, e.type, e.data["execution"]["status"] if e.type == "end" else e.data)
            async for e in self.log.read(name, since)
        ]

    def teardown(self) -> None:
        """Compare everything, in memory and after a last restart."""
        if not hasattr(self, "log"):
            return
        try:
            self.restart()
            for name in self.expected:
                for since in {0, 1, len(self.expected[name]) // 2, len(self.expected[name])}:
                    assert self.run(self._read(name, since)) == self.numbered(name)[since:]
                assert self.run(self._read(name, 1000)) == self.numbered(name)[-1:]
                found = self.run(self.log.get(name))
                kinds = [kind for kind, _ in self.expected[name]]
                assert kinds.count("end") == 1
                assert found.status == self.expected[name][-1][1]
                assert found.last_event == len(kinds)
                assert found.output == "".join(d["text"] for k, d in self.expected[name] if k == "stream")
            listed = {execution.id for execution in self.run(self.log.list(limit=1000))}
            assert listed == set(self.expected)
            self.run(self.log.close())
        finally:
            self.run(self._loop.shutdown_default_executor())
            self._loop.close()
            self._directory.cleanup()


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(
    max_examples=50,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
