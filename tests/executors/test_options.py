"""What a run is given that cannot be, and what became of blocks for which there was no time."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.errors import InvalidRequest
from jupyter_exec_ext.executors.base import CodeExecutor, RunOptions
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.executors.routing import LanguageRouter
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make


def block(code: str, language: str = "python") -> CodeBlock:
    return CodeBlock(code=code, language=language)


async def test_blocks_that_never_ran_are_a_timeout(make: Make) -> None:
    executor = await make()
    blocks = [block("sleep 0.9; sleep 5 & exit 0", "bash"), block("print('second ran')")]

    result = await executor.execute_code_blocks(blocks, RunOptions(timeout=1.0))

    assert (result.outcome.status, result.exit_code, result.output) == ("timeout", 124, "")
    assert result.outcome.verdict.cause == (
        "Timeout: the 1 s were over when 1 of 2 blocks had run; allow more time, or run fewer blocks."
    )


async def test_a_time_that_is_up_before_the_first_block_is_a_timeout(make: Make) -> None:
    executor = await make()

    result = await executor.execute_code_blocks([block("print('ran')")], RunOptions(timeout=1e-9))

    assert (result.outcome.status, result.exit_code, result.output) == ("timeout", 124, "")
    assert "0 of 1 blocks had run" in (result.outcome.verdict.cause or "")


async def test_a_block_that_ended_with_the_time_is_not_a_timeout(make: Make) -> None:
    executor = await make()

    result = await executor.execute_code_blocks(
        [block("sleep 0.4; sleep 5 & exit 0", "bash")], RunOptions(timeout=0.5)
    )

    assert (result.outcome.status, result.exit_code) == ("ok", 0)


async def test_a_failure_before_the_time_was_up_stays_the_result_and_what_did_not_run_is_said(
    make: Make,
) -> None:
    executor = await make()
    blocks = [block("sleep 0.4; sleep 5 & exit 3", "bash"), block("print('second ran')")]

    result = await executor.execute_code_blocks(blocks, RunOptions(timeout=0.5, stop_on_error=False))

    assert (result.outcome.status, result.exit_code, result.output) == ("failed", 3, "")
    assert "exit code 3" in (result.outcome.verdict.cause or "")
    assert "1 of 2 blocks had run" in (result.outcome.verdict.cause or "")


@pytest.mark.parametrize("timeout", [0, -1, 0.0, math.nan, math.inf, -math.inf, "5", True, 10**400])
@pytest.mark.parametrize("routed", [False, True])
async def test_a_timeout_that_is_none_is_refused(workspace: Path, timeout: Any, routed: bool) -> None:
    executor: CodeExecutor = LocalCommandLineCodeExecutor(SystemPythonEnvironment(), workspace)
    if routed:
        executor = LanguageRouter({"python": executor})

    with pytest.raises(ValueError, match="timeout") as caught:
        await executor.run([block("print('ran')")], RunOptions(timeout=timeout)).__anext__()

    assert isinstance(caught.value, InvalidRequest)
    assert caught.value.field == "timeout"
    with pytest.raises(InvalidRequest):
        await executor.execute_code_blocks([block("print('ran')")], RunOptions(timeout=timeout))


async def test_no_timeout_and_a_very_long_one_are_taken(make: Make) -> None:
    executor = await make()

    for timeout in (None, 1, 1e12):
        result = await executor.execute_code_blocks([block("print(1)")], RunOptions(timeout=timeout))
        assert (result.output, result.outcome.status) == ("1\n", "ok")


@pytest.mark.parametrize(
    "env",
    [
        {"": "x"},
        {"A=B": "x"},
        {"A\0": "x"},
        {"A": "x\0y"},
        {"A": "\ud800"},
        {"A": 1},
        {1: "x"},
    ],
)
async def test_a_variable_that_no_process_can_have_is_refused(make: Make, env: Any) -> None:
    executor = await make()

    for code in (block("print('ran')"), block("echo ran", "bash")):
        with pytest.raises(InvalidRequest, match="env") as caught:
            await executor.execute_code_blocks([code], RunOptions(env=env))
        assert caught.value.field == "env"
    assert (await executor.execute_code_blocks([block("print(1)")])).output == "1\n"


@pytest.mark.parametrize("fork", [True, False])
@pytest.mark.parametrize("locale", [None, "C", "C.UTF-8"])
async def test_names_that_are_not_utf8_are_printed_as_python_itself_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fork: bool, locale: str | None
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    if locale is not None:
        monkeypatch.setenv("LANG", locale)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).touch()
    code = "import os\nfor name in os.listdir('.'): print(name)"
    async with LocalCommandLineCodeExecutor(
        SystemPythonEnvironment("local"), tmp_path, fork=fork
    ) as executor:
        result = await executor.execute_code_blocks([block(code)])

    python = partial(subprocess.run, [sys.executable, "-c", code], cwd=tmp_path)
    model = await asyncio.to_thread(python, capture_output=True, check=True)
    assert (result.exit_code, result.output) == (0, model.stdout.decode("utf-8", "replace"))
    assert result.output == "caf\ufffd\n"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stdin", b"x"),
        ("stdin", 3),
        ("env", [("A", "b")]),
        ("env", "A"),
        ("allow_stdin", "no"),
        ("stop_on_error", None),
        ("late", 3),
    ],
)
@pytest.mark.parametrize("routed", [False, True])
async def test_an_option_of_another_type_is_refused_and_named(
    workspace: Path, field: str, value: Any, routed: bool
) -> None:
    executor: CodeExecutor = LocalCommandLineCodeExecutor(SystemPythonEnvironment(), workspace)
    if routed:
        executor = LanguageRouter({"python": executor})

    with pytest.raises(ValueError, match=f"^{field}: must be .*, not {type(value).__name__}") as caught:
        await executor.run([block("print('ran')")], RunOptions(**{field: value})).__anext__()

    assert isinstance(caught.value, InvalidRequest)
    assert caught.value.field == field


async def test_no_variables_at_all_are_taken(make: Make) -> None:
    executor = await make()

    result = await executor.execute_code_blocks([block("print(1)")], RunOptions(env=None))

    assert (result.output, result.outcome.status) == ("1\n", "ok")


@pytest.mark.parametrize(
    ("blocks", "options", "field"),
    [
        ("print(1)", None, "code_blocks"),
        (["print(1)"], None, "code_blocks"),
        (block("print(1)"), None, "code_blocks"),
        ([block("print(1)")], {"timeout": 1}, "options"),
    ],
)
async def test_what_are_no_blocks_or_no_options_is_refused_and_named(
    make: Make, blocks: Any, options: Any, field: str
) -> None:
    executor = await make()

    with pytest.raises(InvalidRequest, match=f"^{field}: must be") as caught:
        await executor.execute_code_blocks(blocks, options)

    assert caught.value.field == field


async def test_a_program_has_one_input(make: Make) -> None:
    executor = await make()

    with pytest.raises(InvalidRequest, match="not both") as caught:
        await executor.execute_code_blocks([block("input()")], RunOptions(stdin="x", allow_stdin=True))

    assert caught.value.field == "stdin"
