"""The session's private directory: fresh after a restart, healed by the next run, gone with the process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.executors.base import CodeResult
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock

portable = pytest.mark.parametrize("portable", [False, True], ids=["posix", "portable"])
# Directories, links and a file without rights, where the next blocks' files would be.
STAND_IN_THE_WAY = """
d=$(dirname "$0")
for n in $(seq 0 2 30); do for s in py sh; do mkdir -p "$d/block-$n.$s/x"; done; done
for n in $(seq 1 4 31); do for s in py sh; do ln -sfn /etc/passwd "$d/block-$n.$s"; done; done
for n in $(seq 3 4 31); do for s in py sh; do echo old >"$d/block-$n.$s"; chmod 0 "$d/block-$n.$s"; done; done
"""


def local(workspace: Path, private: Path | None, portable: bool) -> LocalCommandLineCodeExecutor:
    return LocalCommandLineCodeExecutor(
        SystemPythonEnvironment("local"), workspace, private, portable=portable
    )


async def run(executor: LocalCommandLineCodeExecutor, code: str, language: str = "bash") -> CodeResult:
    return await executor.execute_code_blocks([CodeBlock(code=code, language=language)])


@portable
@pytest.mark.parametrize("own", [False, True], ids=["given", "own"])
async def test_a_restart_keeps_nothing_that_a_block_put_into_the_private_directory(
    workspace: Path, tmp_path: Path, own: bool, portable: bool
) -> None:
    private = None if own else tmp_path / "above" / "private"
    async with local(workspace, private, portable) as executor:
        await run(executor, STAND_IN_THE_WAY)
        await run(executor, 'mkdir -p "$(dirname "$0")/deep/er"; chmod -R 0 "$(dirname "$0")/deep"')

        await executor.restart()
        result = await run(executor, 'cd "$(dirname "$0")"; find . -name "[!.]*"')

        assert result.output == "./block-1.sh\n"
    assert not own or os.listdir(tmp_path) == ["workspace"]


async def test_a_restart_leaves_what_was_in_the_given_directory_before(
    workspace: Path, tmp_path: Path
) -> None:
    private = tmp_path / "private"
    private.mkdir()
    (private / "mine").write_text("kept")
    async with local(workspace, private, False) as executor:
        await run(executor, "true")
        await executor.restart()
        await run(executor, "true")

    assert (private / "mine").read_text() == "kept"


@portable
async def test_what_stands_where_a_blocks_file_would_be_is_in_nobodys_way(
    workspace: Path, tmp_path: Path, portable: bool
) -> None:
    async with local(workspace, tmp_path / "private", portable) as executor:
        await run(executor, STAND_IN_THE_WAY)

        results = [
            await run(executor, "echo 1" if language == "bash" else "print(1)", language)
            for language in ("bash", "python") * 6
        ]

    assert [(result.outcome.status, result.output) for result in results] == [("ok", "1\n")] * 12


REPLACED = {
    "removed": ('rm -rf "$d"', None),
    "another directory": ('rm -rf "$d"; mkdir "$d"', None),
    "a file": ('rm -rf "$d"; echo >"$d"', "was replaced by a file"),
    "a link": ('mv "$d" "$d.moved"; ln -s "$d.moved" "$d"', "was replaced by a link"),
    "no rights": ('chmod 0 "$d"', None),  # what a block can do it can undo, and root may write
}


@portable
@pytest.mark.parametrize("own", [False, True], ids=["given", "own"])
@pytest.mark.parametrize(("code", "cause"), REPLACED.values(), ids=REPLACED)
async def test_a_private_directory_that_was_replaced_is_told_of_and_made_anew(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    code: str, cause: str | None, own: bool, portable: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with local(workspace, None if own else tmp_path / "private", portable) as executor:
        await run(executor, 'd=$(dirname "$0"); ' + code)

        first, *others = [await run(executor, "echo 1") for _ in range(3)]

    if cause is None:
        assert first.outcome.status in ("ok", "env_error")
    else:
        assert first.outcome.status == "env_error"
        assert cause in (first.outcome.verdict.cause or "")
        assert "run it again" in (first.outcome.verdict.cause or "")
    assert [(result.outcome.status, result.output) for result in others] == [("ok", "1\n")] * 2


async def test_a_link_above_the_private_directory_is_named_as_what_is_in_the_way(
    workspace: Path, tmp_path: Path
) -> None:
    private = tmp_path / "above" / "private"
    async with local(workspace, private, False) as executor:
        await run(executor, 'cd "$(dirname "$0")/../.."; mv above moved; mkdir other; ln -s other above')
        await run(executor, "echo 1")
        result = await run(executor, "echo 1")
        (tmp_path / "above").unlink()
        (tmp_path / "moved").rename(tmp_path / "above")
        healed = await run(executor, "echo 1")

    assert "a link or a file has the place of one above it" in (result.outcome.verdict.cause or "")
    assert healed.output == "1\n"


# Two of them: one is there when the process ends, the other one is not.
UNSTOPPED = """
import asyncio, os, sys
from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock

async def start(workspace):
    executor = LocalCommandLineCodeExecutor(SystemPythonEnvironment("local"), workspace)
    await executor.start()
    result = await executor.execute_code_blocks([CodeBlock(code="print(__file__)", language="python")])
    return executor, os.path.dirname(result.output)

async def main():
    kept, place = await start(sys.argv[1])
    await start(sys.argv[1])
    return kept, place

kept, place = asyncio.run(main())
if os.fork() == 0:
    sys.exit()
os.wait()
print(os.path.isdir(place), os.path.basename(place)[:13])
if sys.argv[2] == "fails":
    raise KeyboardInterrupt
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("end", ["ends", "fails"])
def test_an_executor_that_is_never_stopped_leaves_no_directory_behind_its_process(
    workspace: Path, tmp_path: Path, end: str
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    done = subprocess.run(
        [sys.executable, "-c", UNSTOPPED, workspace, end],
        env={**os.environ, "TMPDIR": str(temporary)}, capture_output=True, text=True, check=False,
        timeout=30,
    )  # fmt: skip

    assert done.stdout == "True jupyter-exec-\n", done.stderr
    assert os.listdir(temporary) == []
