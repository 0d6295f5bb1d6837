"""A block is a script: ``python FILE``, forked and spawned print the same and end the same.

Every program here runs three times on the same file; what it prints on either stream and its exit
code must be equal.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from jupyter_exec_ext.events import Event
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

SCRIPTS = {
    "main": "print(__name__, __file__, sorted(globals())); import __main__; print(__main__.__file__)",
    "argv and path": "import sys; print(sys.argv, sys.path[0], sys.flags, sys.orig_argv[1:])",
    "traceback": "def f():\n    1/0\nf()",
    "chained": "try:\n    1/0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e",
    "syntax error": "x = (1,\n",
    "recursion": "def f(): f()\ntry: f()\nexcept RecursionError as e: print(type(e))",
    "stack": "import traceback, inspect, sys\ntraceback.print_stack(); print(len(inspect.stack()))",
    "frame": "import sys; print(sys._getframe().f_back)",
    "warning": "import warnings\nwarnings.warn('w', stacklevel=2)\nwarnings.warn('v')",
    "faulthandler": "import faulthandler\ndef f(): faulthandler.dump_traceback()\nf()",
    "logging": "import logging\nlogging.basicConfig()\nlogging.error('x', stack_info=True)",
    "exit code": "import sys; sys.exit(3)",
    "exit text": "raise SystemExit('text')",
    "exit none": "raise SystemExit",
    "exit big": "raise SystemExit(300)",
    "exit negative": "import sys; sys.exit(-1)",
    "os exit": "import os; print('x'); os._exit(4)",
    "atexit": "import atexit\natexit.register(print, 1)\natexit.register(print, 2)\nprint(0)",
    "atexit raises": "import atexit\n@atexit.register\ndef f(): 1/0\nprint(0)",
    "thread": "from threading import Timer\nTimer(0.1, print, ['late']).start()",
    "daemon thread": "from threading import Thread\nfrom time import sleep\n"
    "Thread(target=sleep, args=(9,), daemon=True).start()",
    "main thread": "import threading; print(threading.current_thread() is threading.main_thread())",
    "del at exit": "class A:\n    def __del__(self): print('del')\na = A()",
    "unflushed": "f = open('left.txt', 'w'); f.write('data')",
    "flushed": "print(open('left.txt').read())",
    "excepthook": "import sys\nsys.excepthook = lambda *a: print('mine', a[0])\n1/0",
    "unraisable": "class A:\n    def __del__(self): 1/0\nA()",
    "keyboard": "raise KeyboardInterrupt",
    "sigint": "import os, signal\ntry: os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(1)\n"
    "except KeyboardInterrupt: print('caught')",
    "handlers": "import signal\nfor n in sorted(signal.valid_signals()): print(n, signal.getsignal(n))",
    "mask": "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))",
    "sigterm": "import os, signal; os.kill(os.getpid(), signal.SIGTERM); import time; time.sleep(5)",
    "segfault": "import ctypes; ctypes.string_at(0)",
    "streams": "import sys\nfor s in (sys.stdin, sys.stdout, sys.stderr): "
    "print(s.name, s.encoding, s.errors, s.isatty(), s.fileno(), s.mode)",
    "descriptors": "import os; print(sorted(int(n) for n in os.listdir('/dev/fd'))[:-1])",
    "stdin": "import sys; print(repr(sys.stdin.read()))",
    "gc": "import gc; print(gc.isenabled(), gc.get_threshold())",
    "cwd and umask": "import os; print(os.getcwd(), oct(os.umask(0)))",
    "last exception": "import sys; print(hasattr(sys, 'last_value'), sys.exc_info())",
    "unicode": "print('é😀', '\\udcff'.encode('utf-8', 'surrogateescape'))",
    "locale": "import locale, sys; print(locale.getpreferredencoding(), sys.getfilesystemencoding())",
    "pickle": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))).__module__)",
    "dataclass": "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1\nprint(A())",
    "future": "from __future__ import annotations\ndef f(x: y): pass\nprint(f.__annotations__)",
    "encoding": "# -*- coding: latin-1 -*-\nprint('Ã©')",
    "subprocess": "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'print(1)'],"
    " capture_output=True).stdout)",
    "asyncio": "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 3\n"
    "print(asyncio.run(f()))",
    "executor": "from concurrent.futures import ThreadPoolExecutor\n"
    "print(list(ThreadPoolExecutor(2).map(str, range(3))))",
    **{
        f"multiprocessing {method}": "import multiprocessing as m\ndef f(x): return x * x\n"
        f"if __name__ == '__main__':\n    with m.get_context('{method}').Pool(2) as p:\n"
        "        print(p.map(f, range(4)))"
        for method in ("fork", "spawn", "forkserver")
    },
}

# Modules of the standard library whose own source is the script: nobody here wrote them.
MODULES = [
    "this",
    "calendar",
    "sysconfig",
    "platform",
    "keyword",
    "colorsys",
    "string",
    "textwrap",
    "heapq",
    "bisect",
    "fractions",
    "statistics",
    "difflib",
    "getopt",
    "gettext",
]
# Their main programs, run by a block as ``python -m`` does it, with what they read.
PROGRAMS = {
    "json.tool": ([], '{"a": [1, 2]}'),
    "tokenize": (["-e"], "x = 1\n"),
    "ast": ([], "f(1)"),
    "dis": ([], "x = 1"),
    "timeit": (["-h"], ""),
    "pip": (["--version"], ""),
    "calendar": (["2026", "11"], ""),
    "base64": (["-e"], "hello"),
    "zipfile": (["-h"], ""),
    "compileall": (["-h"], ""),
    "unittest": (["-h"], ""),
    "pydoc": (["math.sqrt"], ""),
    "mimetypes": (["x.py"], ""),
}


class Ran(NamedTuple):
    """What a script came to."""

    stdout: str
    stderr: str
    code: int | None


async def as_script(path: Path, cwd: Path, variables: dict[str, str], stdin: str) -> Ran:
    """``python -u FILE``."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", str(path), cwd=cwd, env=variables, start_new_session=True,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate(stdin.encode())
    code = process.returncode or 0
    return Ran(out.decode(errors="replace"), err.decode(errors="replace"), code if code >= 0 else 128 - code)


