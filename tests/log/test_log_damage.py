"""A damaged log is moved aside and told of, and no live execution loses a number over it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from test_log_events import begin, end, numbers

from jupyter_exec_ext.errors import Unavailable
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log.rescue import damaged_executions


@pytest.mark.parametrize("damage", ["garbage", "header", "middle", "cut", "text"])
async def test_a_damaged_file_is_moved_aside_at_the_start(open_log: Any, log_path: Path, damage: str) -> None:
    # given
    async with open_log() as log:
        for _ in range(20):
            execution = begin(log)
            for _ in range(50):
                log.append(execution.id, Event.stream("stdout", "x" * 500))
            end(log, execution)
    spoil(log_path, damage)
    # when
    async with open_log() as log:
        execution = begin(log)
        log.append(execution.id, Event.stream("stdout", "new"))
        end(log, execution)
        await log.flush()
        # then
        assert "moved to" in log.warning
        (aside,) = moved_aside(log_path)
        assert str(aside) in log.warning
        assert aside.stat().st_size > 0
        for found in await log.list():  # what could be read of the old one is complete in its numbers
            assert await numbers(log, found) == list(range(1, found.last_event + 1))
        if damage == "middle":
            assert len(await log.list()) > 1
    async with open_log() as log:
        assert (await log.get(execution.id)).output == "new"
        assert log.warning is None


def moved_aside(path: Path) -> list[Path]:
    """The damaged files beside a log, without their companions."""
    return [p for p in path.parent.iterdir() if ".damaged-" in p.name and p.name[-4:] not in ("-wal", "-shm")]


def spoil(path: Path, damage: str) -> None:
    """Overwrite a part of a file."""
    size = path.stat().st_size
    if damage == "text":
        path.write_text("this is not a database\n" * 1000)
    elif damage == "cut":
        os.truncate(path, size // 2 // 4096 * 4096)
    else:
        start, length = {"garbage": (0, size), "header": (0, 100), "middle": (size // 2, 20_000)}[damage]
        with path.open("r+b") as file:
            file.seek(start)
            file.write(os.urandom(length))


async def test_damage_in_mid_run_costs_no_number_and_no_live_execution(open_log: Any, log_path: Path) -> None:
    # given a live execution with more events on disk than in memory
    async with open_log() as log:
        execution = begin(log)
        for _ in range(200):
            log.append(execution.id, Event.stream("stdout", "x" * 8000))
            await log.drain()
        await log.flush()
        with sqlite3.connect(log_path) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        # when
        spoil(log_path, "middle")
        with contextlib.suppress(Unavailable):  # who meets the damage is asked to try again
            await log.get(execution.id)
        log._writer.suspect()
        for _ in range(100):
            if log.warning:
                break
            await asyncio.sleep(0.02)
        # then
        assert "moved to" in log.warning
        log.append(execution.id, Event.stream("stdout", "after"))
        end(log, execution)
        await log.flush()
        assert await numbers(log, execution) == list(range(1, 203))
        output = (await log.get(execution.id)).output
        assert output.endswith("xafter")
        assert output.count("x") >= 256_000
        assert "lost when the execution log was damaged" in output


@pytest.mark.parametrize("spoilt", [("", "-wal"), ("-wal",), ("", "-wal", "-shm")], ids=" ".join)
async def test_damage_to_database_and_wal_in_mid_run_is_met_by_the_first_reader_and_moved_aside(
    open_log: Any, log_path: Path, caplog: pytest.LogCaptureFixture, spoilt: tuple[str, ...]
) -> None:
    # given history on disk, nothing of it checkpointed, and a live execution
    async with open_log() as log:
        for _ in range(20):
            end(log, begin(log))
        execution = begin(log)
        log.append(execution.id, Event.stream("stdout", "before"))
        await log.flush()
        for suffix in spoilt:
            spoil(log_path.with_name(log_path.name + suffix), "garbage")
        # when somebody looks, once
        with contextlib.suppress(Unavailable):  # who meets the damage is asked to try again
            await log.list()
        for _ in range(100):
            if log.warning:
                break
            await asyncio.sleep(0.02)
        # then it is told, to those who look and in the server's log
        (aside,) = moved_aside(log_path)
        assert f"moved to {aside}" in log.warning
        assert f"is damaged; it was moved to {aside}" in caplog.text
        # and the live execution goes on being recorded, on disk
        assert execution.id in [found.id for found in await log.list()]
        log.append(execution.id, Event.stream("stdout", " after"))
        end(log, execution)
        await log.flush()
        assert await numbers(log, execution) == [1, 2, 3]
    async with open_log() as log:
        assert (await log.get(execution.id)).output == "before after"
        assert log.warning is None


async def written(open_log: Any, events: int) -> str:
    """An execution of so many events on disk: its id."""
    async with open_log() as log:
        execution = begin(log)
        for number in range(events):
            log.append(execution.id, Event.stream("stdout", f"{number}\n"))
        end(log, execution)
    return str(execution.id)


@contextlib.contextmanager
def edited(path: Path) -> Any:
    """The file as a database, to change it as no server would."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        yield db


