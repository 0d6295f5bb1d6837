"""One run at a time with a named file, told to who waits; and one at a time in an executor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.errors import Conflict
from jupyter_exec_ext.events import Event, Outcome
from jupyter_exec_ext.executors.base import CodeExecutor, RunOptions
from jupyter_exec_ext.executors.routing import LanguageRouter
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

LONG = CodeBlock(code="# filename: job.sh\necho on; sleep 60", language="bash")
SHORT = CodeBlock(code="# filename: job.sh\necho short", language="bash")
WAITING = {"label": "waiting for job.sh, which another session runs", "current": 0, "total": None}


async def gathered(
    executor: CodeExecutor,
    *blocks: CodeBlock,
    each: Callable[[Event], None] = lambda event: None,
    **options: Any,
) -> tuple[list[Event], Outcome]:
    """The events of a run, and its outcome."""
    events = []
    async for event in executor.run(blocks, RunOptions(**options)):
        events.append(event)
        each(event)
    outcome: Outcome = events.pop().data["outcome"]
    return events, outcome


def progress(events: list[Event]) -> list[dict[str, Any]]:
    return [event.data for event in events if event.type == "progress"]


async def test_who_waits_for_a_file_in_vain_is_told_so_and_never_started(make: Make) -> None:
    first, second = await make(), await make()
    stream = first.run([LONG])
    await stream.__anext__()

    events, outcome = await gathered(second, SHORT, timeout=0.3)

    assert progress(events) == [WAITING]
    assert (outcome.status, outcome.exit_code, outcome.code_files) == ("timeout", 124, [])
    assert outcome.verdict.cause == (
        "Timeout: block 1 of 1 waited for job.sh, which another session runs, and had not begun when the "
        "0.3 s were over; allow more time, or use another file name."
    )
    await stream.aclose()
    events, outcome = await gathered(second, SHORT, timeout=5)
    assert (progress(events), outcome.status) == ([], "ok")


async def test_who_waits_for_a_file_runs_when_it_is_free(make: Make) -> None:
    first, second, third = [await make() for _ in range(3)]
    stream = first.run([LONG])
    await stream.__anext__()
    begun = asyncio.Event()

    waiting = [
        asyncio.ensure_future(gathered(other, SHORT, each=lambda event: begun.set(), timeout=20))
        for other in (second, third)
    ]
    await begun.wait()
    await stream.aclose()

    for events, outcome in await asyncio.gather(*waiting):
        assert progress(events) == [WAITING]
        assert outcome.status == "ok"


async def test_who_waits_for_a_file_can_be_cancelled(make: Make) -> None:
    first, second = await make(), await make()
    stream = first.run([LONG])
    await stream.__anext__()
    waiting = asyncio.ensure_future(gathered(second, SHORT))
    await asyncio.sleep(0.1)

    started = time.monotonic()
    await second.cancel()
    events, outcome = await waiting

    assert (outcome.status, outcome.exit_code, progress(events)) == ("cancelled", 130, [WAITING])
    assert time.monotonic() - started < 1
    await stream.aclose()


async def test_a_wait_that_is_given_up_leaves_the_file_to_others(make: Make) -> None:
    first, second, third = [await make() for _ in range(3)]
    stream = first.run([LONG])
    await stream.__anext__()
    given_up = asyncio.ensure_future(gathered(second, SHORT))
    waiting = asyncio.ensure_future(gathered(third, SHORT))
    await asyncio.sleep(0.1)

    given_up.cancel()
    await stream.aclose()

    assert (await waiting)[1].status == "ok"
    with pytest.raises(asyncio.CancelledError):
        await given_up


async def test_files_of_one_name_in_two_workspaces_do_not_wait(make: Make, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first, second = await make(), await make(workspace=tmp_path / "other")
    stream = first.run([LONG])
    await stream.__anext__()

    events, outcome = await gathered(second, SHORT, timeout=5)

    assert (progress(events), outcome.status) == ([], "ok")
    await stream.aclose()


@pytest.mark.parametrize("routed", [False, True])
@pytest.mark.parametrize("left_at", ["block", "stream", "end"])
async def test_a_run_that_was_left_by_break_is_no_conflict(make: Make, routed: bool, left_at: str) -> None:
    executor: CodeExecutor = await make()
    if routed:
        executor = LanguageRouter({"*": executor})
    code = "echo on" if left_at == "end" else "echo on; sleep 60"

    for _ in range(3):
        async for event in executor.run([CodeBlock(code=code, language="bash")]):
            if event.type == left_at:
                break
        result = await executor.execute_code_blocks([CodeBlock(code="echo next", language="sh")])
        assert (result.output, result.outcome.status) == ("next\n", "ok")


async def test_a_run_that_somebody_still_holds_is_a_conflict(make: Make) -> None:
    executor = await make()
    stream = executor.run([CodeBlock(code="echo on; sleep 60", language="bash")])
    async for _ in stream:
        break

    with pytest.raises(Conflict):
        await executor.execute_code_blocks([SHORT])

    await stream.aclose()


async def test_of_two_runs_after_one_that_was_left_one_is_a_conflict(make: Make) -> None:
    executor = await make()
    async for _ in executor.run([CodeBlock(code="sleep 60", language="bash")]):
        break

    block = CodeBlock(code="sleep 0.5", language="bash")
    results = await asyncio.gather(
        *(executor.execute_code_blocks([block]) for _ in range(2)), return_exceptions=True
    )

    assert sorted(type(result).__name__ for result in results) == ["CodeResult", "Conflict"]
