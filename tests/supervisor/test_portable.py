"""The portable loop, which Windows gets, on this system: the same frames, the same promises.

What an executor asks of a supervisor is asked of this one by the same tests.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from executors.test_local import (  # noqa: F401
    test_a_link_planted_at_the_next_file_name_is_refused,
    test_an_unknown_language_is_refused_before_anything_runs,
    test_blocks_run_in_order_and_stop_at_the_first_failure,
    test_files_come_and_go,
    test_named_files_are_in_the_workspace_and_others_are_not,
    test_nothing_secret_of_the_server_reaches_a_block,
    test_one_file_name_in_two_runs_at_once_does_not_mix,
    test_python_bash_and_javascript_see_the_workspace,
    test_save_only_languages_are_saved,
    test_two_runs_at_once_in_one_session_are_a_conflict,
    test_without_stop_on_error_the_rest_runs_and_the_first_failure_is_the_result,
)
from executors.test_local_ends import (  # noqa: F401
    test_a_child_that_holds_the_pipe_does_not_hold_the_run,
    test_a_reader_that_leaves_ends_the_run,
    test_a_workspace_that_is_gone_is_said,
    test_cancel_ends_the_run_and_the_next_one_works,
    test_the_output_so_far_is_kept_on_timeout,
    test_the_session_begins_afresh_when_its_supervisor_is_killed,
    test_the_timeout_is_for_all_blocks_together,
)
from executors.test_local_output import (  # noqa: F401
    test_a_flood_costs_a_bounded_number_of_events,
    test_a_given_text_is_read_to_its_end,
    test_input_is_asked_for_and_answered,
    test_input_without_allow_stdin_is_end_of_file,
    test_stdout_and_stderr_come_in_the_order_of_printing,
)

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock
from jupyter_exec_ext.supervisor import frames

from .conftest import PYTHONS
from .session import Session, alive, until
from .test_script import CORE, block, model

#: Programs that walk or trace their own stack, or measure its depth, and so find out that plain Python called
#: them: the one thing in which this loop's Python blocks differ from ``python FILE``.
SEE_THEIR_CALLER = {"alarm", "no_frame_of_ours", "recursion", "traced"}

#: Makes an interpreter one that has no more than Windows has of what the other loop needs.
BARE = """
import os, select, subprocess, sys
for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "setsid", "uname", "wait4", "O_DIRECTORY",
             "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
    if hasattr(os, name):
        delattr(os, name)
del select.poll
for name in ("resource", "fcntl", "termios", "pwd", "grp", "pty"):
    sys.modules[name] = None
"""

Get = Callable[..., Session]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A directory in which blocks run."""
    path = tmp_path / "workspace"
    path.mkdir()
    return path


