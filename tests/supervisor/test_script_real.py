"""Real scripts nobody here wrote run unchanged, with equal output.

Some are the source of a module of the standard library or of an installed package, as the block's
own text; some are main programs of Python that a block starts with arguments, as ``python -m`` does;
some are CPython's own tests, where they are installed.
"""

from __future__ import annotations

import importlib.util
import re
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from .session import Session
from .test_script import WAYS, block, clear, model

Get = Callable[..., Session]

#: Modules whose source is the script, and what it reads.
SOURCES = {
    "this": "",
    "calendar": "",
    "keyword": "",
    "platform": "",
    "sysconfig": "",
    "string": "",
    "textwrap": "",
    "heapq": "",
    "bisect": "",
    "fractions": "",
    "statistics": "",
    "difflib": "",
    "getopt": "",
    "gettext": "",
    "json.tool": '{"a": [1, {"b": null}]}',
    "tokenize": "x = 'one'  # two\n",
    "ast": "f(x, *y)",
    "dis": "x = y + 1",
    "pickle": "",
    "inspect": "",
    "pdb": "",
    "trace": "",
    "cProfile": "",
    "zipapp": "",
    "base64": "",
    "quopri": "a=b",
    "site": "",
    "code": "x = 2\nprint(x)\n1/0\n",
    "shlex": "a 'b c' d",
    "timeit": "",
    "random": "",
    "ctypes.util": "",
    "encodings.rot_13": "Hello",
    "webbrowser": "",
    "mimetypes": "",
    "http.client": "",
    "html.entities": "",
    "pip.__main__": "",
    "platformdirs.__main__": "",
    "certifi.__main__": "",
    "tornado.options": "",
    "jsonschema.__main__": "",
}

#: Main programs with their arguments and what they read.
PROGRAMS = {
    "timeit": (["-n", "2", "-r", "1", "1 + 1"], ""),
    "json.tool": (["--sort-keys"], '{"b": 1, "a": 2}'),
    "json.tool with an error": ([], "{"),
    "pip": (["--version"], ""),
    "pip freeze": (["freeze"], ""),
    "calendar": (["2026", "11"], ""),
    "base64": (["-e"], "hello"),
    "zipfile": (["-c", "made.zip", "sample.py"], ""),
    "tarfile": (["-c", "made.tar", "."], ""),
    "compileall": (["-q", "."], ""),
    "py_compile": (["block.py"], ""),
    "unittest": (["-v", "no_such_module"], ""),
    "doctest": (["-v", "sample.py"], ""),
    "pydoc": (["json.dumps"], ""),
    "ast": (["-a"], "x: int = 1"),
    "dis": ([], "def f(): yield 1"),
    "tokenize": (["-e"], "x = (1,\n"),
    "argparse error": ([], ""),
    "cProfile": (["-o", "/dev/null", "sample.py"], ""),
    "trace": (["--listfuncs", "sample.py"], ""),
    "runpy": (["sample"], ""),
    "asyncio": ([], "import os\nawait asyncio.sleep(0)\nprint(1)\n"),
    "venv": (["-h"], ""),
    "ensurepip": (["--version"], ""),
    "ruff": (["--version"], ""),
}
SAMPLE = (
    'def twice(x):\n    """\n    >>> twice(2)\n    4\n    >>> twice(1)\n    3\n    """\n'
    "    return 2 * x\ntwice(3)\n"
)

#: CPython's tests, quick ones that look at what we might disturb.
TESTS = (
    "test.test_atexit",
    "test.test_warnings",
    "test.test_contextlib",
    "test.test_threading_local",
    "test.test_with",
    "test.test_generators",
    "test.test_linecache",
    "test.test_pkgutil",
)

_TIMES = re.compile(
    r"\b\d+(\.\d+)?(e-\d+)? ?(seconds|s\b|nsec|usec|msec)|\d+\.\d+ +\d+\.\d+ +\d+\.\d+|\(best of.*"
)


def plain(text: str) -> str:
    """Without what a clock or chance put in."""
    return re.sub(r"\d+ (function calls|loops)", "N", _TIMES.sub("T", text))


def assert_same(session: Session, source: str, stdin: str) -> None:
    """Run a source that reads something three ways and compare what it printed and its exit code."""
    results = {}
    for way in ("model", *WAYS):
        clear(session.workspace)
        (session.workspace / "sample.py").write_text(SAMPLE)
        if way == "model":
            found = model(session, source, stdin=stdin)
        else:
            # By name: argparse breaks its lines by the length of the program's.
            found = block(session, source, stdin=stdin, file="block.py", **WAYS[way])
        results[way] = (plain(found[0]), plain(found[1]), found[2])
    for way in WAYS:
        assert results[way] == results["model"], way


@pytest.mark.parametrize("name", SOURCES)
def test_the_source_of_a_module_runs_as_a_block(session_of: Get, name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    # A module that is frozen into the interpreter has its file all the same.
    origin = f"{sysconfig.get_path('stdlib')}/{name}.py" if spec.origin == "frozen" else spec.origin
    source = Path(origin).read_text(encoding="utf-8")
    if name == "random":
        source = source.replace(
            "if __name__ == '__main__':\n    _test()", "seed(1); print(random(), gauss(0, 1))"
        )
    if name == "timeit":  # by itself it measures for a second, and warns where the machine is busy
        source = source.replace("sys.exit(main())", "sys.exit(main(['-n', '2', '-r', '1', '1 + 1']))")

    assert_same(session_of(), source, SOURCES[name])


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_main_program_runs_as_a_block(session_of: Get, name: str) -> None:
    arguments, stdin = PROGRAMS[name]
    source = f"import runpy, sys\nsys.argv[1:] = {arguments!r}\n"
    source += f"runpy.run_module({name.split()[0]!r}, run_name='__main__', alter_sys=True)\n"

    assert_same(session_of(), source, stdin)


@pytest.mark.skipif(
    importlib.util.find_spec("test.test_atexit") is None, reason="CPython's tests are not installed"
)
@pytest.mark.parametrize("name", TESTS)
def test_cpythons_own_tests_run_as_a_block(session_of: Get, name: str) -> None:
    source = f"import unittest\nif __name__ == '__main__':\n    unittest.main(module={name!r}, verbosity=0)\n"

    assert_same(session_of(), source, "")
