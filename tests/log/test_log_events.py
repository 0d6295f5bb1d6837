"""The log's contract: numbers without gaps, any number of readers, one end, nothing lost on the way."""

from __future__ import annotations

import asyncio
import json
import math
import os
import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.errors import Unavailable
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log import EventLog
from jupyter_exec_ext.models import CodeBlock, Execution, Verdict

HOSTILE = "a\0b \x1b[31m \u2028 \U0001f600 \u202e ünï \r\n"


def begin(log: EventLog, **fields: Any) -> Execution:
    """An execution that has been queued."""
    blocks = [CodeBlock(code="print(1)", language="python")]
    execution = Execution(**{"environment": "local", "code_blocks": blocks, **fields})
    log.create(execution)
    return execution


def end(log: EventLog, execution: Execution, status: Any = "ok") -> Execution:
    """The same, ended."""
    execution.status = status
    log.finish(execution)
    return execution


async def numbers(log: EventLog, execution: Execution, since: int = 0) -> list[int]:
    """The numbers a reader sees."""
    return [event.number async for event in log.read(execution.id, since)]


async def test_events_are_numbered_from_one_without_gaps_and_end_once(open_log: Any) -> None:
    # given
    async with open_log() as log:
        execution = begin(log)
        # when
        given = [log.append(execution.id, Event.stream("stdout", str(i))) for i in range(10)]
        end(log, execution)
        end(log, execution)  # a second time changes nothing
        # then
        events = [event async for event in log.read(execution.id)]
        assert given == list(range(1, 11))
        assert [event.number for event in events] == list(range(1, 12))
        assert [event.type for event in events].count("end") == 1
        assert events[-1].data["execution"]["status"] == "ok"
        assert (await log.get(execution.id)).output == "0123456789"


@pytest.mark.parametrize("flushed", [False, True])
async def test_text_with_nul_and_any_unicode_survives_memory_and_disk(open_log: Any, flushed: bool) -> None:
    async with open_log() as log:
        execution = begin(log, code_blocks=[CodeBlock(code=HOSTILE)], truncated=True)
        log.append(execution.id, Event.stream("stdout", HOSTILE))
        log.append(execution.id, Event("display_data", {"data": {"text/plain": HOSTILE}, "metadata": {}}))
        end(log, execution)
        if flushed:
            await log.flush()
        found = await log.get(execution.id)
        shown = HOSTILE.replace(
            "\x1b[31m", ""
        )  # of what was shown, not printed, there are no colours in the text
        assert found.output == HOSTILE + shown + "\n"
        assert found.outputs[0] == {"output_type": "stream", "name": "stdout", "text": HOSTILE}
        assert found.code_blocks[0].code == HOSTILE
        assert found.truncated


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"x": "\ud800 lone"}, {"x": "\ufffd lone"}),
        ({"x": [math.nan, math.inf, 1.5]}, {"x": [None, None, 1.5]}),
        ({"x": (1, b"bytes", {3: "three"})}, {"x": [1, "b'bytes'", {"3": "three"}]}),
        ({("a", "b"): 1}, {"('a', 'b')": 1}),
    ],
)
async def test_what_json_cannot_say_is_replaced_and_never_refused(
    open_log: Any, given: Any, kept: Any
) -> None:
    async with open_log() as log:
        execution = begin(log)
        log.append(execution.id, Event("display_data", given))
        end(log, execution)
        event = await log.read(execution.id).__anext__()
        assert event.data == kept


async def test_data_nested_without_bound_does_not_break_the_log(open_log: Any) -> None:
    async with open_log() as log:
        nested: Any = []
        for _ in range(100_000):
            nested = [nested]
        execution = begin(log)
        log.append(execution.id, Event("display_data", {"data": nested}))
        end(log, execution)
        assert await numbers(log, execution) == [1, 2]


