"""LocalCommandLineCodeExecutor: what a library user sees. Real supervisors, no server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    Refused,
    UnknownLanguage,
)
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.languages import LANGUAGES, with_policies

from .conftest import Make, aiter_of, block, events_of


async def test_blocks_run_in_order_and_stop_at_the_first_failure(make: Make) -> None:
    executor = await make()
    blocks = [block("print(1)"), block("echo 2; exit 3", "bash"), block("print('never')")]

    result = await executor.execute_code_blocks(blocks)

    assert (result.output, result.exit_code, result.outcome.status) == ("1\n2\n", 3, "failed")
    assert len(result.outcome.code_files) == 2
    assert result.code_file == result.outcome.code_files[0]


async def test_without_stop_on_error_the_rest_runs_and_the_first_failure_is_the_result(make: Make) -> None:
    executor = await make()

    events = await events_of(executor, block("exit 3", "sh"), block("echo on", "sh"), stop_on_error=False)

    assert [event.data["text"] for event in events if event.type == "stream"] == ["on\n"]
    assert events[-1].data["outcome"].exit_code == 3


async def test_python_bash_and_javascript_see_the_workspace(make: Make, workspace: Path) -> None:
    executor = await make()
    blocks = [
        block("import os; print(os.getcwd())"),
        block("pwd", "shell"),
        block("console.log(process.cwd())", "JS"),
    ]

    result = await executor.execute_code_blocks(blocks)

    assert result.output.split() == [str(workspace)] * 3


async def test_an_empty_list_is_a_value_error(make: Make) -> None:
    executor = await make()

    with pytest.raises(ValueError, match="at least one"):
        await executor.execute_code_blocks([])


async def test_an_unknown_language_is_refused_before_anything_runs(make: Make, workspace: Path) -> None:
    executor = await make()

    with pytest.raises(UnknownLanguage) as caught:
        await executor.execute_code_blocks([block("open('trace', 'w')"), block("x", "klingon")])

    assert caught.value.field == "code_blocks[1].language"
    assert list(workspace.iterdir()) == []


async def test_two_runs_at_once_in_one_session_are_a_conflict(make: Make) -> None:
    executor = await make()
    first = executor.run([block("import time; time.sleep(60)")])
    await first.__anext__()

    with pytest.raises(Conflict):
        await executor.execute_code_blocks([block("print(2)")])

    await first.aclose()


async def test_named_files_are_in_the_workspace_and_others_are_not(make: Make, workspace: Path) -> None:
    executor = await make()
    blocks = [block("# filename: pkg/mod.py\nX = 3"), block("from pkg import mod; print(mod.X, __file__)")]

    result = await executor.execute_code_blocks(blocks)

    number, path = result.output.split()
    assert number == "3"
    assert not path.startswith(str(workspace))
    assert result.code_file == str(workspace / "pkg/mod.py")


async def test_a_link_planted_at_the_next_file_name_is_refused(
    make: Make, workspace: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    executor = await make()
    await executor.execute_code_blocks([block(f"import os; os.symlink({str(victim)!r}, 'next.py')")])

    result = await executor.execute_code_blocks([block("# filename: next.py\nprint('mine')")])

    assert result.outcome.status == "env_error"
    assert "next.py" in (result.outcome.verdict.cause or "")
    assert victim.read_text() == "untouched"


async def test_one_file_name_in_two_runs_at_once_does_not_mix(make: Make) -> None:
    executors = [await make() for _ in range(4)]

    async def run(number: int) -> str:
        name = "# filename: same.sh\n"
        code = f"{name}for i in 1 2 3; do echo {number}; sleep 0.02; done"
        return (await executors[number].execute_code_blocks([block(code, "bash")])).output

    outputs = await asyncio.gather(*(run(number) for number in range(4)))

    assert outputs == [f"{number}\n" * 3 for number in range(4)]


async def test_save_only_languages_are_saved(make: Make, workspace: Path) -> None:
    executor = await make()

    result = await executor.execute_code_blocks([block("<!-- filename: page.html -->\n<p>", "html")])

    assert (result.outcome.status, result.output) == ("ok", "")
    assert (workspace / "page.html").read_text().endswith("<p>")


async def test_a_refused_language_is_refused(make: Make) -> None:
    environment = SystemPythonEnvironment("local", languages=with_policies(LANGUAGES, {"bash": "refuse"}))
    executor = await make(environment)

    with pytest.raises(Refused, match="bash"):
        await executor.execute_code_blocks([block("echo", "bash")])


async def test_nothing_secret_of_the_server_reaches_a_block(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_TOKEN", "hush!")
    monkeypatch.setenv("AWS_SESSION", "hush!")
    executor = await make()

    result = await executor.execute_code_blocks(
        [block("import os; print(dict(os.environ))"), block("env", "bash")], RunOptions(env={"MINE": "yes"})
    )

    assert "hush!" not in result.output
    assert result.output.count("MINE") == 2


async def test_files_come_and_go(make: Make, workspace: Path) -> None:
    executor = await make()

    await executor.write_file("data/in.bin", aiter_of(b"ab", b"c" * 200_000))

    assert (workspace / "data/in.bin").stat().st_size == 200_002
    entries, more = await executor.list_files()
    assert ({entry["path"]: entry["type"] for entry in entries}, more) == (
        {"data": "directory", "data/in.bin": "file"},
        False,
    )
    assert len(b"".join([piece async for piece in executor.read_file("data/in.bin")])) == 200_002
    await executor.delete_file("data/in.bin")
    with pytest.raises(NotFound):
        await executor.delete_file("data/in.bin")
    for path in ("../x", "/etc/passwd", "a//b", ""):
        with pytest.raises(InvalidRequest):
            await executor.delete_file(path)
