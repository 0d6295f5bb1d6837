"""A link that a block puts in the place of the session's private directory leads nowhere."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.errors import EnvironmentFailed
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.lease import Lease
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

SWAP = 'd=$(dirname "$0"); mv "$d" "$d-moved" && rm -rf "$d-moved"; ln -s {victim} "$d"'


def bash(code: str) -> list[CodeBlock]:
    """One block."""
    return [CodeBlock(code=code, language="bash")]


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A tree that is not ours."""
    folder = tmp_path / "victim"
    (folder / "s1").mkdir(parents=True)
    for path in (folder, folder / "s1"):
        path.chmod(0o755)
    return folder


def untouched(victim: Path) -> bool:
    """Whether it is as the fixture made it."""
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (victim, victim / "s1")}
    return modes == {0o755} and [path.name for path in victim.rglob("*")] == ["s1"]


@pytest.mark.parametrize("portable", [False, True], ids=["posix", "portable"])
@pytest.mark.parametrize("own", [False, True], ids=["lease", "own"])
async def test_after_a_restart_the_private_directory_is_a_new_one(
    workspace: Path, tmp_path: Path, victim: Path, portable: bool, own: bool
) -> None:
    with Lease("one", tmp_path / "root") as lease:
        # given
        private = None if own else lease.session_path("s1")
        environment = SystemPythonEnvironment("local")
        executor = LocalCommandLineCodeExecutor(environment, workspace, private, portable=portable)
        async with executor:
            await executor.execute_code_blocks(bash(SWAP.format(victim=victim)))
            refused = await executor.execute_code_blocks(bash("echo ran"))
            # when
            await executor.restart()
            result = await executor.execute_code_blocks(
                bash('echo "$0"; ls -ld "$(dirname "$0")" | cut -c-10')
            )
            # then
            file, mode = result.output.split()
            assert (refused.outcome.status, result.outcome.status) == ("env_error", "ok")
            assert mode == "drwx------"
            assert untouched(victim)
            # when the session ends on a link
            await executor.execute_code_blocks(bash(SWAP.format(victim=victim)))
        lease.remove_session_path("s1")
        # then
        assert not os.path.lexists(Path(file).parent)
    assert untouched(victim)


async def test_a_link_above_the_private_directory_is_not_followed(
    workspace: Path, tmp_path: Path, victim: Path
) -> None:
    with Lease("one", tmp_path / "root") as lease:
        # given
        environment = SystemPythonEnvironment("local")
        executor = LocalCommandLineCodeExecutor(environment, workspace, lease.session_path("s1"))
        async with executor:
            await executor.execute_code_blocks(
                bash(SWAP.replace('"$0"', '"$(dirname "$0")"').format(victim=victim))
            )
            (victim / "s1").rmdir()
            # when, then: nothing is made behind it, neither by a run nor by a new start
            assert (await executor.execute_code_blocks(bash("echo ran"))).outcome.status == "env_error"
            with pytest.raises(EnvironmentFailed, match="private directory .* cannot be used"):
                await executor.restart()
            assert os.listdir(victim) == []


@pytest.mark.parametrize("portable", [False, True], ids=["posix", "portable"])
async def test_a_private_directory_that_a_block_removed_is_made_anew(
    workspace: Path, tmp_path: Path, portable: bool
) -> None:
    private = tmp_path / "above" / "private"
    environment = SystemPythonEnvironment("local")
    async with LocalCommandLineCodeExecutor(environment, workspace, private, portable=portable) as executor:
        for code in ('rm -rf "$(dirname "$0")"', 'rm -rf "$(dirname "$0")/../../above"', "echo ran"):
            result = await executor.execute_code_blocks(bash(code))
            assert result.outcome.status == "ok", result.outcome
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


async def test_a_start_that_fails_leaves_no_private_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for _ in range(2):
        executor = LocalCommandLineCodeExecutor(SystemPythonEnvironment("local"), tmp_path / "missing")
        with pytest.raises(EnvironmentFailed, match="is gone"):
            await executor.start()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prlimit is Linux's")
async def test_a_session_that_a_block_has_spoiled_begins_afresh(make: Make) -> None:
    executor = await make()
    spoil = "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, (0, -1))"
    await executor.execute_code_blocks([CodeBlock(code=spoil, language="python")])

    # what waits was made before
    runs = [
        await executor.execute_code_blocks([CodeBlock(code="print(1)", language="python")]) for _ in range(3)
    ]

    assert [run.outcome.status for run in runs].count("env_error") <= 1
    assert runs[-1].output == "1\n"


async def test_a_refused_block_neither_ends_the_session_nor_breaks_off_a_download(
    make: Make, workspace: Path
) -> None:
    executor = await make()
    (workspace / "a.py").mkdir()
    (workspace / "big").write_bytes(b"x" * 5_000_000)
    download = executor.read_file("big")
    size = len(await anext(download))

    code = "# filename: a.py\nprint(1)"
    refused = await executor.execute_code_blocks([CodeBlock(code=code, language="python")])
    again = await executor.execute_code_blocks([CodeBlock(code="print(2)", language="python")])

    assert refused.outcome.status == "env_error"
    assert executor.alive
    assert again.output == "2\n"
    assert size + sum([len(piece) async for piece in download]) == 5_000_000
