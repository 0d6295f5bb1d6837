"""How a block ends, is interrupted, reads and is surrounded: the same as a script, forked or spawned."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import OTHERS
from .session import Session
from .test_script import WAYS, assert_equal, block, clear, model

Get = Callable[..., Session]

EXITS = {
    "end": "print('end')",
    "empty": "",
    "text": "raise SystemExit('text')",
    "none": "raise SystemExit(None)",
    "zero": "import sys; sys.exit(0)",
    "over": "import sys; sys.exit(300)",
    "below": "import sys; sys.exit(-1)",
    "tuple": "import sys; sys.exit((1, 2))",
    "huge": "import sys; sys.exit(2**80)",
    "_exit": "import os; os._exit(7)",
    "no name": "undefined",
    "syntax": "x = 1\nif x:\nprint('never')\n",
    "unclosed": "print((1, 2)\ny = 3",
    "tab": "if 1:\n\tx = 1\n        y = 2\n",
    "nul": "x = 1\0",
    "future": "x = 1\nfrom __future__ import annotations\n",
    "cookie": "# -*- coding: latin-1 -*-\nprint('\u00e4')",
    "bad cookie": "# -*- coding: klingon -*-\nprint(1)",
    "byte order mark": "\ufeffprint('marked')",
    "crlf": "print('a')\r\nif 1:\r\n    print('b')\r\n",
    "group": "try:\n    1/0\nexcept Exception as e:\n    e.__notes__ = ['noted']\n    raise",
    "interrupt": "raise KeyboardInterrupt",
    "generator": "raise GeneratorExit('odd')",
    "base": "class Base(BaseException): pass\nraise Base('odd')",
    "sigterm": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "sigint": "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)",
    "sigkill": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "sigpipe": "import os\nr, w = os.pipe(); os.close(r)\nos.write(w, b'x')",
    "abort": "import os; os.abort()",
    "segv": "import ctypes; ctypes.string_at(0)",
    "deep": "def f(n):\n    if n: f(n - 1)\n    else: 1/0\nf(50)",
    "assert": "assert 1 == 2, 'not equal'",
    "stderr last": "import sys; sys.stderr.write('unfinished')",
    "binary": "import sys; sys.stdout.buffer.write(b'\\xff\\xfe\\n')",
}


@pytest.mark.parametrize("name", EXITS)
def test_a_block_ends_like_a_script(session_of: Get, name: str) -> None:
    assert_equal(session_of(), EXITS[name])


@pytest.mark.parametrize("version", OTHERS)
def test_a_block_ends_like_a_script_on_every_python(session_of: Get, version: str) -> None:
    for name in ("text", "none", "over", "below", "syntax", "nul", "sigint", "sigterm", "deep", "interrupt"):
        assert_equal(session_of(OTHERS[version]), EXITS[name])


@pytest.mark.parametrize("fork", [True, False])
def test_an_interrupt_ends_in_the_blocks_own_line(session_of: Get, fork: bool) -> None:
    session = session_of()
    source = "print('on', flush=True)\nimport time\ntime.sleep(9)\n"

    channel = session.begin(source, fork=fork)
    events = session.events(channel)
    while next(events)[0] != 3:
        pass
    time.sleep(0.05)
    session.send(_control(channel, "interrupt"))
    ended = session.wait(channel)

    trace = (
        f'Traceback (most recent call last):\n  File "{ended.path or _last(session)}", line 3, in <module>\n'
    )
    assert ended.stderr == trace + "    time.sleep(9)\nKeyboardInterrupt\n"
    assert ended.code == -signal.SIGINT


def test_an_interrupt_at_once_never_shows_a_frame_of_ours(session_of: Get) -> None:
    session = session_of()

    for _ in range(30):
        channel = session.begin("import time\ntime.sleep(9)")
        session.send(_control(channel, "interrupt"))
        ended = session.wait(channel)

        assert ended.code == -signal.SIGINT
        assert "supervisor" not in ended.stderr
        assert ended.stderr.count("File") <= 1


def test_a_program_that_handles_the_interrupt_goes_on(session_of: Get) -> None:
    source = (
        "import time\ntry:\n    print('on')\n    time.sleep(9)\nexcept KeyboardInterrupt:\n    print('off')"
    )
    session = session_of()

    channel = session.begin(source)
    events = session.events(channel)
    while next(events)[0] != 3:
        pass
    time.sleep(0.05)
    session.send(_control(channel, "interrupt"))

    assert session.wait(channel).stdout == "off\n"


READERS = (
    "import sys; print(sys.stdin.read().upper(), sys.stdin.seekable() in (True, False), repr(sys.stdin))",
    "print(input('? ') + input())",
    "import sys\nfor line in sys.stdin: print(line, end='.')\nprint(sys.stdin.buffer.read())",
    "import subprocess; print(subprocess.run(['cat'], stdout=subprocess.PIPE).stdout)",
    "import os; print(os.read(0, 3), os.read(0, 100))",
    "input(); input(); input()",
)


@pytest.mark.parametrize("source", READERS)
@pytest.mark.parametrize("text", ["one\ntwo", "ein\r\nz\u00e4hl \U0001f600\r", ""])
def test_given_text_is_read_like_a_pipe(session_of: Get, source: str, text: str) -> None:
    session = session_of()
    expected = model(session, source, stdin=text)

    for way in WAYS.values():
        clear(session.workspace)
        assert block(session, source, stdin=text, **way) == expected


def test_given_text_of_any_size_is_read(session_of: Get) -> None:
    text = "line\n" * 400_000

    for fork in (True, False):
        ended = session_of().run("import sys; print(len(sys.stdin.read()))", stdin=text, fork=fork)
        assert ended.stdout == "2000000\n"


SHOW = (
    "import os, time, locale, sys\n"
    "print({!r}, os.environ.get({!r}), time.tzname, sys.flags, locale.getlocale())"
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MINE", "ä\nb"),
        ("TZ", "Asia/Tokyo"),
        ("LC_ALL", "C"),
        ("PYTHONOPTIMIZE", "2"),
        ("PYTHONWARNINGS", "error"),
        ("PYTHONDEVMODE", "1"),
        ("PYTHONHASHSEED", "1"),
        ("PYTHONSAFEPATH", "1"),
        ("PATH", "/usr/bin:/bin"),
    ],
)
def test_a_variable_of_the_request_acts_as_on_a_fresh_interpreter(
    session_of: Get, name: str, value: str
) -> None:
    session = session_of()
    source = SHOW.format(name, name) + "; print(hash('x') if os.environ.get('PYTHONHASHSEED') else '')"
    expected = model(session, source, **{name: value})

    assert block(session, source, env={name: value}) == expected
    assert block(session, source, env={name: value}, fork=False) == expected
    gone = session.run(f"import os; print({name!r} in os.environ and os.environ[{name!r}] == {value!r})")
    assert gone.stdout == "False\n"


def test_umask_and_directory_of_a_block_end_with_it(session_of: Get) -> None:
    session = session_of()

    session.run("import os; os.umask(0o77); os.chdir('/'); os.environ['KEPT'] = '1'; os.nice(1)")

    source = "import os; print(os.getcwd(), oct(os.umask(0)), 'KEPT' in os.environ, os.nice(0))"
    assert block(session, source) == model(session, source)


def test_a_hook_of_the_site_stays(session_of: Get) -> None:
    site = "import sys\ndef hook(kind, value, trace): print('site:', value)\nsys.excepthook = hook\n"
    session = session_of(variables={"PYTHONPATH": "site"})
    (session.workspace / "site").mkdir(exist_ok=True)
    (session.workspace / "site" / "usercustomize.py").write_text(site)
    with Session(
        session.workspace.parent / "again", variables={"PYTHONPATH": str(session.workspace / "site")}
    ) as own:
        assert_equal(own, "1/0")


def _control(channel: int, op: str) -> bytes:
    from jupyter_exec_ext.supervisor.frames import control

    return control(channel, op)


def _last(session: Session) -> Any:
    return max(session.private.glob("block-*"), key=lambda path: path.stat().st_mtime)
