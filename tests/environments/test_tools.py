"""Installers run on a leash: told line by line, and gone with all their children when let go."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from folders import processes_with

from jupyter_exec_ext.environments import leash, tools
from jupyter_exec_ext.environments.tools import Tool, find_uv, installer_variables
from jupyter_exec_ext.errors import EnvironmentFailed

# Starts a child in its group, one in a session of its own and a daemon, each of which would
# sleep for a minute; `mark` on their command lines finds them.
TREE = """
import os, subprocess, sys, time
sleeper = [sys.executable, "-c", "import time; time.sleep(60)", sys.argv[1]]
subprocess.Popen(sleeper)
subprocess.Popen(sleeper, start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, sleeper)
    os._exit(0)
print("started", flush=True)
if sys.argv[2] == "stay":
    time.sleep(60)
"""


def gone(mark: str, seconds: float = 5.0) -> bool:
    """Whether no process with that mark is left, at the latest after that time."""
    deadline = time.monotonic() + seconds
    while processes_with(mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def python(code: str, *arguments: str) -> list[str]:
    """A command that runs this code."""
    return [sys.executable, "-c", code, *arguments]


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """Runs commands in an empty folder."""
    return Tool(tmp_path, installer_variables())


@pytest.fixture
def mark(tmp_path: Path) -> str:
    """Words that stand on no other command line."""
    return f"mark-of-{tmp_path}"


async def test_each_line_is_told_as_it_comes_clean_and_short(tool: Tool) -> None:
    told: list[str] = []
    code = r"""
