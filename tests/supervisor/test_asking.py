"""A program that waits for input is noticed, with its prompt; one that only waits is not."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_exec_ext.supervisor import frames

from .session import Session

Get = Callable[..., Session]

NODE = """
const io = require('readline').createInterface({input: process.stdin, output: process.stdout});
io.question('name? ', name => { console.log('hello ' + name); io.close(); });
"""
HELLO = "print('hello', sys.stdin.readline(), end='')"
SELECT = f"""
import select, sys
print('name? ', end='')
select.select([sys.stdin], [], [], 8)
{HELLO}
"""
ASKERS = {
    "python input": ("python", "print('hello ' + input('name? '))", "name? "),
    "python stdin": ("python", "import sys; print('hello', sys.stdin.readline(), end='')", ""),
    "python after a line": ("python", "print('first')\nprint('hello ' + input('2 > '))", "2 > "),
    "getpass": ("python", "import getpass; print('hello ' + getpass.getpass('Password: '))", "Password: "),
    "os.read": ("python", "import os; print('hello', os.read(0, 100).decode(), end='')", ""),
    "in a child": (
        "python",
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', "
        '\'print("hello", input("child? "))\'])',
        "child? ",
    ),
    "in a thread": (
        "python",
        "import threading\nthreading.Thread(target=lambda: print('hello', input('t? '))).start()",
        "t? ",
    ),
    "bash": ("bash", "read -p 'ignored without a terminal' name; echo hello $name", ""),
    "bash with a prompt": ("bash", "printf 'name? '; read name; echo hello $name", "name? "),
    "bash with a limit of time": ("bash", "printf 'name? '; read -t 5 name; echo hello $name", "name? "),
    "bash by another number": ("bash", "exec 3<&0 </dev/null; read -u 3 name; echo hello $name", ""),
    "cat": ("bash", "echo hello $(head -1)", ""),
    "a file": ("python", "print('hello', open('/dev/stdin').readline(), end='')", ""),
    "splice": (
        "python",
        "import ctypes, os\nr, w = os.pipe()\nctypes.CDLL(None).splice(0, None, w, None, 100, 0)\n"
        "print('hello', os.read(r, 100).decode(), end='')",
        "",
    ),
    "select": ("python", SELECT, "name? "),
    "select with much else": (
        "python",
        "import os; held = [os.open('/dev/null', os.O_RDONLY) for _ in range(500)]\n"
        "os.dup2(0, 900); os.dup2(held[0], 0)\n"
        "import select, sys\nselect.select([*os.pipe()[:1], 900], [], [])\n"
        "print('hello', os.read(900, 100).decode(), end='')",
        "",
    ),
    "selectors": (
        "python",
        "import selectors, sys\nselector = selectors.SelectSelector()\n"
        "selector.register(sys.stdin, selectors.EVENT_READ)\nselector.select(8)\n" + HELLO,
        "",
    ),
    "poll": (
        "python",
        "import os, select, sys\npoll = select.poll()\npoll.register(os.pipe()[0])\n"
        "poll.register(0, select.POLLIN)\npoll.poll(8000)\n" + HELLO,
        "",
    ),
    "epoll by another number": (
        "python",
        "import os, select\nos.dup2(0, 7); os.close(0)\n"
        "epoll = select.epoll(); epoll.register(7, select.EPOLLIN); epoll.poll(8)\n"
        "print('hello', os.read(7, 100).decode(), end='')",
        "",
    ),
    "node": ("javascript", NODE, "name? "),
}


def until_asked(session: Session, channel: int) -> dict[str, Any]:
    """The next question of a run."""
    for kind, data in session.events(channel):
        if kind == frames.CONTROL and data["op"] == "asks":
            return data  # type: ignore[no-any-return]
    raise AssertionError("it ended and did not ask")


def answer(session: Session, channel: int, data: bytes) -> None:
    session.send(frames.frame(frames.DATA, channel, data))


@pytest.mark.parametrize("fork", [True, False])
@pytest.mark.parametrize("name", ASKERS)
def test_a_program_that_reads_is_noticed_and_answered(session_of: Get, name: str, fork: bool) -> None:
    language, code, prompt = ASKERS[name]
    if language == "javascript" and shutil.which("node") is None:
        pytest.skip("node is not installed")
    session = session_of()

    started = time.monotonic()
    channel = session.begin(code, language, live=True, fork=fork)
    question = until_asked(session, channel)
    assert time.monotonic() - started < 2
    answer(session, channel, b"world\n")
    answer(session, channel, b"")  # node goes on until there can be no more
    ended = session.wait(channel)

    assert question["prompt"] == prompt
    assert "hello world\n" in ended.stdout
    assert ended.code == 0


SILENT = {
    "sleep": ("python", "import time; time.sleep(0.4)"),
    "work": ("python", "import time; t = time.time()\nwhile time.time() - t < 0.4: pass"),
    "bash sleep": ("bash", "sleep 0.4"),
    "reads a pipe": (
        "python",
        "import os, threading\nr, w = os.pipe()\n"
        "threading.Timer(0.4, os.write, (w, b'x')).start(); os.read(r, 1)",
    ),
    "selects a pipe": ("python", "import os, select; select.select([os.pipe()[0]], [], [0], 0.4)"),
    "polls for errors only": (
        "python",
        "import select; poll = select.poll(); poll.register(0, 0); poll.register(1, 0); poll.poll(400)",
    ),
    "polls nothing": ("python", "import select; select.poll().poll(400)"),
    "looks whether something is there": (
        "python",
        "import select, time; t = time.time()\nwhile time.time() - t < 0.4: select.select([0], [], [], 0)",
    ),
    "waits for a child": ("bash", "sleep 0.4 & wait"),
    "reads a file as 0": ("bash", "exec < /dev/zero; head -c 1000000000 > /dev/null"),
    "a lock": ("python", "import threading\nthreading.Event().wait(0.4)"),
    "asyncio": ("python", "import asyncio; asyncio.run(asyncio.sleep(0.4))"),
}


@pytest.mark.parametrize("name", SILENT)
def test_a_program_that_only_waits_does_not_ask(session_of: Get, name: str) -> None:
    language, code = SILENT[name]

    ended = session_of().run(code, language, live=True)

    assert [op["op"] for op in ended.ops] == ["started", "end"]
    assert ended.code == 0


def test_a_program_that_looks_for_input_while_it_works_asks_once_and_again_after_an_answer(
    session_of: Get,
) -> None:
    session = session_of()
    code = """
