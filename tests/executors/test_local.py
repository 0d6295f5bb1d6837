"""LocalCommandLineCodeExecutor: what a library user sees. Real supervisors, no server."""

from __future__ import annotations

import asyncio
import os
import select
import time
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.environments.base import Limits
from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.errors import (
    Conflict,
    EnvironmentFailed,
    InvalidRequest,
    NotFound,
    Refused,
    SessionLost,
    UnknownLanguage,
)
from jupyter_exec_ext.events import Event, Outcome
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.languages import LANGUAGES, with_policies
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make, aiter_of


def block(code: str, language: str = "python") -> CodeBlock:
    return CodeBlock(code=code, language=language)


async def events_of(
    executor: LocalCommandLineCodeExecutor, *blocks: CodeBlock, **options: Any
) -> list[Event]:
    return [event async for event in executor.run(blocks, RunOptions(**options))]


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


async def test_two_runs_at_once_in_one_session_are_a_conflict(make: Make) -> None:
    executor = await make()
    first = executor.run([block("import time; time.sleep(60)")])
    await first.__anext__()

    with pytest.raises(Conflict):
        await executor.execute_code_blocks([block("print(2)")])

    await first.aclose()


async def test_input_is_asked_for_and_answered(make: Make) -> None:
    executor = await make()
    asked: list[dict[str, Any]] = []
    printed = ""

    code = "print('hi', input('name? '))\nimport getpass\nprint(len(getpass.getpass('Password: ')))"
    async for event in executor.run([block(code)], RunOptions(allow_stdin=True)):
        if event.type == "input_request":
            asked.append(event.data)
            await executor.send_input("Ada")
        if event.type == "stream" and event.data["name"] == "stdout":
            printed += event.data["text"]

    assert printed == "name? hi Ada\n3\n"
    assert [request["password"] for request in asked] == [False, True]


async def test_a_given_text_is_read_to_its_end(make: Make) -> None:
    executor = await make()
    text = "line\n" * 200_000

    result = await executor.execute_code_blocks(
        [block("import sys; print(len(sys.stdin.read()))")], RunOptions(stdin=text)
    )

    assert result.output == f"{len(text)}\n"


async def test_input_without_allow_stdin_is_end_of_file(make: Make) -> None:
    executor = await make()

    result = await executor.execute_code_blocks([block("input()")])

    assert "EOFError" in result.output
    with pytest.raises(Conflict):
        await executor.send_input("x")


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="only Linux tells which pipe was written to first")
@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("import sys; print('first', file=sys.stderr); print('second')", "python"),
        ("echo first >&2; echo second", "sh"),
    ],
)
async def test_what_was_printed_first_comes_first(make: Make, code: str, language: str) -> None:
    executor = await make()

    printed = [(await executor.execute_code_blocks([block(code, language)])).output for _ in range(30)]

    assert printed == ["first\nsecond\n"] * 30


async def test_stdout_and_stderr_come_in_the_order_of_printing(make: Make) -> None:
    executor = await make()
    code = (
        "import sys, time\nfor i in range(5):\n"
        "  print(i); time.sleep(.05); print(i, file=sys.stderr); time.sleep(.05)"
    )

    events = await events_of(executor, block(code))

    pieces = [(e.data["name"], e.data["text"]) for e in events if e.type == "stream"]
    seen = [(name, "".join(text for _, text in run)) for name, run in groupby(pieces, key=itemgetter(0))]
    assert seen == [(name, f"{i}\n") for i in range(5) for name in ("stdout", "stderr")]


async def test_a_flood_costs_a_bounded_number_of_events(make: Make) -> None:
    executor = await make(output_limit=1024 * 1024)
    code = "import os\nfor i in range(300000): os.write(1, b'x' * 200)"

    events = await events_of(executor, block(code))

    outcome = events[-1].data["outcome"]
    assert outcome.truncated
    assert "output" in outcome.verdict.limits_hit
    assert sum(len(e.data["text"]) for e in events if e.type == "stream") < 1024 * 1024 + 500
    assert "60,000,000 bytes of output" in "".join(e.data["text"] for e in events if e.type == "stream")
    assert len(events) < 100 + 60 * outcome.verdict.wall_seconds


@pytest.mark.parametrize(("count", "each"), [(3, 4000), (4, 4000), (200, 50_000)])
async def test_all_blocks_together_print_no_more_than_the_limit(make: Make, count: int, each: int) -> None:
    executor = await make(output_limit=10_000)
    blocks = [block(f"print('x' * {each - 1})") for _ in range(count - 1)] + [block("print('the end')")]

    result = await executor.execute_code_blocks(blocks)

    assert result.output.count("x") <= 10_000
    assert result.output.endswith("the end\n")
    over = (count - 1) * each + 8 > 10_000
    assert result.outcome.truncated == over
    assert result.outcome.verdict.limits_hit == (["output"] if over else [])


async def test_a_flood_whose_session_was_lost_is_not_whole(make: Make) -> None:
    executor = await make(output_limit=8192)
    events = executor.run([block("while True: print('x' * 1000)")])
    async for event in events:
        if event.truncated:
            break

    executor._client.kill(SessionLost("It was killed."))

    outcome = [event async for event in events][-1].data["outcome"]
    assert (outcome.status, outcome.truncated, outcome.verdict.limits_hit) == ("lost", True, ["output"])


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