import sys
print("plain")
print("\x1b[31mred\x1b[0m \x1b]0;title\x07ok", file=sys.stderr)
sys.stdout.buffer.write(b"\xff\xfe bytes\n\n")
print("https://me:hunter2@host/simple \u202eabc")
print("x" * 100000)
"""

    await tool.run(python(code), told.append)
    await asyncio.sleep(0)

    assert {"plain", "red ok", "\ufffd\ufffd bytes", "https://***@host/simple abc"} <= set(told)
    assert "x" * 300 in told
    assert all(len(line) <= 300 and line.isprintable() for line in told)


async def test_a_failure_quotes_the_last_lines_in_one_sentence(tool: Tool) -> None:
    code = "for n in range(100): print('line', n)\nprint('error: no such package')\nraise SystemExit(3)"

    with pytest.raises(EnvironmentFailed) as caught:
        await tool.run(python(code), lambda line: None)

    message = caught.value.message
    assert "ended with exit code 3" in message
    assert message.endswith("line 99 error: no such package")
    assert "line 5 " not in message
    assert "\n" not in message


async def test_a_flood_of_lines_is_told_in_part_and_its_end_quoted(tool: Tool) -> None:
    told: list[str] = []
    code = "for n in range(300_000): print('line', n)\nraise SystemExit(1)"

    with pytest.raises(EnvironmentFailed, match="line 299999"):
        await tool.run(python(code), told.append)

    assert len(told) == 1000


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere RLIMIT_DATA does not hold all of it")
async def test_a_command_that_takes_more_memory_than_it_may_is_ended_and_that_is_said(tool: Tool) -> None:
    limited = dataclasses.replace(tool, memory_bytes=256 * 2**20)
    code = "taken = []\nwhile True: taken.append(bytearray(2**24)); print(len(taken), flush=True)"
    told: list[str] = []

    with pytest.raises(
        EnvironmentFailed, match=r"^it needs more memory than .* \(268,435,456 bytes\): "
    ) as caught:
        await limited.run(
            python(f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {code!r}]))"),
            told.append,
        )

    assert "MemoryError" in caught.value.message
    assert 8 < max(int(line) for line in told if line.isdigit()) < 16
    await limited.run(
        python("import mmap; mmap.mmap(-1, 2**40, prot=0, flags=mmap.MAP_PRIVATE | 0x4000)"), told.append
    )


async def test_a_command_that_prints_without_end_is_ended_and_that_is_said(
    tool: Tool, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "OUTPUT_BYTES", 8 * 2**20)
    code = "import os\nos.fork()\nwhile True: os.write(1, b'y' * 50_000 + b'\\n')"
    told: list[str] = []

    with pytest.raises(
        EnvironmentFailed, match=r"printed more than 8 MiB, which is the limit, and was ended$"
    ):
        await asyncio.wait_for(tool.run(python(code, mark), told.append), 30)

    assert processes_with(mark) == []
    assert 0 < len(told) <= 1000


async def test_a_killed_command_fails_with_128_and_the_signal(tool: Tool) -> None:
    with pytest.raises(EnvironmentFailed, match="exit code 137 and said nothing"):
        await tool.run(python("import os; os.kill(os.getpid(), 9)"), lambda line: None)


async def test_a_command_that_is_not_there_is_an_error(tool: Tool) -> None:
    with pytest.raises(EnvironmentFailed, match="no-such-program"):
        await tool.run(["/no-such-program"], lambda line: None)
    with pytest.raises(EnvironmentFailed, match="could not be started"):
        await Tool(Path("/no/such/folder"), {}).run(python(""), lambda line: None)


async def test_it_reads_nothing_and_inherits_no_secret(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_TOKEN", "hunter2")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    code = "import os, sys; assert sys.stdin.read() == ''; print(sorted(os.environ))"
    told: list[str] = []

    await Tool(tool.folder, installer_variables()).run(python(code), told.append)

    assert "PIP_INDEX_URL" in installer_variables()
    assert not {"JUPYTER_TOKEN", "PIP_TARGET"} & set(installer_variables())
    assert told
    assert "JUPYTER_TOKEN" not in told[0]


def until_all_run(mark: str) -> None:
    end = time.monotonic() + 10
    while len(processes_with(mark)) < 4:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="what leaves its session is found by /proc")
async def test_cancelling_leaves_no_process(tool: Tool, mark: str) -> None:
    # given a command with children in its group, in sessions of their own, and daemonised
    started = asyncio.Event()
    running = asyncio.create_task(tool.run(python(TREE, mark, "stay"), lambda line: started.set()))
    await asyncio.wait_for(started.wait(), 30)
    await asyncio.to_thread(until_all_run, mark)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    # then they are gone when the cancelled call returns
    assert processes_with(mark) == []


@pytest.mark.skipif(sys.platform != "linux", reason="what leaves its session is found by /proc")
async def test_what_a_command_leaves_behind_ends_with_it(tool: Tool, mark: str) -> None:
    await asyncio.wait_for(tool.run(python(TREE, mark, "go"), lambda line: None), 30)

    assert processes_with(mark) == []


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found by /proc")
def test_nothing_outlives_a_server_that_is_killed(tmp_path: Path, mark: str) -> None:
    # given a server's process that runs a command
    server = f"""
import asyncio, sys
from pathlib import Path
from jupyter_exec_ext.environments.tools import Tool
command = [sys.executable, "-c", {TREE!r}, {mark!r}, "stay"]
asyncio.run(Tool(Path({str(tmp_path)!r}), {{}}).run(command, lambda line: print(line, flush=True)))
"""
    process = subprocess.Popen([sys.executable, "-c", server], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"

    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()

    assert gone(mark)


@pytest.mark.skipif(sys.platform != "linux", reason="a subreaper is Linux's")
def test_a_chain_that_forks_and_exits_for_ever_is_ended(tmp_path: Path, mark: str) -> None:
    # given a command that leaves such a chain behind, which stops by itself only when a file goes
    flag = tmp_path / "flag"
    flag.touch()
    chain = f"""
import os, sys
if os.fork() == 0:
    os.setsid()
    while os.path.exists({str(flag)!r}):
        if os.fork():
            os._exit(0)
    os._exit(0)
"""
    command = [sys.executable, "-I", leash.__file__, "0", *python(chain, mark)]
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            assert process.wait(30) == 0
        assert gone(mark, 2)
    finally:
        flag.unlink()


def test_uv_is_found_beside_the_interpreter_or_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\n")
    uv.chmod(0o755)

    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "")
    assert find_uv() == str(uv)

    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert find_uv() is None
    monkeypatch.setenv("PATH", f"relative{os.pathsep}{tmp_path}")
    assert find_uv() == str(uv)