@pytest.fixture
def make(jp_asyncio_loop: Any, workspace: Path) -> Iterator[Any]:
    """Start executors on the portable loop; they are stopped when the test has ended."""
    stack = AsyncExitStack()

    async def start(environment: Any = None, **settings: Any) -> LocalCommandLineCodeExecutor:
        place = settings.pop("workspace", workspace)
        environment = environment or SystemPythonEnvironment("local")
        executor = LocalCommandLineCodeExecutor(environment, place, portable=True, **settings)
        await stack.enter_async_context(executor)
        return executor

    yield start
    jp_asyncio_loop.run_until_complete(stack.aclose())


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A supervisor with the portable loop."""
    with Session(tmp_path, portable=True) as session:
        yield session


def test_it_says_what_it_is(session: Session) -> None:
    assert session.ready["fork"] is False
    assert session.ready["guarantee"] in ("process_tree", "process")


def test_without_fork_and_poll_it_is_chosen(tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BARE)

    with Session(tmp_path, variables={"PYTHONPATH": str(folder)}) as session:
        ended = session.run("import os; print(hasattr(os, 'fork')); raise SystemExit(4)")

    assert (session.ready["fork"], ended.stdout, ended.code) == (False, "False\n", 4)
    assert session.complaints == ""


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_every_python_can_run_it(tmp_path: Path, python: str) -> None:
    with Session(tmp_path, python, portable=True) as session:
        first = session.run("import sys; print(sys.version_info[:2]); sys.exit('bye')")
        second = session.run("echo two >&2; kill -9 $$", "bash")

    assert first.stdout.strip() in {f"({version.replace('.', ', ')})" for version in PYTHONS}
    assert (first.stderr, first.code) == ("bye\n", 1)
    assert (second.stderr, second.code) == ("two\n", -9)
    assert session.complaints == ""


@pytest.mark.parametrize("script", [script for script in CORE if script.stem not in SEE_THEIR_CALLER],
                         ids=lambda script: script.stem)  # fmt: skip
def test_a_block_looks_like_a_script(session_of: Get, script: Path) -> None:
    session = session_of(portable=True)
    source = script.read_text()

    assert block(session, source) == model(session, source)


def test_the_ladder_goes_up_to_the_kill(session: Session) -> None:
    code = (
        "import signal, time\nfor n in (2, 15): signal.signal(n, lambda n, f: print(n, flush=True))\n"
        "print('on', flush=True)\nwhile True: time.sleep(0.05)"
    )

    ended = session.run(code, timeout=0.5, grace=[0.2, 0.2])

    assert ended.stdout == "on\n2\n15\n"
    assert (ended.report["stopped"], ended.report["signal"], ended.report["survivors"]) == ("timeout", 9, 0)
    assert ended.report["wall"] < 3


def test_interrupt_is_a_keyboard_interrupt(session: Session) -> None:
    code = "import time\ntry: print('on', flush=True); time.sleep(30)\nexcept KeyboardInterrupt: print('!')"
    channel = session.begin(code)
    events = session.events(channel)
    next(event for event in events if event == (frames.STDOUT, b"on\n"))

    session.send(frames.control(channel, "interrupt"))
    rest = list(events)

    assert rest[0] == (frames.STDOUT, b"!\n")
    assert rest[-1][1]["exit"] == 0


def test_children_in_other_sessions_are_killed(session: Session) -> None:
    pytest.importorskip("psutil")
    marker = f"marker-{os.urandom(8).hex()}"
    code = "setsid sleep 61 & sh -c 'sleep 62' & sleep 60"

    ended = session.run(code, "bash", env={"MARKER": marker}, timeout=1.0, grace=[0.2, 0.2])

    assert ended.report["survivors"] == 0
    assert until(lambda: not alive(marker))


def test_processor_time_is_counted(session: Session) -> None:
    code = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"

    assert session.run(code).report["cpu"] >= 0.3


def test_output_over_the_cap_keeps_head_and_tail(session: Session) -> None:
    code = "import sys\nfor i in range(100000): sys.stdout.write('%06d\\n' % i)"

    ended = session.run(code, head=700, tail=700)

    assert ended.stdout.startswith("000000\n000001\n")
    assert ended.stdout.endswith("099998\n099999\n")
    assert len(ended.stdout) == 1400
    assert next(op for op in ended.ops if op["op"] == "dropped") == {
        "op": "dropped", "dropped": 700_000 - 1400, "total": 700_000,
    }  # fmt: skip


def test_a_server_that_does_not_read_does_not_stop_the_stop_ladder(session: Session) -> None:
    # given a program that prints more than the pipe, and what waits for it, hold
    channel = session.begin("while True: print('x' * 1000)", head=1 << 30, tail=1 << 20, grace=[0.1, 0.1])
    time.sleep(1.0)

    # when it is stopped while nobody has read anything
    session.send(frames.control(channel, "stop"))
    marker = str(session.private)
    assert until(lambda: len(alive(marker)) == 1)  # the supervisor itself

    # then what was printed before, and the end, are there
    ended = session.wait(channel)
    assert ended.report["stopped"] == "cancelled"
    assert 1 << 20 < len(ended.stdout) < 1 << 23


def test_a_line_is_asked_for_and_taken(session: Session) -> None:
    channel = session.begin("print(input('name? '))\nprint(input())", live=True)
    events = session.events(channel)

    asked = next(data for kind, data in events if kind == frames.CONTROL and data["op"] == "asks")
    session.send(frames.frame(frames.DATA, channel, b"Ada\nLove"))
    session.send(frames.frame(frames.DATA, channel, b"lace\n"))
    session.send(frames.frame(frames.DATA, channel, b""))
    printed = b"".join(data for kind, data in events if kind == frames.STDOUT)

    assert asked["prompt"] == "name? "
    assert printed == b"Ada\nLovelace\n"


def test_an_interpreter_that_is_not_there_is_said(session: Session) -> None:
    ended = session.run("x", argv=["no-such-program", "{file}"], python=False)

    assert ended.report["op"] == "refused"
    assert "no-such-program" in ended.report["message"]


def test_a_second_run_at_once_is_refused(session: Session) -> None:
    first = session.begin("import time; time.sleep(30)")

    second = session.run("print(1)")
    session.send(frames.control(first, "stop"))

    assert "Another run" in second.report["message"]
    assert session.wait(first).report["stopped"] == "cancelled"


@pytest.mark.parametrize("end", ["close", "nonsense", "terminate"])
def test_when_the_server_goes_nothing_is_left(tmp_path: Path, end: str) -> None:
    marker = f"marker-{os.urandom(8).hex()}"
    session = Session(tmp_path, portable=True)
    session.begin("sleep 60 & sleep 61", "bash", env={"MARKER": marker})
    assert until(lambda: len(alive(marker)) >= 3)

    if end == "nonsense":
        session.send(b"\xff" * 64)
    elif end == "terminate":
        session.process.send_signal(signal.SIGTERM)
    session.__exit__()

    assert session.process.returncode == 0
    assert until(lambda: not alive(marker), 1.0)


def test_a_loop_that_cannot_start_processes_runs_blocks_all_the_same(workspace: Path) -> None:
    # Windows' selector loop is this one, and Jupyter Server sets it.
    async def scenario() -> tuple[str, int, str | None]:
        environment = SystemPythonEnvironment("local")
        async with LocalCommandLineCodeExecutor(environment, workspace, portable=True) as executor:
            flood = CodeBlock(code="print('x' * 3_000_000)", language="python")
            shell = CodeBlock(code="echo é; exit 3", language="sh")
            result = await executor.execute_code_blocks([flood, shell])
            pid = executor._live.pid
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        return result.output, len(result.output), result.outcome.status

    before = threading.active_count()
    loop = BaseSelectorEventLoop()
    try:
        output, size, status = loop.run_until_complete(scenario())
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    assert until(lambda: threading.active_count() <= before)
    assert (output[-3:], size, status) == ("\né\n", 3_000_003, "failed")
