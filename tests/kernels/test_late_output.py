"""What a thread prints after its block has ended: with its own block's record, and with no other's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_exec_ext.events import Event
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.lateoutput import LATE_LIMIT
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

# Until it is told to, so that the block has certainly ended.
THREAD = """
import threading
go = threading.Event()
def speak():
    go.wait()
    print("late")
    display({"text/plain": "shown", "text/html": "<b>shown</b>"}, raw=True)
    print(TAIL)
threading.Thread(target=speak).start()
print("soon")
"""
QUIET = THREAD.replace("TAIL", "'end'")


async def till(look: Callable[[], Any]) -> Any:
    """Wait until something is there."""
    for _ in range(200):
        if found := look():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come")


async def test_a_library_user_is_given_late_events(make: Make) -> None:
    executor = await make()
    late: list[Event] = []

    first = await executor.execute_code_blocks([CodeBlock(code=QUIET)], RunOptions(late=late.append))
    second = await executor.execute_code_blocks([CodeBlock(code="go.set(); import time; time.sleep(.5)")])
    await till(lambda: "end\n" in "".join(event.data.get("text", "") for event in late))

    assert (first.output, second.output) == ("soon\n", "")
    assert [event.type for event in late] == ["stream", "display_data", "stream"]
    assert late[1].data["data"] == {"text/plain": "shown", "text/html": "<b>shown</b>"}


async def test_of_a_thread_that_never_stops_printing_the_beginning_is_kept(make: Make) -> None:
    executor = await make()
    late: list[Event] = []
    code = THREAD.replace("print(TAIL)", "[print('x' * 999) for _ in range(2000)]; print('over')")

    await executor.execute_code_blocks([CodeBlock(code=code)], RunOptions(late=late.append))
    await executor.execute_code_blocks([CodeBlock(code="go.set()")])
    await till(lambda: late and late[-1].truncated)
    await executor.execute_code_blocks([CodeBlock(code="import time; time.sleep(1)")])

    text = "".join(event.data.get("text", "") for event in late)
    assert LATE_LIMIT - 2000 < len(text) < LATE_LIMIT + 200
    assert text.endswith(f"no more than {LATE_LIMIT:,} bytes are kept]\n")
    assert len(late) < 100


async def test_what_has_come_when_the_kernel_ends_is_told(make: Make) -> None:
    executor = await make()
    late: list[Event] = []
    code = """
import threading, time
def tick():
    for number in range(60):
        time.sleep(0.02)
        print("tick", number, flush=True)
ticking = threading.Thread(target=tick)
ticking.start()
"""
    await executor.execute_code_blocks([CodeBlock(code=code)], RunOptions(late=late.append))
    await executor.execute_code_blocks([CodeBlock(code="ticking.join()")])

    await executor.stop()

    assert "tick 59\n" in "".join(event.data["text"] for event in late)


@pytest.fixture
def jp_server_config(jp_server_config: dict[str, Any]) -> dict[str, Any]:
    """No kernels ahead."""
    return {**jp_server_config, "KernelPool": {"ready_per_environment": 0}}


async def test_late_output_is_in_its_own_record_and_its_end_has_the_next_number(
    rest: Callable[..., Any],
) -> None:
    async def ask(verb: str, path: str, body: Any = None, **options: Any) -> Any:
        return json.loads((await rest(verb, path, body, **options)).body or "null")

    session = (await ask("POST", "sessions", {"environment": "kernel:python3"}))["id"]
    first = await ask("POST", "executions", {"session": session, "code": QUIET}, wait=30)
    second = await ask("POST", "executions", {"session": session, "code": "go.set()"}, wait=30)

    for _ in range(200):
        now = await ask("GET", f"executions/{first['id']}")
        if now["output"].endswith("end\n"):
            break
        await asyncio.sleep(0.05)
    assert (first["output"], now["output"]) == ("soon\n", "soon\nlate\nshown\nend\n")
    assert now["last_event"] == first["last_event"] + 4
    assert {**now, "output": 0, "outputs": 0, "last_event": 0} == {
        **first,
        "output": 0,
        "outputs": 0,
        "last_event": 0,
    }
    assert (await ask("GET", f"executions/{second['id']}"))["output"] == ""
    # and who has read the old end is told of the new one
    since = {"since": first["last_event"]}
    events = (await rest("GET", f"executions/{first['id']}/events", **since)).body.decode()
    assert "event: end\n" in events
    assert all(text in events for text in ("late", "shown", "end"))
    nothing = await rest("GET", f"executions/{first['id']}/events", since=now["last_event"])
    assert nothing.code == 204
