"""Looking things up: lists, idempotency keys, deletion, and a file that two servers share."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from test_log_events import begin, end, numbers

from jupyter_exec_ext.errors import Conflict, InvalidRequest, NotFound
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log.stored import LOST_CODE
from jupyter_exec_ext.models import CodeBlock, Execution


async def test_a_list_is_newest_first_filtered_paged_and_without_output(open_log: Any) -> None:
    async with open_log() as log:
        made = []
        for i in range(30):
            execution = begin(log, environment="local" if i % 2 else "venv:a", session=f"s{i % 3}")
            log.append(execution.id, Event.stream("stdout", "x"))
            if i < 20:
                end(log, execution, "failed" if i % 5 == 0 else "ok")
            if i == 15:
                await log.flush()  # some on disk, some in memory
            made.append(execution)
        newest = [execution.id for execution in reversed(made)]
        # when, then
        assert [e.id for e in await log.list()] == newest
        assert [e.id for e in await log.list(limit=3)] == newest[:3]
        assert [e.id for e in await log.list(limit=5, before=newest[9])] == newest[10:15]
        assert [e.id for e in await log.list(before=made[4].created_at)] == newest[26:]
        for filters in (
            {"environment": "local"},
            {"session": "s1"},
            {"status": "failed"},
            {"status": "queued"},
        ):
            ((name, value),) = filters.items()
            expected = [e.id for e in reversed(made) if getattr(e, name) == value]
            assert [e.id for e in await log.list(**filters)] == expected
        assert all(e.output is None and e.outputs is None for e in await log.list())
        with pytest.raises(InvalidRequest) as refused:
            await log.list(before="yesterday")
        assert refused.value.field == "before"


async def test_a_page_ends_after_much_code_and_paging_meets_every_execution_once(open_log: Any) -> None:
    async with open_log() as log:
        made = []
        for i in range(24):
            blocks = [CodeBlock(code="#" * (700_000 if i % 3 else 10), language="python")]
            execution = Execution(environment="local", code_blocks=blocks)
            log.create(execution, user="ada")
            made.append(execution)
            if i % 4:
                end(log, execution)
            if i % 7 == 0:
                await log.flush()
        newest = [execution.id for execution in reversed(made)]
        # when
        met: list[str] = []
        pages = []
        while page := await log.list(limit=50, before=met[-1] if met else None):
            pages.append(page)
            met += [execution.id for execution in page]
        # then
        assert met == newest
        assert len(pages) > 3
        sizes = [sum(len(block.code) for e in page for block in e.code_blocks) for page in pages]
        assert max(sizes) < 3 * 2**20


async def test_an_idempotency_key_finds_its_execution_in_memory_and_on_disk(open_log: Any) -> None:
    async with open_log() as log:
        execution = Execution(environment="local")
        log.create(execution, key="k1", body_hash="h1", user="ada")
        assert await log.find_key("k1") == (execution.id, "h1")
        with pytest.raises(Conflict):
            log.create(Execution(environment="local"), key="k1", body_hash="h2")
        end(log, execution)
    async with open_log() as log:
        assert await log.find_key("k1") == (execution.id, "h1")
        assert await log.find_key("k2") is None
        await log.delete(execution.id)
        assert await log.find_key("k1") is None


@pytest.mark.parametrize("flushed", [False, True])
async def test_delete_forgets_at_once_and_only_what_has_ended(open_log: Any, flushed: bool) -> None:
    async with open_log() as log:
        execution = begin(log)
        with pytest.raises(Conflict):
            await log.delete(execution.id)
        end(log, execution)
        if flushed:
            await log.flush()
        await log.delete(execution.id)
        for look in (log.get(execution.id), log.summary(execution.id), log.delete(execution.id)):
            with pytest.raises(NotFound):
                await look
        with pytest.raises(NotFound):
            await numbers(log, execution)
        assert await log.list() == []
        await log.flush()
        assert await log.list() == []
    async with open_log() as log:
        assert await log.list() == []


async def test_nothing_can_be_added_to_what_is_unknown_or_ended(open_log: Any) -> None:
    async with open_log() as log:
        with pytest.raises(NotFound):
            log.append("0" * 32, Event.stream("stdout", "x"))
        with pytest.raises(NotFound):
            await log.get("0" * 32)
        execution = begin(log)
        with pytest.raises(Conflict):
            log.finish(execution)  # still queued
        with pytest.raises(Conflict):
            log.create(execution)
        end(log, execution)
        with pytest.raises(Conflict):
            log.append(execution.id, Event.stream("stdout", "x"))
        execution.status = "running"
        log.update(execution)
        assert (await log.get(execution.id)).status == "ok"


async def test_updates_are_seen_at_once_and_a_reader_s_copy_is_its_own(open_log: Any) -> None:
    async with open_log() as log:
        execution = begin(log)
        execution.status = "running"
        log.update(execution)
        found = await log.summary(execution.id)
        assert found.status == "running"
        found.status = "failed"
        assert (await log.summary(execution.id)).status == "running"


async def test_a_flood_is_held_back_until_the_disk_has_it(open_log: Any) -> None:
    async with open_log() as log:
        execution = begin(log)
        most = 0
        for _ in range(3000):
            log.append(execution.id, Event.stream("stdout", "x" * 16_384))
            await log.drain()
            most = max(most, log._memory.unwritten_bytes)
        assert most < (8 << 20) + (128 << 10)
        end(log, execution)
        assert len((await log.get(execution.id)).output) == 3000 * 16_384


async def test_two_servers_share_a_file(open_log: Any) -> None:
    # given two logs on one file, both with live executions
    async with open_log() as one, open_log() as two:
        mine, theirs = begin(one), begin(two)
        one.append(mine.id, Event.stream("stdout", "one"))
        two.append(theirs.id, Event.stream("stdout", "two"))
        await asyncio.gather(one.flush(), two.flush())
        # when the second follows what runs in the first
        follower = asyncio.ensure_future(numbers(two, mine))
        await asyncio.sleep(0.1)
        one.append(mine.id, Event.stream("stdout", "more"))
        end(one, mine)
        # then
        assert await asyncio.wait_for(follower, 5) == [1, 2, 3]
        assert {e.id for e in await two.list()} == {mine.id, theirs.id}
        with pytest.raises(Conflict):
            await one.delete(theirs.id)
        # and a third server that starts does not touch what a live one runs
        async with open_log() as three:
            assert (await three.get(theirs.id)).status == "queued"
        end(two, theirs)


@pytest.mark.parametrize("code", ["print('é')", '\x00"\\', "x" * 200_000])
async def test_the_document_is_the_same_from_memory_and_from_disk(open_log: Any, code: str) -> None:
    async with open_log() as log:
        execution = begin(
            log, code_blocks=[CodeBlock(code=code, language="python"), CodeBlock(code="2", language="sh")]
        )
        log.append(execution.id, Event.stream("stdout", "out\n"))
        live = json.loads(b"".join(await log.document(execution.id)))
        end(log, execution)
        await log.flush()
        full, written = await log.get(execution.id), json.loads(b"".join(await log.document(execution.id)))
        outline = await log.outline(execution.id)

    assert written == json.loads(full.model_dump_json())
    assert live["code_blocks"] == written["code_blocks"] == [block.model_dump() for block in full.code_blocks]
    assert full.code_blocks[0].code == code
    assert (outline.status, outline.code_blocks, outline.last_event) == ("ok", [], full.last_event)


@pytest.mark.parametrize("blocks", [b'{"blocks":[{"code":"a"b"}]}', b"", b"{}", b"\xff" * 30, 5, "[[1]]"])
async def test_code_that_is_damaged_on_disk_has_a_mark_in_its_place(
    open_log: Any, log_path: Path, blocks: Any
) -> None:
    async with open_log() as log:
        execution = begin(log)
        end(log, execution)
        await log.flush()
        with contextlib.closing(sqlite3.connect(log_path)) as db, db:
            db.execute("UPDATE code SET blocks = ?", (blocks,))

        written = json.loads(b"".join(await log.document(execution.id)))

        assert written["code_blocks"] == [{"code": LOST_CODE, "language": ""}]
        assert written["status"] == "ok"
