"""What an execution shows after its end: it is recorded, and ``end`` stays the last event."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_log_events import begin, end, numbers

from jupyter_exec_ext.errors import NotFound
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log import EventLog, eventlog
from jupyter_exec_ext.log.late import read_again
from jupyter_exec_ext.models import Execution


async def ended(log: EventLog, *texts: str) -> Execution:
    """An execution that has printed that and ended."""
    execution = begin(log)
    for text in texts:
        log.append(execution.id, Event.stream("stdout", text))
    end(log, execution, "ok")
    return execution


async def settle(log: EventLog) -> None:
    """Wait until late events have their numbers, and then until they are on disk."""
    await log._late.finish()
    await log.flush()


async def types(log: EventLog, execution: Execution, since: int = 0) -> list[str]:
    """The types of the events after a number."""
    return [event.type async for event in log.read(execution.id, since)]


@pytest.mark.parametrize("on_disk", [False, True])
async def test_late_output_comes_before_an_end_that_has_the_next_number(open_log: Any, on_disk: bool) -> None:
    async with open_log() as log:
        execution = await ended(log, "a\n")
        old_end = execution.last_event
        if on_disk:
            await log.flush()
        # when
        log.add_late(execution.id, Event.stream("stdout", "late 1\n"))
        log.add_late(execution.id, Event.stream("stderr", "late 2\n"))
        await settle(log)
        # then
        assert await numbers(log, execution) == list(range(1, old_end + 4))
        assert (await types(log, execution))[-4:] == ["status", "stream", "stream", "end"]
        # and who has read the old end gets all that is new
        assert await types(log, execution, old_end) == ["stream", "stream", "end"]
        known = await log.get(execution.id)
        assert known.output == "a\nlate 1\nlate 2\n"
        assert (known.status, known.last_event) == ("ok", old_end + 3)
        assert known.code_blocks == execution.code_blocks
        document = json.loads(b"".join(await log.document(execution.id)))
        assert document["output"] == known.output
        assert [output["name"] for output in document["outputs"]] == ["stdout", "stderr"]
        assert [one.id for one in await log.list()] == [execution.id]


async def test_late_output_is_there_when_the_server_is_back(open_log: Any) -> None:
    async with open_log() as log:
        execution = await ended(log, "a\n")
        await log.flush()
        log.add_late(execution.id, Event.stream("stdout", "late\n"))
    async with open_log() as log:
        assert (await log.get(execution.id)).output == "a\nlate\n"
        assert await numbers(log, execution) == list(range(1, execution.last_event + 3))


async def test_a_document_that_somebody_holds_is_not_given_to_later_readers(open_log: Any) -> None:
    async with open_log() as log:
        execution = await ended(log, "a\n")
        await log.flush()
        held = await log.document(execution.id)
        log.add_late(execution.id, Event("stream", {"name": "stdout", "text": "b\n"}, truncated=True))
        await settle(log)
        again = json.loads(b"".join(await log.document(execution.id)))
        assert (json.loads(b"".join(held))["output"], again["output"]) == ("a\n", "a\nb\n")
        assert again["truncated"]


async def test_what_was_deleted_is_not_brought_back(open_log: Any) -> None:
    async with open_log() as log:
        execution, other = await ended(log, "a\n"), await ended(log, "b\n")
        await log.flush()
        # when: before its late output, and after
        log.add_late(other.id, Event.stream("stdout", "late\n"))
        await log._late.finish()
        await log.delete(other.id)
        await log.delete(execution.id)
        log.add_late(execution.id, Event.stream("stdout", "late\n"))
        await settle(log)
        # then
        for one in (execution, other):
            with pytest.raises(NotFound):
                await log.get(one.id)
        assert await log.list() == []
    async with open_log() as log:
        assert await log.list() == []


async def test_what_is_deleted_while_it_is_read_again_is_not_brought_back(
    open_log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*arguments: Any) -> Any:
        found = read_again(*arguments)
        time.sleep(0.3)
        return found

    monkeypatch.setattr(eventlog, "read_again", slow)
    async with open_log() as log:
        execution = await ended(log, "a\n")
        await log.flush()
        # when
        log.add_late(execution.id, Event.stream("stdout", "late\n"))
        await asyncio.sleep(0.05)
        await log.delete(execution.id)
        await log.flush()
        await settle(log)
        # then
        assert await log.list() == []
        assert (log._memory.unwritten_bytes, log._memory.records) == (0, {})


async def test_late_output_without_a_disk_is_in_memory(open_log: Any, tmp_path: Path) -> None:
    (tmp_path / "exec").write_text("a file in the directory's place")
    async with open_log() as log:
        assert log.warning
        execution = await ended(log, "a\n")
        log.add_late(execution.id, Event.stream("stdout", "late\n"))
        await log._late.finish()
        assert (await log.get(execution.id)).output == "a\nlate\n"
        assert await numbers(log, execution) == list(range(1, execution.last_event + 3))


async def test_late_output_for_which_there_is_no_room_leaves_what_is_on_disk(open_log: Any) -> None:
    async with open_log() as log:
        execution = await ended(log, "a\n")
        await log.flush()
        # given: as if the disk took nothing
        log._memory.stuck, log._memory._most = True, 2000
        for _ in range(20):
            log.add_late(execution.id, Event.stream("stdout", "x" * 500))
        await log._late.finish()
        log._memory.stuck = False
        await log.flush()
        # then
        assert (await log.get(execution.id)).output.startswith("a\n")
        assert (await types(log, execution))[-1] == "end"
        assert (log._memory.unwritten_bytes, log._memory.records) == (0, {})


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["late", "flush", "wait", "other"]), max_size=12))
def test_whatever_is_written_meanwhile_numbers_have_no_gap_and_nothing_is_lost(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_follow(steps, EventLog(path=str(Path(folder) / "log.sqlite"), flush_interval=0.001)))


async def _follow(steps: list[str], log: EventLog) -> None:
    await log.open("server")
    execution, printed = await ended(log, "x" * 1000), "x" * 1000
    for number, step in enumerate(steps):
        if step == "late":
            log.add_late(execution.id, Event.stream("stdout", f"{number} "))
            printed += f"{number} "
        elif step == "flush":
            await log.flush()
        elif step == "wait":
            await log._late.finish()
        else:
            await ended(log, "y")
    await log._late.finish()
    for _ in range(2):
        known = await log.get(execution.id)
        assert known.output == printed
        assert await numbers(log, execution) == list(range(1, known.last_event + 1))
        assert (await types(log, execution))[-1] == "end"
        await log.flush()
    assert (log._memory.unwritten_bytes, log._memory.records) == (0, {})
    await log.close()
