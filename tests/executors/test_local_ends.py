"""LocalCommandLineCodeExecutor: however a run or its session ends, it is said, and the next one works."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from jupyter_exec_ext.environments.base import Limits
from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.errors import (
    EnvironmentFailed,
)
from jupyter_exec_ext.events import Outcome
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor

from .conftest import Make, block


async def test_the_output_so_far_is_kept_on_timeout(make: Make) -> None:
    executor = await make()
    code = "print('before', flush=True)\nimport time\nwhile True: time.sleep(60)"

    result = await executor.execute_code_blocks([block(code)], RunOptions(timeout=0.3))

    assert result.output.startswith("before\n")
    assert (result.outcome.status, result.exit_code) == ("timeout", 124)
    assert "Timeout" in (result.outcome.verdict.cause or "")


async def test_the_timeout_is_for_all_blocks_together(make: Make) -> None:
    executor = await make()
    sleep = block("sleep 0.4", "sh")

    started = time.monotonic()
    result = await executor.execute_code_blocks([sleep] * 10, RunOptions(timeout=0.6))

    assert result.outcome.status == "timeout"
    assert time.monotonic() - started < 4


async def test_a_child_that_holds_the_pipe_does_not_hold_the_run(make: Make) -> None:
    executor = await make()

    started = time.monotonic()
    result = await executor.execute_code_blocks([block("sleep 60 & echo done", "bash")])

    assert (result.output, result.outcome.status) == ("done\n", "ok")
    assert time.monotonic() - started < 1


async def test_cancel_ends_the_run_and_the_next_one_works(make: Make) -> None:
    executor = await make()
    outcome: Outcome | None = None

    async for event in executor.run(
        [block("print('on', flush=True)\nimport time; time.sleep(60)"), block("1")]
    ):
        if event.type == "stream" and event.data["text"] == "on\n":
            await executor.cancel()
            await executor.cancel()
        if event.type == "end":
            outcome = event.data["outcome"]

    assert outcome is not None
    assert (outcome.status, outcome.exit_code) == ("cancelled", 130)
    assert (await executor.execute_code_blocks([block("print(2)")])).output == "2\n"


async def test_a_reader_that_leaves_ends_the_run(make: Make) -> None:
    executor = await make()
    stream = executor.run([block("import time\nprint(1, flush=True)\ntime.sleep(60)")])

    async for event in stream:
        if event.type == "stream":
            break
    await stream.aclose()

    assert (await executor.execute_code_blocks([block("print(2)")])).output == "2\n"


@pytest.mark.parametrize("namespace", [True, False])
async def test_the_session_begins_afresh_when_its_supervisor_is_killed(make: Make, namespace: bool) -> None:
    executor = await make(namespace=namespace)
    code = (
        "import os, time; print('on'); time.sleep(.2)\n"
        "os.kill(os.getppid(), 9); time.sleep(.5); raise SystemExit(3)"
    )

    result = await executor.execute_code_blocks([block(code)], RunOptions(timeout=10))

    assert result.outcome.status in ("lost", "failed")
    assert result.outcome.verdict.cause
    assert result.output.startswith("on\n")
    assert (await executor.execute_code_blocks([block("print(2)")])).output == "2\n"


async def test_garbage_on_the_stream_ends_the_session_with_env_error(make: Make) -> None:
    executor = await make(namespace=False)
    code = """
import ctypes, os, time
libc, parent = ctypes.CDLL(None), os.getppid()
pidfd = os.pidfd_open(parent)
for name in os.listdir(f"/proc/{parent}/fd"):
    if os.readlink(f"/proc/{parent}/fd/{name}").startswith("socket:"):
        stolen = libc.syscall(438, pidfd, int(name), 0)  # pidfd_getfd(2): the stream itself cannot be opened
        os.write(stolen, b"\\xff" * 64)
        break
time.sleep(30)
"""

    result = await executor.execute_code_blocks([block(code)], RunOptions(timeout=20))

    assert result.outcome.status == "env_error"
    assert "not its protocol" in (result.outcome.verdict.cause or "")
    assert (await executor.execute_code_blocks([block("print(2)")])).output == "2\n"


async def test_limits_are_named(make: Make) -> None:
    limits = Limits(memory_bytes=200_000_000, cpu_seconds=1, file_bytes=1000, open_files=32)
    executor = await make(SystemPythonEnvironment("local", limits=limits))
    cases = {
        "x = bytearray(10**9)": ("oom", 137, "memory_bytes"),
        "while True: pass": ("failed", 152, "cpu_seconds"),
        "with open('f', 'wb') as f: f.write(b'x' * 5000)": ("failed", 1, "file_bytes"),
        "fs = [open('/dev/null') for _ in range(99)]": ("failed", 1, "open_files"),
    }

    for code, expected in cases.items():
        outcome = (await executor.execute_code_blocks([block(code)])).outcome
        assert (outcome.status, outcome.exit_code, *outcome.verdict.limits_hit) == expected, outcome


async def test_a_workspace_that_is_gone_is_said(make: Make, workspace: Path) -> None:
    executor = await make()
    workspace.rmdir()

    result = await executor.execute_code_blocks([block("print(1)")])

    assert result.outcome.status == "env_error"
    assert "is gone" in (result.outcome.verdict.cause or "")


async def test_an_interpreter_that_is_no_python_is_said(workspace: Path) -> None:
    class Broken(SystemPythonEnvironment):
        def get_executable(self) -> str:
            return "/bin/false"

    executor = LocalCommandLineCodeExecutor(Broken("local"), workspace)

    with pytest.raises(EnvironmentFailed, match="exit code 1"):
        await executor.start()
    await executor.stop()


async def test_stop_leaves_nothing(workspace: Path, tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    executor = LocalCommandLineCodeExecutor(SystemPythonEnvironment("local"), workspace)
    await executor.start()
    await executor.execute_code_blocks([block("print(1)")])
    private = executor._private
    pid = executor._live.pid

    await executor.stop()
    await executor.stop()

    assert private is not None
    assert not private.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    if before:
        assert len(os.listdir("/proc/self/fd")) <= len(before) + 1


@pytest.mark.parametrize("namespace", [True, False])
async def test_no_program_can_open_the_stream_or_say_that_it_never_began(make: Make, namespace: bool) -> None:
    executor = await make(namespace=namespace)
    code = """
import os
supervisor = 1 if os.getppid() == 1 else os.getppid()
for name in os.listdir(f"/proc/{supervisor}/fd"):
    link = f"/proc/{supervisor}/fd/{name}"
    try:
        kind = os.readlink(link).split(":")[0]
        descriptor = os.open(link, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        continue
    if kind in ("pipe", "socket") and int(name) > 2:
        os.write(descriptor, b"It never began.")
        if kind == "socket":
            print("opened", link)
raise SystemExit(3)
"""

    result = await executor.execute_code_blocks([block(code)], RunOptions(timeout=20))

    assert (result.outcome.status, result.exit_code) == ("failed", 3)
    assert "opened" not in result.output
    assert (await executor.execute_code_blocks([block("print(1)")])).output == "1\n"