import os, select, time
end = time.time() + 1
while time.time() < end:
    if select.select([0], [], [], 0.1)[0]:
        os.read(0, 100)
"""
    channel = session.begin(code, live=True)
    until_asked(session, channel)
    answer(session, channel, b"left\n")

    ended = session.wait(channel)

    assert [op["op"] for op in ended.ops] == ["taken", "asks", "end"]


#: A call that waits for what lies at an address that is not the program's.
BAD = """
import ctypes, time
{call}
time.sleep(0.2)
"""


@pytest.mark.parametrize(
    "call",
    [
        "ctypes.CDLL(None).syscall(7, ctypes.c_void_p(8), 1 << 40, 200)",
        "ctypes.CDLL(None).syscall(23, 1 << 30, ctypes.c_void_p((1 << 64) - 8), 0, 0, 0)",
        "ctypes.CDLL(None).syscall(0, ctypes.c_long(-1), 0, 0)",
    ],
)
def test_a_call_with_nonsense_in_it_is_not_a_question(session_of: Get, call: str) -> None:
    ended = session_of().run(BAD.format(call=call), live=True)

    assert [op["op"] for op in ended.ops] == ["started", "end"]


def test_each_question_is_asked_once_and_each_answer_goes_to_its_own(session_of: Get) -> None:
    session = session_of()
    channel = session.begin("a = input('a '); b = input('b '); print(a + b)", live=True)

    prompts = []
    for text in (b"1\n", b"2\n"):
        prompts.append(until_asked(session, channel)["prompt"])
        time.sleep(0.2)
        answer(session, channel, text)
    ended = session.wait(channel)

    assert prompts == ["a ", "b "]
    assert ended.stdout == "12\n"
    assert [op["op"] for op in ended.ops if op["op"] != "taken"] == ["end"]


def test_what_was_typed_ahead_is_read_without_asking(session_of: Get) -> None:
    session = session_of()
    channel = session.begin("import time; time.sleep(0.2); print(input() + input())", live=True)
    answer(session, channel, b"one\ntwo\n")

    ended = session.wait(channel)

    assert ended.stdout == "onetwo\n"
    assert [op["op"] for op in ended.ops] == ["started", "taken", "end"]


def test_the_end_of_input_is_the_end_of_the_file(session_of: Get) -> None:
    session = session_of()
    channel = session.begin("import sys; print(repr(sys.stdin.read()))", live=True)
    until_asked(session, channel)
    answer(session, channel, b"half")
    answer(session, channel, b"")

    assert session.wait(channel).stdout == "'half'\n"


@pytest.mark.parametrize(("language", "code"), [("python", "input()"), ("bash", "read x || exit 1")])
def test_without_input_there_is_the_end_of_the_file_and_no_question(
    session_of: Get, language: str, code: str
) -> None:
    ended = session_of().run(code, language)

    assert ended.code == 1
    assert [op["op"] for op in ended.ops] == ["started", "end"]


def test_more_than_a_pipe_holds_is_taken_as_the_program_reads_and_costs_no_time(session_of: Get) -> None:
    session = session_of()
    source = "import sys, time\ntime.sleep(0.5)\nprint(len(sys.stdin.buffer.read()))"
    channel = session.begin(source, live=True)
    for _ in range(20):
        answer(session, channel, bytes(frames.CHUNK))
    answer(session, channel, b"")
    with open(f"/proc/{session.process.pid}/stat") as file:
        before = int(file.read().rsplit(")", 1)[1].split()[11])

    ended = session.wait(channel)

    with open(f"/proc/{session.process.pid}/stat") as file:
        used = int(file.read().rsplit(")", 1)[1].split()[11]) - before
    assert ended.stdout == f"{20 * frames.CHUNK}\n"
    assert used < 20  # hundredths of a second: it waited, and did not turn round and round


def test_a_program_that_never_reads_does_not_hold_the_supervisor(session_of: Get) -> None:
    session = session_of()
    channel = session.begin("import time; time.sleep(0.3); print('end')", live=True)
    for _ in range(20):
        answer(session, channel, bytes(frames.CHUNK))

    assert session.wait(channel).stdout == "end\n"


def test_a_program_that_closes_its_input_is_not_asked(session_of: Get) -> None:
    session = session_of()
    channel = session.begin("import os, time; os.close(0); print('on'); time.sleep(0.3)", live=True)
    answer(session, channel, b"x\n")

    ended = session.wait(channel)

    assert ended.code == 0
    assert "asks" not in [op["op"] for op in ended.ops]
