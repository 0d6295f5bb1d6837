"""What comes from a supervisor is not trusted: nonsense ends the session, its process and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
from pathlib import Path

import psutil
import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.errors import EnvironmentFailed
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock
from jupyter_exec_ext.supervisor import frames
from jupyter_exec_ext.supervisor.client import SupervisorClient

READY = {"version": 1, "guarantee": "subreaper", "pid": 1, "python": "3.8", "problems": {}, "fork": True}
END = {
    "exit": 0,
    "signal": None,
    "stopped": None,
    "survivors": 0,
    "wall": 0.1,
    "cpu": 0.1,
    "rss": 1,
    "total": 0,
}

#: A program that says these bytes, and at each frame it gets the next ones; then it lives on.
LIAR = """
import json, sys, time
first, *rest = json.loads(sys.argv[1])
def say(text):
    sys.stdout.buffer.write(text.encode("latin-1")); sys.stdout.buffer.flush()
say(first)
for text in rest:
    sys.stdin.buffer.read(9)
    say(text)
time.sleep(60)
"""

GARBAGE = {
    "text": b"Hello, world! This is what a wrapper prints.\n",
    "zeros": bytes(64),
    "huge": frames.HEADER.pack(0xFFFFFFFF, frames.STDOUT, 1),
    "over the limit": frames.HEADER.pack(frames.MAX_UP + 1, frames.STDOUT, 1),
    "unknown type": frames.frame(9, 1, b"x"),
    "not json": frames.frame(frames.CONTROL, 1, b"{"),
    "deep json": frames.frame(frames.CONTROL, 1, b"[" * 100_000),
    "not an object": frames.frame(frames.CONTROL, 1, b"[1]"),
    "no op": frames.frame(frames.CONTROL, 1, b"{}"),
    "not utf-8": frames.frame(frames.CONTROL, 1, b'{"op": "\xff"}'),
    "channel never opened": frames.frame(frames.STDOUT, 77, b"x"),
    "second hello, odd": frames.control(0, "ready", version="x"),
    "output over the cap": frames.frame(frames.STDOUT, 1, bytes(9000)) * 2,
    "unknown op": frames.control(1, "surprise"),
    "report of the wrong shape": frames.control(1, "end", exit="x"),
    "report without numbers": frames.control(1, "end", **{**END, "wall": None}),
    "report with infinity": frames.frame(1, 1, json.dumps({**END, "op": "end", "cpu": 1e999}).encode()),
    "negative survivors": frames.control(1, "end", **{**END, "survivors": -1}),
    "huge numbers": frames.control(1, "end", **{**END, "signal": 10**9}),
}


class Deceived(LocalCommandLineCodeExecutor):
    """An executor whose supervisor lies."""

    lies: tuple[bytes, ...] = ()

    async def _connect(self, private: Path) -> SupervisorClient:
        said = json.dumps([lie.decode("latin-1") for lie in self.lies])
        argv = [sys.executable, "-c", LIAR, said]
        return await SupervisorClient.start(argv, env=dict(os.environ), cwd=str(private), patience=10)


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_in_a_run_is_an_env_error_and_the_process_is_gone(tmp_path: Path, name: str) -> None:
    executor = Deceived(SystemPythonEnvironment(), tmp_path, output_limit=8000)
    executor.lies = (frames.control(0, "ready", **READY), GARBAGE[name])
    await executor.start()
    process = psutil.Process(executor._live.pid)
    try:
        result = await executor.execute_code_blocks([CodeBlock(code="1", language="python")])
    finally:
        await executor.stop()

    assert result.outcome.status == "env_error"
    assert "not its protocol" in (result.outcome.verdict.cause or "") or "supervisor sent" in (
        result.outcome.verdict.cause or ""
    )
    assert result.outcome.verdict.state_kept is False
    assert not process.is_running()


@pytest.mark.parametrize("hello", [
    b"bash: no job control in this shell\n", frames.control(0, "ready", **{**READY, "version": 2}),
    frames.control(0, "ready"), frames.control(3, "ready", **READY), struct.pack(">IBI", 1 << 31, 1, 0),
    frames.control(0, "ready", **{**READY, "guarantee": "x" * 1000}),
], ids=range(6))  # fmt: skip
async def test_a_start_that_is_not_one_says_so_and_leaves_no_process(tmp_path: Path, hello: bytes) -> None:
    executor = Deceived(SystemPythonEnvironment(), tmp_path)
    executor.lies = (hello,)

    with pytest.raises(EnvironmentFailed, match="supervisor"):
        await executor.start()
    await executor.stop()

    children = psutil.Process().children()
    assert not [child for child in children if LIAR in " ".join(child.cmdline())]


async def test_a_supervisor_that_cannot_start_says_what_it_printed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import sys; sys.exit('no such thing here')"]

    with pytest.raises(EnvironmentFailed, match="no such thing here"):
        await SupervisorClient.start(argv, env=dict(os.environ), cwd=str(tmp_path))


@pytest.mark.parametrize("seconds", [0.0, 0.05])
async def test_a_long_frame_that_is_given_up_half_way_does_not_spoil_the_stream(
    tmp_path: Path, seconds: float
) -> None:
    # given a supervisor that reads nothing for a moment
    async with LocalCommandLineCodeExecutor(SystemPythonEnvironment(), tmp_path, namespace=False) as executor:
        client = executor._live
        guard = psutil.Process(client.pid)
        (supervisor,) = [*guard.children()[:1], guard][:1]
        supervisor.suspend()
        # when the request to run a block of some MiB is cancelled, and another one comes after it
        channel, other = client.open(), client.open()
        sending = asyncio.ensure_future(channel.send("abandon", text="x" * 5_000_000))
        following = asyncio.ensure_future(other.send("list"))
        await asyncio.sleep(seconds)
        sending.cancel()
        await asyncio.sleep(0.05)
        supervisor.resume()
        await asyncio.wait_for(following, 10)
        # then each frame is whole
        assert (await asyncio.wait_for(other.receive(), 10)).op == "done"
        client.release(channel)
        client.release(other)
        result = await executor.execute_code_blocks([CodeBlock(code="print(7)", language="python")])

    assert result.output == "7\n"


async def test_without_a_namespace_a_supervisor_dies_with_its_guard_and_what_may_be_left_is_said(
    tmp_path: Path,
) -> None:
    async with LocalCommandLineCodeExecutor(SystemPythonEnvironment(), tmp_path, namespace=False) as executor:
        guard = psutil.Process(executor._live.pid)
        (supervisor,) = guard.children()
        code = "import time; print('on', flush=True); time.sleep(30)"
        lost = ""
        async for event in executor.run([CodeBlock(code=code, language="python")]):
            if event.type == "stream":
                guard.kill()
            elif event.type == "end":
                lost = str(event.data["outcome"].verdict.cause)

        assert "was killed by SIGKILL; programs that it had started may still run" in lost
        assert psutil.wait_procs([supervisor], timeout=5)[1] == []