async def test_a_reader_sees_an_event_before_it_is_on_disk(open_log: Any, log_path: Path) -> None:
    # given a log whose file is locked, so that nothing can get to disk
    async with open_log() as log:
        execution = begin(log)
        await log.flush()
        lock = sqlite3.connect(log_path, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        reader = log.read(execution.id)
        waiting = asyncio.ensure_future(reader.__anext__())
        await asyncio.sleep(0.01)
        # when
        began = time.perf_counter()
        log.append(execution.id, Event.stream("stdout", "now"))
        event = await waiting
        # then
        assert time.perf_counter() - began < 0.01
        assert event.data["text"] == "now"
        lock.close()
        await reader.aclose()


async def test_many_readers_from_any_number_see_the_same(open_log: Any) -> None:
    async with open_log() as log:
        execution = begin(log)
        readers = [asyncio.ensure_future(numbers(log, execution, since)) for since in range(50)]
        for i in range(300):
            log.append(execution.id, Event.stream("stdout", f"{i}\n"))
            if i % 50 == 0:
                await asyncio.sleep(0.03)
        end(log, execution)
        for since, reader in enumerate(readers):
            assert await reader == list(range(since + 1, 302))


@pytest.mark.parametrize("flushed", [False, True])
async def test_reading_after_the_end_ends_at_once(open_log: Any, flushed: bool) -> None:
    async with open_log() as log:
        execution = end(log, begin(log))
        if flushed:
            await log.flush()
        assert await numbers(log, execution) == [1]
        assert await numbers(log, execution, 1) == []
        assert await numbers(log, execution, 10**12) == [1]
        assert await numbers(log, execution, -5) == [1]


async def test_a_reader_that_goes_away_does_not_disturb_another(open_log: Any) -> None:
    async with open_log() as log:
        execution = begin(log)
        gone = asyncio.ensure_future(numbers(log, execution))
        stays = asyncio.ensure_future(numbers(log, execution))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        end(log, execution)
        assert await stays == [1]


async def test_a_reader_cannot_change_what_another_one_sees(open_log: Any) -> None:
    async with open_log() as log:
        execution = begin(log)
        log.append(execution.id, Event.stream("stdout", "as it was"))
        first = await log.read(execution.id).__anext__()
        first.data["text"] = "spoilt"
        second = await log.read(execution.id).__anext__()
        assert second.data["text"] == "as it was"


async def test_a_slow_reader_costs_only_its_cursor(open_log: Any) -> None:
    # given a reader that has read one of very many events
    async with open_log() as log:
        execution = begin(log)
        for _ in range(400):
            log.append(execution.id, Event.stream("stdout", "x" * 16_384))
            await log.drain()
        reader = log.read(execution.id)
        first = await reader.__anext__()
        # when
        await log.flush()
        # then memory holds the end of it only, and the reader still gets all
        record = log._memory.records[execution.id]
        assert record.tail_bytes <= 256 << 10
        assert record.base > 300
        end(log, execution)
        rest = [event.number async for event in reader]
        assert [first.number, *rest] == list(range(1, 402))


async def test_entries_are_the_bytes_for_the_wire(open_log: Any) -> None:
    async with open_log() as log:
        execution = begin(log)
        event = Event.stream("stdout", HOSTILE)
        log.append(execution.id, event)
        end(log, execution)
        entries = [entry async for entry in log.entries(execution.id)]
        assert json.loads(entries[0].json) == {"name": "stdout", "text": HOSTILE, "time": event.time}
        assert b"\n" not in entries[0].json
        assert b"\r" not in entries[0].json


async def test_what_was_written_is_there_after_a_restart(open_log: Any) -> None:
    async with open_log() as log:
        execution = begin(log, session="s1")
        log.append(execution.id, Event.stream("stdout", "kept"))
        execution.started_at = "2026-01-01T00:00:00.000000Z"
        execution.verdict = Verdict(cause="It ended well.", wall_seconds=1.5)
        execution.code_files = ["a.py"]
        execution.exit_code = 0
        end(log, execution)
        before = await log.get(execution.id)
    async with open_log() as log:
        assert await log.get(execution.id) == before
        assert before.last_event == 2
        assert before.verdict.cause == "It ended well."


async def test_close_writes_what_is_still_in_memory_and_wakes_the_readers(open_log: Any) -> None:
    async with open_log(flush_interval=0.04) as log:
        execution = begin(log)
        waiting = asyncio.ensure_future(numbers(log, execution))
        await asyncio.sleep(0)
        log.append(execution.id, Event.stream("stdout", "just before"))
    with pytest.raises(Unavailable):
        await waiting
    with pytest.raises(Unavailable):
        begin(log)
    async with open_log() as log:
        found = await log.get(execution.id)
        assert (found.status, found.output) == ("lost", "just before")


async def test_stop_leaves_no_thread_and_no_descriptor(open_log: Any) -> None:
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    async with open_log() as log:
        execution = begin(log)
        await log.flush()
        await asyncio.gather(*(log.list() for _ in range(8)), log.get(execution.id))
        running = {thread.name for thread in threading.enumerate()}
        assert "exec-log-writer" in running
    left = {t.name for t in threading.enumerate() if t.name.startswith("exec-log")}
    assert left == set()
    assert threading.active_count() <= threads + 2  # asyncio's own pool
    assert len(os.listdir("/proc/self/fd")) == descriptors


async def test_file_and_directory_are_private(open_log: Any, log_path: Path) -> None:
    async with open_log() as log:
        begin(log)
        await log.flush()
        for path in log_path.parent.iterdir():
            wanted = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == wanted, path
        assert stat.S_IMODE(log_path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("where", ["here", "another server"])
async def test_a_reader_from_beyond_the_last_number_gets_what_is_later_and_the_end(
    open_log: Any, where: str
) -> None:
    async with open_log() as log, open_log() as other:
        # given
        execution = begin(log)
        log.append(execution.id, Event.stream("stdout", "1"))
        await log.flush()
        reading = log if where == "here" else other
        readers = [asyncio.ensure_future(numbers(reading, execution, since)) for since in (1, 3, 1000)]
        await asyncio.sleep(0.05)
        # when
        for text in "234":
            log.append(execution.id, Event.stream("stdout", text))
        end(log, execution)
        # then
        assert await asyncio.wait_for(asyncio.gather(*readers), 5) == [[2, 3, 4, 5], [4, 5], [5]]
        assert await numbers(log, execution, 5) == []
        assert await numbers(reading, execution, 1000) == [5]
