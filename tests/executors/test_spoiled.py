"""What a block does to its supervisor, which has the same rights, is not the next block's problem."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.executors.base import CodeResult, RunOptions
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc and prlimit are Linux's")
ways = pytest.mark.parametrize("fork", [True, False], ids=["forked", "spawned"])
contained = pytest.mark.parametrize("namespace", [True, False], ids=["namespace", "guard"])

# Into the descriptors of the supervisor that can be opened by their names; a pipe may be full.
GARBAGE = """
import os
supervisor = os.getppid()
for name in os.listdir(f"/proc/{supervisor}/fd"):
    try:
        if os.readlink(f"/proc/{supervisor}/fd/{name}").startswith("pipe"):
            os.write(os.open(f"/proc/{supervisor}/fd/{name}", os.O_WRONLY | os.O_NONBLOCK), b"garbage" * 100)
    except OSError:
        pass
"""
# pidfd_open and pidfd_getfd: what may trace the supervisor has its stream, too.
INTO_THE_STREAM = """
import ctypes, os
call = ctypes.CDLL(None).syscall
supervisor = os.getppid()
process = call(434, supervisor, 0)
for name in os.listdir(f"/proc/{supervisor}/fd"):
    descriptor = call(438, process, int(name), 0)
    try:
        os.set_blocking(descriptor, False)
        os.write(descriptor, b"garbage" * 100)
    except OSError:
        pass
"""
LIMIT = "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_{kind}, ({value}, {value}))\n"
LIMITS = {
    f"{kind} {value}": LIMIT.format(kind=kind, value=value)
    for kind, value in (
        ("NOFILE", 0), ("NOFILE", 8), ("AS", 1 << 20), ("DATA", 0), ("STACK", 0), ("NPROC", 0), ("FSIZE", 0),
        ("CPU", 0),
    )
}  # fmt: skip

# It heeds no signal, and leaves a daemon that does not, either.
STUBBORN = """
import os, signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
alive = os.open("alive", os.O_WRONLY | os.O_CREAT)
if os.fork() == 0:
    os.setsid()
    while True:
        os.write(alive, b".")
        time.sleep(0.05)
print("printed", flush=True)
"""


async def run(executor: LocalCommandLineCodeExecutor, code: str, **options: Any) -> CodeResult:
    return await executor.execute_code_blocks(
        [CodeBlock(code=code, language="python")], RunOptions(**options)
    )


async def hit_by(executor: LocalCommandLineCodeExecutor, code: str, **options: Any) -> CodeResult:
    """Run it within a burst, in which the next block's process is there; the runs after it are well."""
    for _ in range(2):
        await run(executor, "print(1)")
    result = await run(executor, code, **options)
    after = [await run(executor, "print(1)", timeout=20.0) for _ in range(4)]
    assert [(one.outcome.status, one.output) for one in after] == [("ok", "1\n")] * 4, after
    return result


@contained
@ways
@pytest.mark.parametrize("code", [GARBAGE, INTO_THE_STREAM], ids=["pipes", "stream"])
async def test_garbage_in_the_supervisors_pipes_is_nothing_to_the_next_run(
    make: Make, namespace: bool, fork: bool, code: str
) -> None:
    executor = await make(namespace=namespace, fork=fork)

    result = await hit_by(executor, code, timeout=20.0)

    assert result.outcome.status in ("ok", "env_error")


@contained
@ways
@pytest.mark.parametrize("code", LIMITS.values(), ids=LIMITS)
async def test_limits_that_a_block_gives_its_supervisor_are_not_the_next_runs(
    make: Make, namespace: bool, fork: bool, code: str
) -> None:
    executor = await make(namespace=namespace, fork=fork)

    result = await hit_by(executor, code)

    assert "supervisor" not in result.output


@contained
@pytest.mark.parametrize("code", LIMITS.values(), ids=LIMITS)
async def test_a_supervisor_that_a_block_has_limited_stops_it_or_says_why_not(
    make: Make, namespace: bool, code: str
) -> None:
    executor = await make(namespace=namespace, grace=(0.3, 0.3))
    endless = code + "import time\nprint('printed')\nwhile True:\n    time.sleep(1)"

    result = await hit_by(executor, endless, timeout=0.5)

    assert result.output.startswith("printed\n") or result.outcome.status == "lost"
    assert "supervisor" not in result.output  # no frame of ours
    assert result.outcome.status in ("timeout", "lost")
    assert result.outcome.verdict.cause
    assert result.outcome.status == "timeout" or "NOFILE" not in code


@contained
@pytest.mark.parametrize(
    "limit",
    [
        LIMITS["NOFILE 0"],
        LIMITS["NOFILE 8"],
        LIMITS["NOFILE 0"].replace("getppid", "getpid"),
    ],
    ids=["nothing", "little", "its own"],
)
async def test_where_nothing_can_be_opened_a_block_and_its_daemon_end_at_the_timeout(
    make: Make, namespace: bool, limit: str
) -> None:
    executor = await make(namespace=namespace, grace=(0.3, 0.3))

    result = await hit_by(executor, f"{STUBBORN}\n{limit}\nwhile True: time.sleep(1)", timeout=1.0)

    assert (result.outcome.status, result.exit_code, result.output) == ("timeout", 124, "printed\n")
    assert result.outcome.verdict.survivors == 0
    alive = Path(executor.workspace, "alive").stat().st_size
    await asyncio.sleep(0.3)
    assert Path(executor.workspace, "alive").stat().st_size == alive > 0
