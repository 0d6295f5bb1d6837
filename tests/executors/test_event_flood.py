"""Whatever becomes an event is bounded: no supervisor fills the log, and no honest program meets a bound."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jupyter_exec_ext.events import Event
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.commandline import CommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make
from .liar import Liar

LIMIT = 1 << 20
#: How a block begins, and what is then said until it is a lie.
LIES = {
    "asks where nothing is to be asked": (False, "tell('asks', prompt='p')", "none can be given", 0),
    "asks without end": (True, "tell('asks', prompt='p' * 900)", "before anybody had answered", 1),
    "asks at length": (True, "tell('asks', prompt='p' * 9000)", "not its protocol", 0),
    "dropped without end": (False, "tell('dropped', dropped=1, total=2**53)", "said twice", 1),
    "dropping without end": (False, "tell('dropping', dropped=1)", "told too often", 300),
    "byte by byte": (False, "give(STDOUT, b'x')", "more pieces than it may", 200_000),
    "nothing, without end": (False, "give(STDERR, b'')", "that was empty", 0),
    "more than it may": (False, "give(STDOUT, bytes(60000))", "more output than it may", LIMIT // 60000),
}


async def events_of(
    executor: CommandLineCodeExecutor, code: str, answer: str | None = None, language: str = "python"
) -> list[Event]:
    """What happens while a block runs, each question of it answered."""
    options = RunOptions(timeout=40, allow_stdin=answer is not None)
    events = []
    async for event in executor.run([CodeBlock(code=code, language=language)], options):
        events.append(event)
        if event.type == "input_request" and answer:
            await executor.send_input(answer)
    return events


@pytest.mark.parametrize("name", LIES)
async def test_a_flood_of_events_is_a_lie_that_ends_the_session(tmp_path: Path, name: str) -> None:
    live, lie, says, most = LIES[name]
    deed = f"tell('started', path='/x')\nwhile True: {lie}"
    async with Liar(tmp_path, deed, output_limit=LIMIT) as executor:
        events = await asyncio.wait_for(events_of(executor, "1", "" if live else None), 30)

        outcome = events[-1].data["outcome"]
        assert outcome.status == "env_error"
        assert says in str(outcome.verdict.cause)
        assert len(events) <= most + 2
        assert not executor.alive


async def test_the_texts_of_questions_count_and_are_cut_where_there_is_no_more_room(tmp_path: Path) -> None:
    # given one that asks at length, and again after each answer
    deed = """
if op == 'run':
    tell('started', path='/x')
    for i in range(20):
        tell('asks', prompt='p' * 1000)
        while b'yes' not in os.read(0, 65536): pass
    end()
"""
    async with Liar(tmp_path, deed, output_limit=4096) as executor:
        events = await events_of(executor, "1", "yes")

    questions = [event.data["prompt"] for event in events if event.type == "input_request"]
    assert [len(prompt) for prompt in questions] == [1000] * 4 + [96] + [0] * 15
    assert events[-1].data["outcome"].status == "ok"
    assert events[-1].data["outcome"].truncated


@pytest.mark.parametrize(("portable", "count"), [(False, 100), (True, 3)])
async def test_a_program_that_asks_again_and_again_gets_its_answers(
    make: Make, portable: bool, count: int
) -> None:
    executor = await make(portable=portable, output_limit=512)
    code = f"for i in range({count}): print(i, input('what now? '))"

    events = await events_of(executor, code, "go on")

    assert events[-1].data["outcome"].status == "ok"
    questions = [event.data["prompt"] for event in events if event.type == "input_request"]
    assert len(questions) == count
    assert all("what now? ".startswith(prompt) for prompt in questions)
    assert questions[:2] == ["what now? "] * 2


async def test_answers_given_ahead_are_no_licence_to_ask_and_no_lie(make: Make) -> None:
    executor = await make()
    code = "import time\nprint('on', flush=True)\ntime.sleep(.3)\nprint([input('? ') for _ in range(3)])"
    seen = []
    async for event in executor.run(
        [CodeBlock(code=code, language="python")], RunOptions(allow_stdin=True, timeout=30)
    ):
        seen.append(event)
        if event.type == "stream" and event.data["text"] == "on\n":
            await executor.send_input("1\n2\n3")

    assert seen[-1].data["outcome"].status == "ok"
    assert "['1', '2', '3']" in "".join(e.data["text"] for e in seen if e.type == "stream")


ALTERNATE = """
import os, time
until = time.monotonic() + 4
while time.monotonic() < until:
    for _ in range(10):
        os.write(1, b'o'); os.write(2, b'e')
    {pause}
"""


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("pause", ["time.sleep(.001)", "pass"])
@pytest.mark.parametrize("limit", [100_000, 8 << 20])
async def test_a_program_that_changes_streams_at_every_byte_is_no_lie(
    make: Make, pause: str, limit: int, portable: bool
) -> None:
    executor = await make(output_limit=limit, portable=portable)

    outcome = (await events_of(executor, ALTERNATE.format(pause=pause)))[-1].data["outcome"]

    assert outcome.status == "ok", outcome.verdict.cause
