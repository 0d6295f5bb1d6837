"""A kernel of another language, from a package: bash_kernel. A real kernel, no server."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from bash_kernel.install import kernel_json
from jupyter_client.kernelspec import KernelSpecManager

from jupyter_exec_ext.errors import UnknownLanguage
from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make, run, told


@pytest.fixture
def specs(specs: KernelSpecManager, tmp_path: Path) -> KernelSpecManager:
    """The kernelspecs of the other tests, and ``bash`` as its package would install it."""
    folder = tmp_path / "kernelspecs" / "bash"
    folder.mkdir()
    # Without a key that Jupyter's own reader warns of.
    spec = {key: value for key, value in kernel_json.items() if key != "codemirror_mode"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    return specs


async def make_bash(make: Make) -> JupyterCodeExecutor:
    executor: JupyterCodeExecutor = await make("bash")
    return executor


async def test_its_own_language_runs_and_is_the_only_one(make: Make) -> None:
    executor = await make_bash(make)

    described = executor.environment.describe()
    assert (described.display_name, described.languages) == ("Bash", ["bash"])
    assert told(await run(executor, "echo $((6 * 7))")) == ("ok", 0, "42\n")
    assert told(await run(executor, "echo named", "bash")) == ("ok", 0, "named\n")
    with pytest.raises(
        UnknownLanguage, match=r"^kernel:bash runs bash, and has no cell magic for 'python'; use one of: bash"
    ):
        await run(executor, "print(1)", "python")


async def test_variables_functions_and_the_directory_last_from_block_to_block(make: Make) -> None:
    executor = await make_bash(make)
    await run(executor, "x=5; f() { echo f$x; }; mkdir sub && cd sub")
    result = await run(executor, "f; basename $PWD")
    assert told(result) == ("ok", 0, "f5\nsub\n")


async def test_an_exit_code_other_than_0_is_a_failure_with_that_code(make: Make) -> None:
    executor = await make_bash(make)

    result = await run(executor, "echo before; (exit 3)")

    assert (result.outcome.status, result.exit_code) == ("failed", 3)
    assert result.output.startswith("before\n")
    assert result.outcome.verdict.cause == "It ended with exit code 3."
    assert result.outcome.verdict.state_kept
    assert (await run(executor, "false")).exit_code == 1
    assert (await run(executor, "nowhere")).exit_code == 127
    assert told(await run(executor, "echo next")) == ("ok", 0, "next\n")


async def test_what_it_refuses_to_run_says_why(make: Make) -> None:
    executor = await make_bash(make)
    result = await run(executor, "echo \\")
    assert (result.outcome.status, result.exit_code) == ("failed", 1)
    assert result.outcome.verdict.cause == "It ended with Cell has trailing backslash."


async def test_the_timeout_interrupts_it_and_the_state_is_kept(make: Make) -> None:
    executor = await make_bash(make)
    await run(executor, "x=1")
    began = time.monotonic()

    result = await run(executor, "echo on; sleep 60", timeout=1)

    assert time.monotonic() - began < 4
    assert (result.outcome.status, result.exit_code) == ("timeout", 124)
    assert result.output.startswith("on\n")
    assert result.outcome.verdict.state_kept
    assert told(await run(executor, "echo $x")) == ("ok", 0, "1\n")


async def test_an_interrupt_ends_the_run_and_is_said(make: Make) -> None:
    executor = await make_bash(make)
    async for event in executor.run([CodeBlock(code="x=1; echo on; sleep 60")]):
        if event.type == "stream" and event.data["text"].startswith("on"):
            await executor.interrupt()
    outcome = event.data["outcome"]

    assert (outcome.status, outcome.exit_code) == ("failed", 130)
    assert outcome.verdict.cause == "It was interrupted."
    assert told(await run(executor, "echo $x")) == ("ok", 0, "1\n")


async def test_what_ignores_the_interrupt_is_restarted(make: Make) -> None:
    executor = await make_bash(make)
    await run(executor, "x=1")

    result = await run(executor, "trap '' INT; sleep 60", timeout=1)

    assert result.outcome.status == "timeout"
    assert not result.outcome.verdict.state_kept
    assert told(await run(executor, "echo $x.")) == ("ok", 0, ".\n")


async def test_a_program_that_reads_input_ends_with_its_time_since_this_kernel_never_asks(make: Make) -> None:
    executor = await make_bash(make)

    result = await run(executor, "read -r x", timeout=1)
    assert result.outcome.status == "timeout"
    assert told(await run(executor, "echo there")) == ("ok", 0, "there\n")