async def test_a_number_that_was_damaged_does_not_stop_the_rescue(open_log: Any, log_path: Path) -> None:
    ids = [await written(open_log, 200) for _ in range(3)]
    with edited(log_path) as db:
        db.execute("UPDATE executions SET last_event = 100000000 WHERE id = ?", ids[1:2])
    size, page = log_path.stat().st_size, 4096
    with log_path.open("r+b") as file:
        file.seek(size - 3 * page)
        file.write(b"\x5a" * 2 * page)

    async with open_log() as log:
        end(log, begin(log))
        await asyncio.wait_for(log.flush(), 10)
        assert "was damaged" in log.warning
        found = {one.id: one for one in await log.list()}
        assert found[ids[0]].last_event == 201
        for one in found.values():
            assert one.last_event < 100_000
            assert await numbers(log, one) == list(range(1, one.last_event + 1))


@pytest.mark.parametrize("gone", [[21], [5], [3, 4, 21], list(range(1, 22))])
async def test_events_that_went_away_leave_no_gap_and_no_endless_reader(
    open_log: Any, log_path: Path, gone: list[int]
) -> None:
    await written(open_log, 20)
    with edited(log_path) as db:
        (sequence,) = db.execute("SELECT seq FROM executions").fetchone()
        db.executemany("DELETE FROM events WHERE id = ?", [((sequence << 32) + number,) for number in gone])

    async with open_log() as log:
        (execution,) = await log.list()
        events = [event async for event in log.read(execution.id)]
        found, parts = await log.get(execution.id), await log.document(execution.id)

    assert [event.number for event in events] == list(range(1, 22))
    # and the record says the same
    printed = "".join(event.data["text"] for event in events[:-1])
    assert found.output == json.loads(b"".join(parts))["output"] == printed
    assert [event.type for event in events] == ["stream"] * 20 + ["end"]
    assert events[-1].data["execution"]["status"] == "ok"
    lost = {event.number for event in events if "was damaged" in event.data.get("text", "")}
    assert lost == set(gone) - {21}


async def test_rows_far_from_each_other_do_not_fill_the_memory(open_log: Any, log_path: Path) -> None:
    await written(open_log, 20)
    with edited(log_path) as db:
        (key,) = db.execute("SELECT min(id) FROM events").fetchone()
        db.executemany(
            "INSERT OR REPLACE INTO events VALUES (?, 'stream', ?)",
            [(key + 1000 * row, b'{"name":"stdout","text":"x","time":""}') for row in range(1, 2000)],
        )
        db.execute("UPDATE executions SET last_event = (SELECT max(id) FROM events) - ? + 2", (key,))

    async with open_log() as log:
        (execution,) = await log.list()
        found = await log.get(execution.id)

    assert found.output.count("x") > 1999
    assert found.output.count("was damaged") < 15_000


async def test_what_is_rescued_keeps_every_event_that_can_be_read(open_log: Any, log_path: Path) -> None:
    kept = await written(open_log, 20)
    with edited(log_path) as db:
        (sequence,) = db.execute("SELECT seq FROM executions").fetchone()
        db.execute("DELETE FROM events WHERE id > ?", ((sequence << 32) + 16,))
    found = next(iter(damaged_executions(log_path)))

    assert len(found.events) == found.columns[10] == 21
    assert [kind for kind, _ in found.events] == ["stream"] * 20 + ["end"]
    assert b'"15\\n"' in found.events[15][1]
    assert b"was damaged" in found.events[16][1]

    with edited(log_path) as db:
        db.execute("UPDATE executions SET last_event = 1000000000")
    found = next(iter(damaged_executions(log_path)))

    assert found.columns[0] == kept
    assert len(found.events) == found.columns[10] == 17  # those that are there, and the end
    assert b'"15\\n"' in found.events[15][1]
    assert found.events[16][0] == "end"


async def test_a_number_far_beyond_the_others_is_not_believed(open_log: Any, log_path: Path) -> None:
    # given two executions, one of which says that it has a billion events, and one of which has the last
    first, second = await written(open_log, 20), await written(open_log, 20)
    with edited(log_path) as db:
        db.execute("UPDATE executions SET last_event = 1000000000")
        db.execute("DELETE FROM events WHERE type = 'end'")
        (sequence,) = db.execute("SELECT seq FROM executions WHERE id = ?", (second,)).fetchone()
        db.execute("INSERT INTO events VALUES (?, 'end', '{}')", ((sequence << 32) + 1_000_000_000,))

    async with open_log() as log:
        said = [event async for event in log.read(first)]
        there = [event async for event in log.read(second)]

    # then nobody waits for them
    assert [event.number for event in said] == list(range(1, 22))
    assert [event.number for event in there][:20] == list(range(1, 21))
    assert len(there) < 2000
    assert (said[-1].type, there[-1].type) == ("end", "end")


async def test_a_new_file_that_is_begun_while_a_program_prints_has_every_event(
    open_log: Any, log_path: Path
) -> None:
    async with open_log() as log:
        execution = begin(log)
        for number in range(1000):
            log.append(execution.id, Event.stream("stdout", f"{number:06}{'x' * 1000}\n"))
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        await log.flush()
        log_path.unlink()
        log._writer.hurry()
        await asyncio.to_thread(lambda: None)
        for number in range(1000, 1010):  # before what is older is written again
            log.append(execution.id, Event.stream("stdout", f"{number:06}\n"))
        end(log, execution)
        await log.flush()
        assert await numbers(log, execution) == list(range(1, 1012))
        found = await log.get(execution.id)

    assert found.last_event == 1011
    assert found.output.endswith("001008\n001009\n")
