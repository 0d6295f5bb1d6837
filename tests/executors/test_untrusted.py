"""What comes from a supervisor is untrusted: frames of a wrong shape or size end the session."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.errors import ProtocolError, Unavailable
from jupyter_exec_ext.executors import workspacefiles
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.commandline import CommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock
from jupyter_exec_ext.supervisor import frames
from jupyter_exec_ext.supervisor.client import SupervisorClient

from .conftest import Make

READY = {"version": frames.VERSION, "guarantee": "none", "pid": 1, "python": "3.11"}
END = {"op": "end", "exit": 0, "wall": 1, "cpu": 1, "rss": 1, "total": 0}
# Answers the first request with frames that it was given.
LIAR = """
import os, struct, sys, time
sys.path.insert(0, sys.argv[1])
import json
from jupyter_exec_ext.supervisor import frames
ready, answers = json.load(open(sys.argv[2]))
os.write(1, frames.control(0, "ready", **ready))
os.read(0, 65536)
for answer in answers:
    data = frames.control(1, answer.pop("op"), **answer)
    while data:
        data = data[os.write(1, data):]
time.sleep(20)
"""


class Liar(CommandLineCodeExecutor):
    """Has a supervisor that says what it is told to."""

    def __init__(self, workspace: Path, answers: list[dict[str, Any]]) -> None:
        super().__init__(SystemPythonEnvironment("local"), workspace)
        self._answers = answers

    async def _connect(self, private: Path) -> SupervisorClient:
        package = str(Path(frames.__file__).parents[2])
        (private / "answers.json").write_text(json.dumps([READY, self._answers]))
        program = [sys.executable, "-c", LIAR, package, str(private / "answers.json")]
        return await SupervisorClient.start(program, env=dict(os.environ), cwd=str(private))


STARTED = {"op": "started", "path": "/x/block-1.py"}
LIES: dict[str, list[dict[str, Any]]] = {
    "path is long": [{"op": "started", "path": "x" * 7_000_000}],
    "path is missing": [{"op": "started"}],
    "started twice": [STARTED, STARTED],
    "saved after it began": [STARTED, {"op": "saved", "path": "/x"}],
    "dropping text": [STARTED, {"op": "dropping", "dropped": "x"}],
    "dropping a list": [STARTED, {"op": "dropping", "dropped": [1]}],
    "dropping without end": [STARTED, {"op": "dropping", "dropped": 10**400}],
    "dropped nothing": [STARTED, {"op": "dropped"}],
    "prompt is long": [STARTED, {"op": "asks", "prompt": "x" * 5_000_000}],
    "survivors without end": [STARTED, {**END, "survivors": 10**399}],
    "problem is long": [STARTED, {**END, "problem": "x" * 7_000_000}],
    "stopped by fancy": [STARTED, {**END, "stopped": "fancy"}],
    "time is text": [STARTED, {**END, "wall": "long"}],
    "refusal without a word": [{"op": "refused"}],
    "refusal is long": [{"op": "refused", "message": "x" * 7_000_000}],
    "unknown": [{"op": "dance"}],
    "signal that is none": [STARTED, {**END, "exit": None, "signal": 128}],
    "what nobody asked for": [STARTED, {"op": "dropping", "dropped": 1, "x": [[]] * 1000}],
    "more than a frame holds": [STARTED, {"op": "dropping", "dropped": 1, "x": [[]] * 100_000}],
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_supervisor_that_lies_ends_its_session_with_env_error(tmp_path: Path, lie: str) -> None:
    async with Liar(tmp_path, LIES[lie]) as executor:
        result = await executor.execute_code_blocks(
            [CodeBlock(code="1", language="python")], RunOptions(timeout=15)
        )

        assert result.outcome.status == "env_error"
        assert "not its protocol" in (cause := str(result.outcome.verdict.cause)) or "twice" in cause
        assert len(cause) < 300
        assert len(result.outcome.code_files) <= 1
        assert not executor.alive


async def test_a_supervisor_that_is_busy_with_what_it_said_was_over_ends_its_session(tmp_path: Path) -> None:
    busy = {"op": "refused", "message": frames.BUSY}
    async with Liar(tmp_path, [busy]) as executor:
        result = await executor.execute_code_blocks([CodeBlock(code="1", language="python")])

        assert result.outcome.status == "env_error"
        assert "still busy with a run that it had said was over" in str(result.outcome.verdict.cause)
        assert not executor.alive


@pytest.mark.parametrize(
    "entries",
    [
        5,
        [5],
        [{"path": "x", "type": "file", "size": 1, "modified": "x"}],
        [{"path": "x", "type": "file", "size": -1, "modified": 1}],
        [{"path": "x", "type": "file", "size": 1, "modified": 1e400}],
        [{"path": "x" * 9000, "type": "file", "size": 1, "modified": 1}],
        [{"type": "file"}],
        None,
    ],
)
async def test_a_list_of_files_of_another_shape_ends_the_session(tmp_path: Path, entries: Any) -> None:
    async with Liar(tmp_path, [{"op": "entries", "entries": entries}]) as executor:
        with pytest.raises(ProtocolError, match="not its protocol"):
            await executor.list_files()

        assert not executor.alive


async def test_a_list_of_files_without_end_ends_the_session(tmp_path: Path) -> None:
    entry = {"path": "x", "type": "file", "size": 1, "modified": 1}
    async with Liar(tmp_path, [{"op": "entries", "entries": [entry] * 3000}] * 40) as executor:
        with pytest.raises(ProtocolError, match="without end"):
            await executor.list_files()


async def test_files_of_a_session_whose_supervisor_was_stopped_are_given_up(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspacefiles, "PATIENCE", 0.5)
    executor = await make(namespace=False)
    stop = f"import os, time; os.kill(os.getppid(), {int(signal.SIGSTOP)}); time.sleep(3)"
    async for event in executor.run([CodeBlock(code=stop, language="python")], RunOptions(timeout=1)):
        if event.type == "block":
            await asyncio.sleep(0.3)  # until it has been stopped, which nothing can tell
            with pytest.raises(Unavailable, match="has not answered"):
                await executor.list_files()
            with pytest.raises(Unavailable, match="has not answered"):
                await executor.delete_file("x")


async def test_a_list_of_nothing_without_end_ends_the_session(tmp_path: Path) -> None:
    async with Liar(tmp_path, [{"op": "entries", "entries": []}, {"op": "done"}]) as executor:
        with pytest.raises(ProtocolError):
            await asyncio.wait_for(executor.list_files(), 5)
        assert not executor.alive


@pytest.mark.parametrize("end", [{"op": "entries", "entries": []}, {"op": "size", "x": [[]] * 5000}])
async def test_a_file_that_is_broken_off_is_not_taken_for_a_whole_one(
    tmp_path: Path, end: dict[str, Any]
) -> None:
    async with Liar(tmp_path, [{"op": "size", "size": 1}, end, end, {"op": "done"}]) as executor:
        with pytest.raises(ProtocolError):
            async for _ in executor.read_file("file"):
                pass
        assert not executor.alive


async def test_long_frames_that_wait_for_a_reader_take_no_more_than_their_bytes(tmp_path: Path) -> None:
    async with Liar(tmp_path, [{"op": "size", "a": [[]] * 60_000}] * 40) as executor:
        client = await executor._ready()
        channel = client.open()
        await channel.send("get", path="file")
        await asyncio.sleep(1)
        waiting = list(channel._queue._queue)  # type: ignore[attr-defined]
        assert len(waiting) == 40
        assert all(not frame.fields for frame in waiting)
        assert (await channel.receive()).op == "size"
