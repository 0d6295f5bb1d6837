"""Long answers that nobody reads: the server holds few of them, and says so to whoever waits for room."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from answers import read, told
from streams import following

from jupyter_exec_ext.app import ExecApp
from jupyter_exec_ext.handlers import answers

Rest = Callable[..., Any]
LONG = {"code": "print('x' * 8_000_000)", "language": "python"}


@pytest.fixture
def narrow(exec_app: ExecApp, monkeypatch: pytest.MonkeyPatch) -> ExecApp:
    """An application with room for one long answer."""
    monkeypatch.setattr(exec_app.long_answers, "LIMIT", 9 * 1024 * 1024)
    monkeypatch.setattr(answers, "ROOM_SECONDS", 0.5)
    return exec_app


async def all_sent(exec_app: ExecApp) -> None:
    """Wait until nothing is held: the server knows of the end of an answer after its reader."""
    for _ in range(100):
        if not exec_app.long_answers.held:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{exec_app.long_answers.held} bytes are held")


async def test_who_finds_no_room_is_told_and_what_was_done_is_done(rest: Rest, narrow: ExecApp) -> None:
    # given: a reader that does not read
    first = read(await rest("POST", "executions", LONG, wait=60), 201)["id"]
    async with following(narrow, f"executions/{first}") as reader:
        await reader.until(b"\r\n\r\n")
        assert narrow.long_answers.held > 8_000_000
        # when
        refused = await rest("GET", f"executions/{first}")
        made = read(await rest("POST", "executions", LONG, wait=60), 201)
        short = read(await rest("POST", "executions", {**LONG, "code": "print(1)"}, wait=60), 201)
        # then
        assert told(refused) == (503, "unavailable", None)
        assert refused.headers["Retry-After"] == "5"
        assert "too slowly" in json.loads(refused.body)["message"]
        assert (made["status"], made["output"]) == ("ok", None)
        assert (short["status"], short["output"]) == ("ok", "1\n")
    # then: with the reader its room is back
    await all_sent(narrow)
    assert len(read(await rest("GET", f"executions/{made['id']}"))["output"]) == 8_000_001


async def test_a_reader_that_reads_a_little_now_and_then_is_cut_off(
    rest: Rest, exec_app: ExecApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    exec_app.stalled_reader_seconds = 0.7
    monkeypatch.setattr(answers, "LEAST_RATE", 100_000_000)
    first = read(await rest("POST", "executions", LONG, wait=60), 201)["id"]
    async with following(exec_app, f"executions/{first}") as reader:
        await reader.until(b"\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.2)
            await reader._reader.read(200_000)
        assert len(await reader.rest()) < 15_000_000
    await all_sent(exec_app)


async def test_many_fast_readers_all_get_theirs(rest: Rest, exec_app: ExecApp) -> None:
    records = [read(await rest("POST", "executions", LONG, wait=60), 201)["id"] for _ in range(4)]
    found = await asyncio.gather(*(rest("GET", f"executions/{record}") for record in records * 4))
    assert {len(read(answer)["output"]) for answer in found} == {8_000_001}
    await all_sent(exec_app)
