"""JupyterCodeExecutor: what a kernel shows, as events and outputs, bounded and nobody else's."""

from __future__ import annotations

import nbformat

from jupyter_exec_ext.models import CodeBlock

from .conftest import Make, run, told


async def test_messages_become_events_one_to_one_and_outputs_are_nbformat(make: Make) -> None:
    executor = await make()
    code = """
from IPython.display import display, HTML, clear_output, update_display
print("gone"); clear_output(wait=True)
print("kept")
display(HTML("<b>old</b>"), display_id="a"); update_display(HTML("<b>new</b>"), display_id="a")
import sys; print("bad", file=sys.stderr)
{"a": 1}
"""
    events = [event async for event in executor.run([CodeBlock(code=code)])]
    result = await run(executor, code)

    types = [event.type for event in events]
    assert types[0] == "block"
    assert types[-1] == "end"
    wanted = ["stream", "clear_output", "display_data", "update_display_data", "execute_result"]
    assert [kind for kind in wanted if kind in types] == wanted
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=result.outputs)])
    nbformat.validate(notebook)
    assert [output.get("text") for output in result.outputs] == ["kept\n", None, "bad\n", None]
    assert result.outputs[1]["data"]["text/html"] == "<b>new</b>"
    assert result.outputs[3]["data"] == {"text/plain": "{'a': 1}"}


async def test_an_error_keeps_the_output_before_it_and_its_text_has_no_colours(make: Make) -> None:
    executor = await make()

    result = await run(executor, "print('before')\n1 / 0")

    assert (result.outcome.status, result.exit_code) == ("failed", 1)
    assert result.output.startswith("before\n---")
    assert result.output.endswith("ZeroDivisionError: division by zero\n")
    assert "\x1b" not in result.output
    assert result.outputs[-1]["ename"] == "ZeroDivisionError"
    assert result.outcome.verdict.cause == "It ended with ZeroDivisionError: division by zero."


async def test_late_output_of_a_thread_is_not_the_next_ones(make: Make) -> None:
    executor = await make()
    late = (
        "import threading, time\n"
        "threading.Thread(target=lambda: [time.sleep(.5), print('late', flush=True)]).start()"
    )
    await run(executor, late)
    result = await run(executor, "time.sleep(1.5); print('mine')")
    assert result.output == "mine\n"


async def test_a_flood_is_bounded_its_head_and_tail_kept(make: Make) -> None:
    executor = await make("faulty", output_limit=50_000)

    events = [event async for event in executor.run([CodeBlock(code="flood 20000")])]
    result = await run(executor, "flood 20000")

    assert len(events) < 500
    assert result.outcome.truncated
    assert result.outcome.verdict.limits_hit == ["output"]
    assert len(result.output) < 51_000
    assert result.output.startswith("0\n1\n2\n")
    assert result.output.endswith("19998\n19999\n")
    assert "bytes of output were dropped here" in result.output


async def test_updates_and_comms_in_a_flood_are_coalesced(make: Make) -> None:
    executor = await make("faulty", output_limit=1_000_000)

    events = [event async for event in executor.run([CodeBlock(code="displays 20000")])]

    assert len(events) < 5000
    assert [event.data["data"] for event in events if event.type == "update_display_data"][-1] == {
        "text/plain": "19999"
    }
    assert told(await run(executor, "comms 2000")) == ("ok", 0, "done\n")


async def test_a_huge_display_becomes_a_placeholder_that_says_so(make: Make) -> None:
    executor = await make()
    code = "from IPython.display import HTML, display\ndisplay(HTML('x' * {}))"

    large = await run(executor, code.format(6_000_000))
    huge = await run(executor, code.format(100_000_000))

    assert "text/html of 6,000,002 bytes" in large.output
    assert "a display_data message of 100,000," in huge.output
    assert large.outcome.truncated
    assert huge.outcome.truncated


async def test_what_is_no_message_is_left_out(make: Make) -> None:
    executor = await make("faulty")
    result = await run(executor, "nonsense")
    assert result.outcome.status == "ok"
    assert result.output.endswith("after\n")
