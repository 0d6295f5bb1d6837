"""LocalCommandLineCodeExecutor: what a run prints, in its order and bounded, and what it reads."""

from __future__ import annotations

import select
from itertools import groupby
from operator import itemgetter
from typing import Any

import pytest

from jupyter_exec_ext.errors import (
    Conflict,
    SessionLost,
)
from jupyter_exec_ext.executors.base import RunOptions

from .conftest import Make, block, events_of


async def test_input_is_asked_for_and_answered(make: Make) -> None:
    executor = await make()
    asked: list[dict[str, Any]] = []
    printed = ""

    code = "print('hi', input('name? '))\nimport getpass\nprint(len(getpass.getpass('Password: ')))"
    async for event in executor.run([block(code)], RunOptions(allow_stdin=True)):
        if event.type == "input_request":
            asked.append(event.data)
            await executor.send_input("Ada")
        if event.type == "stream" and event.data["name"] == "stdout":
            printed += event.data["text"]

    assert printed == "name? hi Ada\n3\n"
    assert [request["password"] for request in asked] == [False, True]


async def test_a_given_text_is_read_to_its_end(make: Make) -> None:
    executor = await make()
    text = "line\n" * 200_000

    result = await executor.execute_code_blocks(
        [block("import sys; print(len(sys.stdin.read()))")], RunOptions(stdin=text)
    )

    assert result.output == f"{len(text)}\n"


async def test_input_without_allow_stdin_is_end_of_file(make: Make) -> None:
    executor = await make()

    result = await executor.execute_code_blocks([block("input()")])

    assert "EOFError" in result.output
    with pytest.raises(Conflict):
        await executor.send_input("x")


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="only Linux tells which pipe was written to first")
@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("import sys; print('first', file=sys.stderr); print('second')", "python"),
        ("echo first >&2; echo second", "sh"),
    ],
)
async def test_what_was_printed_first_comes_first(make: Make, code: str, language: str) -> None:
    executor = await make()

    printed = [(await executor.execute_code_blocks([block(code, language)])).output for _ in range(30)]

    assert printed == ["first\nsecond\n"] * 30


async def test_stdout_and_stderr_come_in_the_order_of_printing(make: Make) -> None:
    executor = await make()
    code = (
        "import sys, time\nfor i in range(5):\n"
        "  print(i); time.sleep(.05); print(i, file=sys.stderr); time.sleep(.05)"
    )

    events = await events_of(executor, block(code))

    pieces = [(e.data["name"], e.data["text"]) for e in events if e.type == "stream"]
    seen = [(name, "".join(text for _, text in run)) for name, run in groupby(pieces, key=itemgetter(0))]
    assert seen == [(name, f"{i}\n") for i in range(5) for name in ("stdout", "stderr")]


async def test_a_flood_costs_a_bounded_number_of_events(make: Make) -> None:
    executor = await make(output_limit=1024 * 1024)
    code = "import os\nfor i in range(300000): os.write(1, b'x' * 200)"

    events = await events_of(executor, block(code))

    outcome = events[-1].data["outcome"]
    assert outcome.truncated
    assert "output" in outcome.verdict.limits_hit
    assert sum(len(e.data["text"]) for e in events if e.type == "stream") < 1024 * 1024 + 500
    assert "60,000,000 bytes of output" in "".join(e.data["text"] for e in events if e.type == "stream")
    assert len(events) < 100 + 60 * outcome.verdict.wall_seconds


@pytest.mark.parametrize(("count", "each"), [(3, 4000), (4, 4000), (200, 50_000)])
async def test_all_blocks_together_print_no_more_than_the_limit(make: Make, count: int, each: int) -> None:
    executor = await make(output_limit=10_000)
    blocks = [block(f"print('x' * {each - 1})") for _ in range(count - 1)] + [block("print('the end')")]

    result = await executor.execute_code_blocks(blocks)

    assert result.output.count("x") <= 10_000
    assert result.output.endswith("the end\n")
    over = (count - 1) * each + 8 > 10_000
    assert result.outcome.truncated == over
    assert result.outcome.verdict.limits_hit == (["output"] if over else [])


async def test_a_flood_whose_session_was_lost_is_not_whole(make: Make) -> None:
    executor = await make(output_limit=8192)
    events = executor.run([block("while True: print('x' * 1000)")])
    async for event in events:
        if event.truncated:
            break

    executor._client.kill(SessionLost("It was killed."))

    outcome = [event async for event in events][-1].data["outcome"]
    assert (outcome.status, outcome.truncated, outcome.verdict.limits_hit) == ("lost", True, ["output"])
