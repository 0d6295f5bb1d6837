"""Kernels that start: what they are given, and one whose start nobody waits for any more. Real kernels."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.kernelspec import KernelSpecManager

from jupyter_exec_ext.errors import EnvironmentFailed, SessionLost
from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.kernels.client import JupyterClient
from jupyter_exec_ext.models import CodeBlock

Make = Callable[..., Awaitable[JupyterCodeExecutor]]
Rest = Callable[..., Any]


async def test_ipythons_configuration_is_read_where_the_user_has_it(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "profile_default"
    profile.mkdir()
    (profile / "ipython_kernel_config.py").write_text("c.HistoryManager.enabled = False\n")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))

    block = CodeBlock(code="print(get_ipython().history_manager.enabled)")
    result = await (await make()).execute_code_blocks([block])

    assert result.output == "False\n"


@pytest.mark.parametrize("seconds", [0, 0.001, 0.005])
async def test_a_start_that_is_cancelled_leaves_no_kernel_and_a_manager_that_can_stop(
    client: JupyterClient, seconds: float
) -> None:
    # given
    before = psutil.Process().children()
    kept = await client.start("python3")
    start = asyncio.create_task(client.start("python3"))
    await asyncio.sleep(seconds)
    # when
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    await client.close()
    # then
    assert [kernel["id"] for kernel in await client.list()] == [kept]
    await client._multi.shutdown_all(now=True)
    assert psutil.Process().children() == before


PIECES, SIZE = 1000, 100_000
FLOOD = f"for n in range({PIECES}): print(f'{{n:<{SIZE}}}', flush=True)"


async def test_what_is_printed_faster_than_it_is_read_waits_in_the_kernel(make: Make) -> None:
    # given
    executor = await make(output_limit=2 * PIECES * SIZE)
    before = psutil.Process().memory_info().rss
    run = asyncio.create_task(executor.execute_code_blocks([CodeBlock(code=FLOOD)]))
    await asyncio.sleep(0.05)
    # when: nobody reads for a while
    time.sleep(1.5)  # noqa: ASYNC251 - the loop must not turn
    grown = psutil.Process().memory_info().rss - before
    # then: 100 MB would be here without a limit, and all of it comes
    result = await run
    assert grown < 40_000_000
    assert result.outcome.status == "ok"
    assert [int(line) for line in result.output.splitlines()] == list(range(PIECES))


async def test_a_kernel_that_cannot_keep_its_output_is_not_made_to_wait_with_it(
    make: Make, specs: KernelSpecManager, caplog: pytest.LogCaptureFixture
) -> None:
    # given: one whose socket for output has its usual mark
    spec = specs.get_kernel_spec("python3")
    folder = Path(specs.kernel_dirs[0], "narrow")
    folder.mkdir()
    lines = ["import zmq; zmq.XPUB_NODROP = None"]
    argv = [*spec.argv, f"--IPKernelApp.exec_lines={lines}"]
    text = {"argv": argv, "language": "python", "display_name": "Narrow"}
    (folder / "kernel.json").write_text(json.dumps(text))
    # when
    executor = await make("narrow", output_limit=2 * PIECES * SIZE)
    run = asyncio.create_task(executor.execute_code_blocks([CodeBlock(code=FLOOD)]))
    await asyncio.sleep(0.05)
    time.sleep(1.5)  # noqa: ASYNC251 - the loop must not turn
    result = await run
    # then
    assert "messages: RuntimeError('the socket for output cannot be made to wait')" in caplog.text
    assert [int(line) for line in result.output.splitlines()] == list(range(PIECES))


async def test_who_prints_does_not_wait_for_ever_for_somebody_who_has_stopped_reading(make: Make) -> None:
    # given: another client of the kernel, which reads nothing
    executor = await make()
    kernel = executor.kernel.client.kernel(executor.kernel_id or "")
    idle = kernel.connect_iopub()
    try:
        await asyncio.sleep(0.5)
        # when
        began = time.monotonic()
        result = await executor.execute_code_blocks([CodeBlock(code=FLOOD)])
        seconds = time.monotonic() - began
    finally:
        idle.close(0)
    following = await executor.execute_code_blocks([CodeBlock(code="print(1)")])
    # then
    assert result.outcome.status == "ok"
    assert 4.0 < seconds < 30.0
    assert "[output may be missing: who follows this kernel did not read on for 5 s]" in result.output
    assert following.output == "1\n"


async def test_what_is_printed_by_many_pieces_at_once_does_not_lock_the_kernel(make: Make) -> None:
    # given: each flush sends more than one message
    executor = await make(output_limit=10**6)
    code = "import sys\nfor _ in range(8000): _ = sys.stdout.write('x' * 65_535 + '\\n')"
    # when
    result = await asyncio.wait_for(executor.execute_code_blocks([CodeBlock(code=code)]), 60)
    # then
    assert result.outcome.status == "ok"
    assert "of 524,288,000 bytes of output were dropped" in result.output


ENDS = "import os, sys; sys.exit(3) if {} else os.kill(os.getpid(), 9)"


@pytest.mark.parametrize(("exits", "how"), [(True, "with exit code 3"), (False, "by SIGKILL")])
async def test_a_kernel_that_ends_while_it_starts_has_not_started(
    specs: KernelSpecManager, make: Make, tmp_path: Path, exits: bool, how: str
) -> None:
    write_spec(tmp_path, "dies", "-c", ENDS.format(exits))
    with pytest.raises(EnvironmentFailed, match=f"The kernel ended while it started {how}; ") as raised:
        await make("dies")
    assert not isinstance(raised.value, SessionLost)


async def test_a_kernel_that_does_not_start_again_is_no_death_of_the_block(
    make: Make, tmp_path: Path
) -> None:
    # given a kernel that starts once
    once = tmp_path / "once"
    program = f"""
import os, sys
try:
    os.mkdir({str(once)!r})
except FileExistsError:
    sys.exit(3)
from ipykernel.kernelapp import launch_new_instance
sys.argv[0] = "kernel"
launch_new_instance()"""
    write_spec(tmp_path, "once", "-c", program, "-f", "{connection_file}")
    executor = await make("once")
    await executor.execute_code_blocks([CodeBlock(code="import os; os._exit(1)")])
    # when
    result = await executor.execute_code_blocks([CodeBlock(code="1")])
    # then
    assert (result.outcome.status, result.exit_code) == ("env_error", None)
    assert "The kernel ended while it started with exit code 3" in str(result.outcome.verdict.cause)


def write_spec(home: Path, name: str, *arguments: str) -> None:
    folder = home / "kernelspecs" / name
    folder.mkdir()
    spec = {"argv": [sys.executable, *arguments], "display_name": name, "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))


async def test_a_session_whose_kernel_ends_while_it_starts_is_an_env_error(
    rest: Rest, jp_data_dir: Path
) -> None:
    folder = jp_data_dir / "kernels" / "dies"
    folder.mkdir(parents=True)
    spec = {"argv": [sys.executable, "-c", ENDS.format(True)], "display_name": "D", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))

    refused = await rest("POST", "sessions", {"environment": "kernel:dies"})
    run = await rest("POST", "executions", {"environment": "kernel:dies", "code": "1"}, wait=30)

    assert json.loads(refused.body)["reason"] == "env_error"
    record = json.loads(run.body)
    assert (record["status"], record["exit_code"]) == ("env_error", None)
    assert "with exit code 3" in record["verdict"]["cause"]
