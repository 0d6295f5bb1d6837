"""JupyterCodeExecutor: what a library user sees. Real kernels, no server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.errors import Conflict, InvalidRequest, UnknownLanguage
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make, run, told


async def test_variables_last_from_block_to_block(make: Make) -> None:
    executor = await make()
    assert told(await run(executor, "x = 6\nx * 7")) == ("ok", 0, "42\n")
    assert told(await run(executor, "print(x)")) == ("ok", 0, "6\n")


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


async def test_another_kernel_runs_its_own_language(make: Make) -> None:
    executor = await make("faulty")
    assert executor.environment.describe().languages == ["faults"]
    assert told(await run(executor, "say hello")) == ("ok", 0, "hello")
    with pytest.raises(UnknownLanguage):
        await run(executor, "1", "python")


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
