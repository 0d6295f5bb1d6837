"""JupyterCodeExecutor: what a library user sees. Real kernels, no server."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jupyter_exec_ext.errors import Conflict, InvalidRequest, UnknownLanguage
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.executors.base import CodeResult, RunOptions
from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.kernels.client import JupyterClient
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

SWALLOW = "import time\nwhile True:\n    try: time.sleep(10)\n    except KeyboardInterrupt: pass"


async def run(executor: JupyterCodeExecutor, code: str, language: str = "", **options: Any) -> CodeResult:
    return await executor.execute_code_blocks(
        [CodeBlock(code=code, language=language)], RunOptions(**options)
    )


def told(result: CodeResult) -> tuple[Any, ...]:
    return result.outcome.status, result.exit_code, result.output


async def test_variables_last_from_block_to_block(make: Make) -> None:
    executor = await make()
    assert told(await run(executor, "x = 6\nx * 7")) == ("ok", 0, "42\n")
    assert told(await run(executor, "print(x)")) == ("ok", 0, "6\n")


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


@pytest.mark.parametrize(("code", "exit_code"), [("3", 3), ("0", 0), ("'text'", 1), ("", 0)])
async def test_sys_exit_gives_the_exit_code(make: Make, code: str, exit_code: int) -> None:
    executor = await make()
    result = await run(executor, f"import sys\nsys.exit({code})")
    assert result.exit_code == exit_code
    assert (result.outcome.status == "ok") == (exit_code == 0)


async def test_another_language_goes_through_its_cell_magic_or_is_refused(make: Make) -> None:
    executor = await make()

    shell = await run(executor, "echo $((6*7)); exit 3", "bash")

    assert (shell.outcome.status, shell.exit_code) == ("failed", 3)
    assert shell.output.startswith("42\n")
    assert (await run(executor, "console.log(1)", "js")).outcome.status == "ok"
    with pytest.raises(
        UnknownLanguage, match=r"kernel:python3 runs python, and has no cell magic for 'julia'"
    ):
        await run(executor, "1", "julia")


async def test_blocks_stop_at_the_first_failure(make: Make) -> None:
    executor = await make()
    blocks = [CodeBlock(code="print(1)"), CodeBlock(code="1/0"), CodeBlock(code="print('never')")]

    result = await executor.execute_code_blocks(blocks)
    assert "never" not in result.output
    assert result.exit_code == 1

    result = await executor.execute_code_blocks(blocks, RunOptions(stop_on_error=False))
    assert "never" in result.output
    assert result.exit_code == 1


async def test_the_timeout_is_wall_clock_also_for_a_cell_that_prints(make: Make) -> None:
    executor = await make()
    await run(executor, "x = 1")
    began = time.monotonic()

    result = await run(
        executor, "import time\nwhile True: print('.', flush=True); time.sleep(0.05)", timeout=1
    )

    assert time.monotonic() - began < 3
    assert (result.outcome.status, result.exit_code) == ("timeout", 124)
    assert result.output.startswith(".\n.\n")
    assert result.outcome.verdict.state_kept
    assert "Timeout" in str(result.outcome.verdict.cause)
    assert (await run(executor, "x")).output == "1\n"


async def test_a_kernel_that_ignores_the_interrupt_is_restarted(make: Make) -> None:
    executor = await make(interrupt_grace=0.5)
    await run(executor, "x = 1")
    began = time.monotonic()

    result = await run(executor, SWALLOW, timeout=1)

    assert time.monotonic() - began < 6
    assert (result.outcome.status, result.exit_code) == ("timeout", 124)
    assert not result.outcome.verdict.state_kept
    assert "restarted" in str(result.outcome.verdict.cause)
    assert (await run(executor, "'x' in globals()")).output == "False\n"


@pytest.mark.parametrize("policy", ["interrupt", "keep"])
async def test_by_policy_it_is_not_restarted(make: Make, client: JupyterClient, policy: str) -> None:
    executor = await make(interrupt_grace=0.2, on_timeout=policy)
    code = SWALLOW if policy == "interrupt" else "import time; time.sleep(3); x = 5"

    result = await run(executor, code, timeout=0.5)

    assert result.outcome.status == "timeout"
    assert "restarted" not in str(result.outcome.verdict.cause)
    if policy == "keep":
        assert (await run(executor, "x")).output == "5\n"


async def test_cancel_interrupts_and_the_state_is_kept(make: Make) -> None:
    executor = await make()
    await run(executor, "x = 1")
    task = asyncio.create_task(run(executor, "import time\nprint('on', flush=True)\ntime.sleep(60)"))
    await asyncio.sleep(1)

    await executor.cancel()
    await executor.cancel()
    result = await asyncio.wait_for(task, 5)

    assert (result.outcome.status, result.exit_code) == ("cancelled", 130)
    assert result.output.startswith("on\n")
    assert result.outcome.verdict.state_kept
    assert (await run(executor, "x")).output == "1\n"


async def test_input_and_getpass_are_answered(make: Make) -> None:
    executor = await make()
    asked: list[Event] = []
    printed = ""
    code = "print('hi', input('name? '))\nimport getpass\nprint(len(getpass.getpass('Password: ')))"

    async for event in executor.run([CodeBlock(code=code)], RunOptions(allow_stdin=True)):
        if event.type == "input_request":
            asked.append(event)
            await executor.send_input("Ada")
        elif event.type == "stream":
            printed += event.data["text"]

    assert printed == "hi Ada\n3\n"
    assert [event.data for event in asked] == [
        {"prompt": "name? ", "password": False},
        {"prompt": "Password: ", "password": True},
    ]
    with pytest.raises(Conflict):
        await executor.send_input("nobody asked")


async def test_input_without_allow_stdin_is_refused_at_once_and_given_text_is_read(make: Make) -> None:
    executor = await make()
    refused = await run(executor, "input()")
    assert refused.outcome.status == "failed"
    assert "StdinNotImplementedError" in refused.output

    given = await run(executor, "print(input(), input())\ninput()", stdin="a\nb\n")
    assert given.output.startswith("a b\n")
    assert "EOFError" in given.output


async def test_a_kernel_that_dies_is_said_and_started_again(make: Make) -> None:
    executor = await make()
    began = time.monotonic()

    result = await run(executor, "print('last', flush=True)\nimport os, time; time.sleep(.2); os._exit(1)")

    assert time.monotonic() - began < 5
    assert told(result) == ("failed", 1, "last\n")
    assert "The kernel died" in str(result.outcome.verdict.cause)
    assert not result.outcome.verdict.state_kept
    assert told(await run(executor, "print(2)")) == ("ok", 0, "2\n")


async def test_a_kernel_killed_by_a_signal_names_it(make: Make) -> None:
    executor = await make("faulty")
    result = await run(executor, "die 9")
    assert told(result) == ("failed", 137, "last words\n")
    assert result.outcome.verdict.signal == "SIGKILL"


async def test_a_restart_by_somebody_else_is_lost_with_its_output(make: Make, client: JupyterClient) -> None:
    executor = await make()
    task = asyncio.create_task(run(executor, "print('on', flush=True)\nimport time; time.sleep(60)"))
    await asyncio.sleep(1)

    await client._multi.restart_kernel(executor.kernel_id, now=True)
    result = await asyncio.wait_for(task, 5)

    assert told(result) == ("lost", None, "on\n")
    assert "restarted by somebody else" in str(result.outcome.verdict.cause)
    assert told(await run(executor, "print(2)")) == ("ok", 0, "2\n")


async def test_a_kernel_shut_down_by_somebody_else_is_lost(make: Make, client: JupyterClient) -> None:
    executor = await make()
    task = asyncio.create_task(run(executor, "import time; time.sleep(60)"))
    await asyncio.sleep(1)

    await client._multi.shutdown_kernel(executor.kernel_id, now=True)
    result = await asyncio.wait_for(task, 5)

    assert result.outcome.status == "lost"
    assert told(await run(executor, "print(2)")) == ("ok", 0, "2\n")


async def test_a_restart_between_two_runs_is_the_loss_of_neither(make: Make, client: JupyterClient) -> None:
    executor = await make()
    await run(executor, "x = 1")

    await client._multi.restart_kernel(executor.kernel_id, now=True)
    await asyncio.sleep(1)

    for _ in range(2):
        result = await run(executor, "import time; time.sleep(1); print('x' in globals())")
        assert told(result) == ("ok", 0, "False\n")


@pytest.mark.parametrize(("rest", "pause"), [(0, 0), (1, 0), (1, 0.2)])
async def test_a_run_right_after_a_restart_by_somebody_else_has_a_prepared_kernel(
    make: Make, client: JupyterClient, rest: float, pause: float
) -> None:
    executor = await make()
    await run(executor, "x = 1")
    await asyncio.sleep(rest)  # the connection looks after the kernel for a moment after a run

    await client._multi.restart_kernel(executor.kernel_id, now=True)
    await asyncio.sleep(pause)

    code = "import sys, threading; print('x' in globals(), sys.stdout.flush.__name__)"
    assert told(await run(executor, code)) == ("ok", 0, "False empty_and_flush\n")
    late = "import time; threading.Thread(target=lambda: [time.sleep(.5), print('late')]).start()"
    assert told(await run(executor, late)) == ("ok", 0, "")
    assert told(await run(executor, "time.sleep(1.5); print('mine')")) == ("ok", 0, "mine\n")


async def test_nothing_is_kept_of_a_kernel_that_is_gone(make: Make, client: JupyterClient) -> None:
    executor = await make()
    await run(executor, "1")
    await executor.stop()
    connections = client._connections
    assert (connections._made, connections._locks) == ({}, {})


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


async def test_another_kernel_runs_its_own_language(make: Make) -> None:
    executor = await make("faulty")
    assert executor.environment.describe().languages == ["faults"]
    assert told(await run(executor, "say hello")) == ("ok", 0, "hello")
    with pytest.raises(UnknownLanguage):
        await run(executor, "1", "python")


async def test_an_attached_kernel_shares_its_state_and_lives_on(make: Make, client: JupyterClient) -> None:
    own = await make()
    await run(own, "x = 5")
    attached = await make(kernel_id=own.kernel_id)

    assert (await run(attached, "x")).output == "5\n"
    assert "In [1]" not in (await run(attached, "1/0")).output
    await attached.stop()

    assert (await run(own, "x")).output == "5\n"
    count = (await run(own, "get_ipython().execution_count")).output
    assert count == "4\n"  # IPython is one ahead in a cell; what was attached has not counted


async def test_environment_variables_for_a_run_are_refused(make: Make) -> None:
    executor = await make()
    with pytest.raises(InvalidRequest, match="^env: "):
        await run(executor, "1", env={"A": "1"})


async def test_nothing_secret_of_the_server_reaches_a_kernel(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret")
    executor = await make()
    assert (await run(executor, "import os\n'MY_TOKEN' in os.environ")).output == "False\n"


async def test_kernels_begin_in_the_workspace(make: Make, tmp_path: Path) -> None:
    executor = await make()
    assert (await run(executor, "import os; print(os.getcwd())")).output == f"{tmp_path.resolve()}\n"


async def test_without_a_client_it_has_its_own_kernels(tmp_path: Path, specs: Any) -> None:
    from jupyter_exec_ext.environments.kernel import KernelEnvironment

    environment = KernelEnvironment("kernel:python3", specs.get_all_specs()["python3"])
    async with JupyterCodeExecutor(environment, tmp_path) as executor:
        assert told(await run(executor, "print(1)")) == ("ok", 0, "1\n")


async def test_the_wait_for_a_kernel_that_others_keep_busy_is_told_and_counted_apart(
    make: Make, client: JupyterClient
) -> None:
    own = await make()
    attached = await make(kernel_id=own.kernel_id)
    others = asyncio.create_task(run(own, "import time; time.sleep(2)\nx = 1"))
    # another client of the same kernel: its messages are nobody's request here
    attached.client, private = JupyterClient(client._multi), attached.client
    await attached.client.connect(own.kernel_id)
    await asyncio.sleep(0.5)

    events = [
        event async for event in attached.run([CodeBlock(code="x")], RunOptions(timeout=1, allow_stdin=False))
    ]
    await others
    await attached.client.close()
    attached.client = private

    assert [event.data["status"] for event in events if event.type == "status"] == ["queued", "running"]
    outcome = events[-1].data["outcome"]
    assert outcome.status == "ok", outcome
    assert outcome.verdict.wall_seconds < 1


async def test_what_waits_for_a_busy_kernel_is_cancelled_without_having_run(
    make: Make, client: JupyterClient
) -> None:
    own = await make()
    others = asyncio.create_task(run(own, "import time; time.sleep(2)"))
    await asyncio.sleep(0.5)
    second = JupyterClient(client._multi)
    attached = JupyterCodeExecutor(own.environment, own.workspace, client=second, kernel_id=own.kernel_id)
    await attached.start()
    task = asyncio.create_task(run(attached, "y = 1"))
    await asyncio.sleep(0.5)

    await attached.cancel()
    result = await asyncio.wait_for(task, 1)
    await second.close()

    assert result.outcome.status == "cancelled"
    assert (await others).outcome.status == "ok", (await others).output  # nobody interrupted it
    assert (await run(own, "'y' in globals()")).output == "False\n"
