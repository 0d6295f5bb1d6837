"""A damaged row is shown as far as it can be read, can be deleted, and harms no other."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from test_log_damage import edited, moved_aside, written
from test_log_events import begin, end

from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log.entry import LOST
from jupyter_exec_ext.log.stored import LOST_CODE, LOST_RECORD


async def test_a_damaged_row_of_an_unfinished_execution_is_ended_and_the_log_stays_on_disk(
    open_log: Any, log_path: Path
) -> None:
    # given two that a killed server left, the code of one damaged, and one that a block has made up
    async with open_log() as log:
        damaged, other = begin(log, status="running"), begin(log, status="running")
        log.append(damaged.id, Event.stream("stdout", "printed"))
        await log.flush()
    with edited(log_path) as db:
        blocks = "replace(CAST(blocks AS TEXT), 'blocks', 'blocjs')"
        db.execute(f"UPDATE code SET blocks = CAST({blocks} AS BLOB) WHERE execution = 1")
        db.execute(
            "INSERT INTO executions VALUES (9, ?, x'00', 'local', NULL, 'running', '', NULL, NULL,"
            " '2026-01-01T00:00:00.000000Z', NULL, 0, 0, '[]')",
            ("c" * 32,),
        )
        db.execute("INSERT INTO code VALUES (9, ?)", ('{"bl0cks":[]}',))
    # when
    async with open_log() as log:
        new = end(log, begin(log))
        await log.flush()
        # then
        assert log.warning is None
        found = {execution.id: execution for execution in await log.list()}
        assert found.keys() == {damaged.id, other.id, "c" * 32, new.id}
        assert {found[id].status for id in (damaged.id, other.id, "c" * 32)} == {"lost"}
        assert found[damaged.id].code_blocks[0].code == LOST_CODE
        assert (await log.get(damaged.id)).output == "printed"
    async with open_log() as log:
        assert (await log.summary(new.id)).status == "ok"


@pytest.mark.parametrize(
    "record", [5, "x", b"[]", b'{"environment":"local","statuz":"ok"}', b'{"exit_code":[]}', b"[" * 3000]
)
async def test_of_a_damaged_record_is_shown_what_the_row_says_and_that_it_was_damaged(
    open_log: Any, log_path: Path, record: Any
) -> None:
    identifier = await written(open_log, 2)
    with edited(log_path) as db:
        db.execute("UPDATE executions SET record = ?", (record,))

    async with open_log() as log:
        (found,) = await log.list()
        *_, last = [event async for event in log.read(identifier)]
        full = await log.get(identifier)

    assert (found.id, found.environment, found.status, found.last_event) == (identifier, "local", "ok", 3)
    assert found.verdict is not None
    assert found.verdict.cause == LOST_RECORD
    assert found.finished_at is not None
    assert (last.type, last.data["execution"]["status"]) == ("end", "ok")
    assert full.output == "0\n1\n"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        *(("stream", data) for data in (5, "text", b"[]", b"{}", b'{"name":1,"text":"x","time":"t"}')),
        ("display_data", b'{"data":5,"metadata":{},"time":"t"}'),
        ("error", b'{"traceback":[1],"time":"t"}'),
        (b"stream", b'{"name":"stdout","text":"x","time":"t"}'),
        ("end", b'{"execution":{"status":"ok"},"time":"t"}'),
        ("no\nsuch", b'{"time":"t"}'),
    ],
)
async def test_a_damaged_event_has_a_mark_in_its_place_and_hides_no_other(
    open_log: Any, log_path: Path, kind: Any, data: Any
) -> None:
    identifier = await written(open_log, 3)
    with edited(log_path) as db:
        db.execute("UPDATE events SET type = ?, data = ? WHERE id = (1 << 32) + 2", (kind, data))

    async with open_log() as log:
        entries = [entry async for entry in log.entries(identifier)]
        output = json.loads(b"".join(await log.document(identifier)))["output"]

    assert [entry.number for entry in entries] == [1, 2, 3, 4]
    assert [entry.type for entry in entries] == ["stream"] * 3 + ["end"]
    assert output == f"0\n{LOST['text']}2\n"


async def test_json_that_is_not_of_our_form_is_written_anew(open_log: Any, log_path: Path) -> None:
    identifier = await written(open_log, 1)
    planted = b'{\n"name":"stdout","text":"a","text":"b","status":"ok","time":"t"}'
    with edited(log_path) as db:
        db.execute("UPDATE events SET data = ? WHERE id = (1 << 32) + 1", (planted,))

    async with open_log() as log:
        entry = await anext(log.entries(identifier))
        document = json.loads(b"".join(await log.document(identifier)))

    assert entry.json == b'{"name":"stdout","text":"b","time":"t"}'
    assert (document["output"], len(document["outputs"][0])) == ("b", 3)


async def test_numbers_that_have_run_out_are_begun_again_in_a_new_file(open_log: Any, log_path: Path) -> None:
    first, second = await written(open_log, 2), await written(open_log, 2)
    with edited(log_path) as db:
        db.execute("UPDATE executions SET seq = ? WHERE id = ?", (2**63 - 1, second))

    async with open_log() as log:
        new = end(log, begin(log))
        await log.flush()
        found = {execution.id for execution in await log.list()}
        assert "was damaged" in log.warning
        assert len(moved_aside(log_path)) == 1
        assert (await log.get(first)).output == "0\n1\n"

    assert found == {first, second, new.id}


async def test_a_table_that_was_dropped_is_damage(open_log: Any, log_path: Path) -> None:
    async with open_log() as log:
        before = end(log, begin(log))
        await log.flush()
        with edited(log_path) as db:
            db.execute("DROP TABLE code")
        after = end(log, begin(log))
        await log.flush()
        await asyncio.sleep(0.1)
        await log.flush()
        assert "was damaged" in log.warning
        found = {execution.id: execution for execution in await log.list()}

    assert found.keys() == {before.id, after.id}
    assert found[before.id].code_blocks[0].code == LOST_CODE


async def test_damaged_rows_are_forgotten_in_their_time(open_log: Any, log_path: Path) -> None:
    for _ in range(4):
        await written(open_log, 1)
    with edited(log_path) as db:
        db.execute("UPDATE executions SET created_at = 5, record = 5, id = x'00' WHERE seq = 1")
        db.execute("UPDATE executions SET ended_at = x'00', last_event = 'x' WHERE seq = 2")

    async with open_log(max_executions=1) as log:
        log._writer.tidy()
        for _ in range(200):
            if len(await log.list()) == 1:
                break
            await asyncio.sleep(0.01)
        assert len(await log.list()) == 1