async def as_block(executor: LocalCommandLineCodeExecutor, code: str, stdin: str) -> Ran:
    """The same file, as a block that names it."""
    texts = {"stdout": "", "stderr": ""}
    outcome = None
    blocks = [CodeBlock(code=code, language="python")]
    options = RunOptions(stdin=stdin or None, timeout=60)
    async for event in executor.run(blocks, options):
        if event.type == "stream":
            texts[event.data["name"]] += event.data["text"]
        outcome = event.data.get("outcome")
    assert isinstance(event, Event)
    assert outcome is not None
    return Ran(texts["stdout"], texts["stderr"], outcome.exit_code)


def plain(ran: Ran) -> Ran:
    """Without addresses and thread numbers, which differ from process to process."""
    clean = re.compile(r"0x[0-9a-fA-F]+")
    return Ran(clean.sub("0x", ran.stdout), clean.sub("0x", ran.stderr), ran.code)


async def all_three(make: Make, tmp_path: Path, code: str, stdin: str = "") -> tuple[Ran, Ran, Ran]:
    code = "# filename: script.py\n" + code
    path = tmp_path / "script.py"
    path.write_text(code, encoding="utf-8")
    forked, spawned = await make(), await make(fork=False)
    variables = {**forked.environment.variables(), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    script = await as_script(path, tmp_path, variables, stdin)
    results = [await as_block(executor, code, stdin) for executor in (forked, spawned)]
    return plain(script), plain(results[0]), plain(results[1])


@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_block_runs_as_a_script_does(make: Make, tmp_path: Path, name: str) -> None:
    (tmp_path / "left.txt").write_text("data")

    script, forked, spawned = await all_three(make, tmp_path, SCRIPTS[name])

    assert forked == script
    assert spawned == script


@pytest.mark.parametrize("name", MODULES)
async def test_a_module_of_the_standard_library_runs_unchanged(make: Make, tmp_path: Path, name: str) -> None:
    code = inspect.getsource(__import__(name))

    script, forked, spawned = await all_three(make, tmp_path, code)

    assert forked == script
    assert spawned == script


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_program_of_python_runs_unchanged(make: Make, tmp_path: Path, name: str) -> None:
    arguments, stdin = PROGRAMS[name]
    code = (
        f"import runpy, sys\nsys.argv[1:] = {arguments!r}\nrunpy.run_module({name!r}, run_name='__main__', "
    )
    code += "alter_sys=True)"

    script, forked, spawned = await all_three(make, tmp_path, code, stdin)

    assert forked == script
    assert spawned == script


async def test_a_block_without_a_name_imports_from_the_workspace(make: Make, tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("X = 5")
    code = "import neighbour, sys; print(neighbour.X, sys.path[0])"

    for fork in (True, False):
        ran = await as_block(await make(fork=fork), code, "")
        assert ran == Ran(f"5 {tmp_path}\n", "", 0)


async def test_nothing_random_repeats_from_block_to_block(make: Make) -> None:
    executor = await make()
    code = "import random, uuid; print(random.random(), uuid.uuid4())"

    runs = {(await as_block(executor, code, "")).stdout for _ in range(5)}

    assert len(runs) == 5


async def test_a_module_that_a_block_installs_is_there_for_the_next(make: Make, tmp_path: Path) -> None:
    executor = await make()
    write = "import sys, os; p = [p for p in sys.path if p.endswith('-packages')]; print(bool(p))"
    assert (await as_block(executor, write, "")).stdout == "True\n"
    (tmp_path / "fresh.py").write_text("X = 1")

    assert (await as_block(executor, "import fresh; print(fresh.X)", "")).stdout == "1\n"
    (tmp_path / "fresh.py").write_text("X = 'two'")
    assert (await as_block(executor, "import fresh; print(fresh.X)", "")).stdout == "two\n"


async def test_variables_that_python_reads_at_its_start_are_heeded(make: Make) -> None:
    executor = await make()
    blocks = [CodeBlock(code="import sys; print(sys.flags.optimize, sys.flags.hash_randomization)")]

    result = await executor.execute_code_blocks(
        blocks, RunOptions(env={"PYTHONOPTIMIZE": "2", "PYTHONHASHSEED": "0"})
    )

    assert result.output == "2 0\n"
