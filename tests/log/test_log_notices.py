"""What the log ends or removes by itself is told of: once, by the server that did it."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from test_log_events import begin, end
from test_log_faults import killed_server
from test_log_retention import tidied

from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log import EventLog
from jupyter_exec_ext.log.notice import Notice
from jupyter_exec_ext.log.store import Store
from jupyter_exec_ext.log.upkeep import Limits, Upkeep

HASH = hashlib.sha256(b"print(1)").hexdigest()
TWO_BLOCKS = hashlib.sha256(b"print(1)\nprint(2)").hexdigest()


def listening(log_path: Path, **traits: Any) -> tuple[EventLog, list[Notice]]:
    """A log that is not open yet, and what it will have told."""
    log, told = EventLog(path=str(log_path), **traits), []
    log.observers.append(told.append)
    return log, told


async def heard(told: list[Notice], count: int) -> list[tuple[str, str]]:
    """Wait for so many notices; the action and the execution of each, and a moment for what is too many."""
    for _ in range(500):
        if len(told) >= count:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    return [(notice.action, notice.execution.id) for notice in told]


# -- lost ------------------------------------------------------------------------------------------


async def test_the_end_of_what_a_killed_server_left_is_told_once(log_path: Path) -> None:
    # given
    queued, running, _, _ = killed_server(log_path, 0.3)
    # when
    log, told = listening(log_path)
    await log.open("next")
    # then
    assert await heard(told, 2) == [("ended", queued), ("ended", running)]
    for notice in told:
        assert (notice.user, notice.code_sha256) == ("somebody", TWO_BLOCKS)
        record = await log.outline(notice.execution.id)
        assert notice.execution == record
        assert record.status == "lost"
    await log.close()
    # and the one after that has nothing to tell
    again, told = listening(log_path)
    await again.open("later")
    assert await heard(told, 0) == []
    await again.close()


async def test_of_two_servers_that_live_on_one_tells(log_path: Path) -> None:
    # given
    one, told = listening(log_path)
    other, told_by_other = listening(log_path)
    await one.open("one")
    await other.open("other")
    queued, running, _, _ = killed_server(log_path, 0.3)
    # when
    one._writer.tidy()
    other._writer.tidy()
    # then
    both = told, told_by_other
    for _ in range(500):
        if sum(map(len, both)) >= 2:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    assert sorted(map(len, both)) == [0, 2]
    assert {notice.execution.id for notice in [*told, *told_by_other]} == {queued, running}
    await one.close()
    await other.close()


async def left_behind(open_log: Any, count: int) -> list[str]:
    """Executions that no server will end."""
    async with open_log() as log:
        made = [begin(log).id for _ in range(count)]
        await log.flush()
    return made


async def test_while_very_many_are_told_of_others_have_their_turns(open_log: Any, log_path: Path) -> None:
    # given
    made = await left_behind(open_log, 500)
    log, turns, seen = EventLog(path=str(log_path)), 0, []
    log.observers.append(lambda notice: seen.append((turns, notice.execution.id)))
    # when
    await log.open("next")
    while len(seen) < len(made):
        turns += 1
        await asyncio.sleep(0)
    # then there was one between any two, all are told, and `open` waited for none
    assert len({turn for turn, _ in seen}) == len(made)
    assert [execution for _, execution in seen] == made
    await log.close()


async def test_what_is_not_told_yet_is_told_when_the_log_closes(open_log: Any, log_path: Path) -> None:
    made = await left_behind(open_log, 500)
    log, told = listening(log_path)
    await log.open("next")
    assert len(told) < len(made)
    await log.close()
    assert [notice.execution.id for notice in told] == made


async def test_an_observer_that_fails_keeps_nothing_from_another(open_log: Any, log_path: Path) -> None:
    def fails(_: Notice) -> None:
        raise RuntimeError("no space left")

    made = await left_behind(open_log, 3)
    log, told = listening(log_path)
    log.observers.insert(0, fails)
    await log.open("next")
    await log.close()
    assert [notice.execution.id for notice in told] == made


# -- removed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [{"max_age_days": 1.0}, {"max_executions": 5}, {"max_bytes": 1 << 20}])
async def test_what_retention_removes_is_told_once(log_path: Path, limit: dict[str, Any]) -> None:
    # given: more than is removed in one step
    log, told = listening(log_path, **limit)
    await log.open("server")
    made = []
    for number in range(45):
        execution = begin(log)
        log.append(execution.id, Event.stream("stdout", "x" * 65_536))
        if number < 40:
            execution.finished_at = "2020-01-01T00:00:00.000000Z"
        made.append(end(log, execution).id)
        await log.drain()
    await log.flush()
    # when
    await tidied(log, 15)
    for _ in range(500):
        if log._writer._tidy_at > time.monotonic() + 30:  # there is nothing left to do
            break
        await asyncio.sleep(0.01)
    # then
    kept = {execution.id for execution in await log.list(limit=1000)}
    gone = sorted(("deleted", one) for one in made if one not in kept)
    assert len(gone) >= 30
    assert sorted(await heard(told, len(gone))) == gone
    assert {(notice.execution.status, notice.code_sha256) for notice in told} == {("ok", HASH)}
    await log.close()


async def test_of_two_servers_one_tells_what_retention_removes(log_path: Path) -> None:
    # given
    one, told = listening(log_path, max_executions=5)
    other, told_by_other = listening(log_path, max_executions=5)
    await one.open("one")
    await other.open("other")
    made = [end(one, begin(one)).id for _ in range(60)]
    await one.flush()
    # when
    other._writer.tidy()
    await tidied(one, 5)
    # then
    await heard(told, 55 - len(told_by_other))
    assert sorted(notice.execution.id for notice in [*told, *told_by_other]) == sorted(made[:55])
    await one.close()
    await other.close()


async def test_what_is_deleted_by_hand_is_told_by_who_does_it(log_path: Path) -> None:
    # given
    log, told = listening(log_path)
    await log.open("server")
    execution = end(log, begin(log))
    await log.flush()
    store = Store(log_path, "another thread's")
    # when retention comes before the deletion is on disk
    await log.delete(execution.id)
    Upkeep(store, log.noticed).retain(Limits(max_age_days=1e-9))
    store.close()
    # then
    await log.flush()
    assert await heard(told, 0) == []
    await log.close()


async def test_what_memory_has_no_room_for_is_told(log_path: Path) -> None:
    # given a log that cannot be written
    log_path.mkdir(parents=True)
    log, told = listening(log_path, max_memory=1 << 20)
    await log.open("server")
    first = end(log, begin(log))
    for _ in range(100):
        if log.warning:
            break
        await asyncio.sleep(0.05)
    # when
    second = begin(log)
    for _ in range(50):
        log.append(second.id, Event.stream("stdout", "x" * 65_536))
    # then
    assert await heard(told, 1) == [("deleted", first.id)]
    assert (told[0].execution.status, told[0].code_sha256) == ("ok", HASH)
    end(log, second)
    await log.close()


# -- damaged ---------------------------------------------------------------------------------------


async def spoilt(open_log: Any, log_path: Path, statement: str) -> str:
    """An execution of long ago, of which something cannot be read."""
    async with open_log(max_age_days=0.0) as log:
        execution = begin(log)
        execution.finished_at = "2020-01-01T00:00:00.000000Z"
        end(log, execution)
        await log.flush()
    with sqlite3.connect(log_path) as db:
        db.execute(statement)
    db.close()
    return execution.id


@pytest.mark.parametrize("blocks", ["not JSON", '{"blocks": [{"code": 3}]}', "[]"])
async def test_code_that_cannot_be_read_has_no_hash(open_log: Any, log_path: Path, blocks: str) -> None:
    gone = await spoilt(open_log, log_path, f"UPDATE code SET blocks = '{blocks}'")
    log, told = listening(log_path, max_age_days=1.0)
    await log.open("server")
    assert await heard(told, 1) == [("deleted", gone)]
    assert told[0].code_sha256 is None
    await log.close()


async def test_a_record_that_cannot_be_read_is_told_of_by_what_can(open_log: Any, log_path: Path) -> None:
    gone = await spoilt(open_log, log_path, "UPDATE executions SET record = 'not JSON'")
    log, told = listening(log_path, max_age_days=1.0)
    await log.open("server")
    await tidied(log, 0)
    assert await heard(told, 1) == [("deleted", gone)]
    assert told[0].execution.environment == "local"
    await log.close()
