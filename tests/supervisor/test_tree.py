"""The stop ladder: whatever a run starts, nothing of it is left, and the verdict says what happened."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.events import Outcome
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# Each begins something that wants to outlive its run. MARK is in the command line of all of them.
PROGRAMS = {
    "child": "subprocess.Popen(LONG)",
    "setsid child": "subprocess.Popen(LONG, start_new_session=True)",
    "daemon": "if os.fork() == 0:\n    os.setsid()\n"
    "    if os.fork() == 0: os.execv(LONG[0], LONG)\n    os._exit(0)",
    "daemon without environment": "if os.fork() == 0:\n    os.setsid()\n"
    "    if os.fork() == 0: os.execve(LONG[0], LONG, {})\n    os._exit(0)",
    "ignores signals": "for n in (signal.SIGINT, signal.SIGTERM): signal.signal(n, signal.SIG_IGN)",
    "stopped": "p = subprocess.Popen(LONG); p.send_signal(signal.SIGSTOP)",
    "chain": "if os.fork() == 0:\n    os.setsid()\n    os.execv('/bin/sh', ['sh', '-c', CHAIN, MARK])",
}
BEGIN = """
import os, signal, subprocess, sys, time
MARK = {mark!r}
LONG = [sys.executable, "-c", "import time; time.sleep(300)", MARK]
# A chain that forks and exits for ever (until the file is gone: its end is certain).
CHAIN = 'f() {{ [ -e go ] || exit; ( f & ) ; }}; while [ -e go ]; do ( : & ); (sh -c ":" $0 &) ; done'
open("go", "w").close()
{program}
print("on", flush=True)
"""


def alive(mark: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, state = (folder / "cmdline").read_bytes(), (folder / "stat").read_text()
        except OSError:
            continue
        if mark.encode() in command and state.rsplit(")", 1)[1].split()[0] != "Z":
            found.append(int(folder.name))
    return found


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it, at most 5 s."""
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0.05)


async def run(
    make: Make, tmp_path: Path, program: str, end: str, *, namespace: bool
) -> tuple[Outcome, str, str]:
    mark = f"mark-{uuid.uuid4().hex}"
    executor = await make(namespace=namespace, grace=(0.2, 0.2))
    code = BEGIN.format(mark=mark, program=PROGRAMS[program]) + end
    try:
        result = await executor.execute_code_blocks(
            [CodeBlock(code=code, language="python")], RunOptions(timeout=1.5)
        )
    finally:
        (tmp_path / "go").unlink(missing_ok=True)
    return result.outcome, result.output, mark


@pytest.mark.parametrize("namespace", [True, False])
@pytest.mark.parametrize("program", PROGRAMS)
async def test_nothing_is_left_after_a_timeout(
    make: Make, tmp_path: Path, program: str, namespace: bool
) -> None:
    started = time.monotonic()

    outcome, output, mark = await run(make, tmp_path, program, "time.sleep(300)", namespace=namespace)

    assert time.monotonic() - started < 1.5 + 5
    assert (outcome.status, outcome.exit_code, outcome.verdict.survivors) == ("timeout", 124, 0)
    assert output.startswith("on\n")
    assert alive(mark) == []


@pytest.mark.parametrize("namespace", [True, False])
@pytest.mark.parametrize("program", PROGRAMS)
async def test_nothing_is_left_when_the_program_ends_by_itself(
    make: Make, tmp_path: Path, program: str, namespace: bool
) -> None:
    outcome, output, mark = await run(make, tmp_path, program, "", namespace=namespace)

    assert (outcome.status, outcome.verdict.survivors) == ("ok", 0)
    assert output == "on\n"
    assert alive(mark) == []


async def test_a_program_that_stops_its_supervisor_is_ended_all_the_same(make: Make) -> None:
    mark = f"mark-{uuid.uuid4().hex}"
    executor = await make(namespace=False, grace=(0.2, 0.2))
    code = BEGIN.format(mark=mark, program=PROGRAMS["setsid child"])
    code += "os.kill(os.getppid(), signal.SIGSTOP); time.sleep(300)"

    result = await executor.execute_code_blocks(
        [CodeBlock(code=code, language="python")], RunOptions(timeout=0.5)
    )
    await executor.stop()

    assert result.outcome.status in ("lost", "timeout")
    assert result.outcome.verdict.cause
    assert alive(mark) == []


@pytest.mark.parametrize("namespace", [True, False])
async def test_the_end_of_the_stream_ends_everything(make: Make, namespace: bool) -> None:
    mark = f"mark-{uuid.uuid4().hex}"
    executor = await make(namespace=namespace)
    code = BEGIN.format(mark=mark, program=PROGRAMS["daemon"]) + "time.sleep(300)"
    stream = executor.run([CodeBlock(code=code, language="python")])
    async for event in stream:
        if event.type == "stream":
            break
    await until(lambda: bool(alive(mark)))
    assert alive(mark)

    executor._live._stdin.close()
    await until(lambda: not alive(mark))

    assert alive(mark) == []
    await stream.aclose()


async def test_a_program_is_not_charged_with_its_supervisors_memory(make: Make) -> None:
    executor = await make(SystemPythonEnvironment("local", preload=["numpy", "pydantic"]))

    small = await executor.execute_code_blocks([CodeBlock(code="true", language="bash")])
    code = f"{sys.executable} -c 'x = bytearray(150_000_000)'"
    large = await executor.execute_code_blocks([CodeBlock(code=code, language="bash")])

    assert small.outcome.verdict.max_rss_bytes is None
    assert 150_000_000 < (large.outcome.verdict.max_rss_bytes or 0) < 250_000_000


async def test_the_accounting_is_the_kernels(make: Make) -> None:
    executor = await make()
    code = (
        "x = bytearray(80_000_000)\nimport time\nt = time.process_time()\n"
        "while time.process_time() - t < 0.3: pass"
    )

    verdict = (await executor.execute_code_blocks([CodeBlock(code=code, language="python")])).outcome.verdict

    assert 0.3 <= (verdict.cpu_seconds or 0) < 1.5
    assert 80_000_000 < (verdict.max_rss_bytes or 0) < 200_000_000
    assert 0.3 <= (verdict.wall_seconds or 0)
