"""Out of memory is judged by evidence: what a runtime prints last, and how it then ends."""

from __future__ import annotations

import re
import sys

import pytest

from jupyter_exec_ext.environments.base import Limits
from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.executors.verdict import judge
from jupyter_exec_ext.models import CodeBlock
from jupyter_exec_ext.supervisor.reports import Report

from .conftest import Make

LIMIT = 600_000_000
TRACE = (
    'Traceback (most recent call last):\n  File "/w/x.py", line 3, in <module>\n    x = f()\n        ^^^\n'
)
NUMPY = "Unable to allocate 7.45 GiB for an array with shape (1000000000,) and data type float64"
V8 = (
    "<--- JS stacktrace --->\n\n"
    "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n"
    "----- Native stack trace -----\n\n 1: 0xb78db3 node::OOMErrorHandler [node]\n 2: 0xee8300 [node]\n"
    " 3: 0xee8300 [node]\n 4: 0xee8300 [node]\n"
)
CPP = "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n"


GROUP = (
    "  + Exception Group Traceback (most recent call last):\n"
    '  |   File "/w/x.py", line 9, in <module>\n'
    "  |     raise ExceptionGroup('x', errors)\n"
    "  | ExceptionGroup: x (2 sub-exceptions)\n"
    "  +-+---------------- 1 ----------------\n"
    "    | Traceback (most recent call last):\n"
    '    |   File "/w/x.py", line 3, in f\n'
    "    |     return bytearray(10**16)\n"
    "    |            ^^^^^^^^^^^^^^^^^\n"
    "    | {}\n"
    "    +---------------- 2 ----------------\n"
    "    | Traceback (most recent call last):\n"
    '    |   File "/w/x.py", line 7, in g\n'
    "    | {}\n"
    "    +------------------------------------\n"
)
R = "Error: cannot allocate vector of size 7450.6 Gb\nExecution halted\n"


def judged(
    printed: str, code: int, rss: int = 11_000_000, limit: int | None = LIMIT, language: str = "python"
) -> str:
    """The status of a run that printed that; a code below 0 is a signal."""
    ended = {"signal": -code} if code < 0 else {"exit": code}
    report = Report(wall=1, cpu=1, rss=rss, total=0, **ended)  # type: ignore[arg-type]
    limits = Limits(memory_bytes=limit)
    return judge(report, limits=limits, timeout=9.0, printed=printed, language=language).status


@pytest.mark.parametrize(
    ("printed", "code"),
    [
        (f"{TRACE}MemoryError\n", 1),
        (f"before\n{TRACE}MemoryError: no more\n", 1),
        (f"{TRACE}numpy.core._exceptions._ArrayMemoryError: {NUMPY}\n", 1),
        (f"{TRACE}numpy._core._exceptions._ArrayMemoryError: {NUMPY}\n", 1),
        (f"{TRACE}\x1b[1;35mMemoryError\x1b[0m\n", 1),
        (f"{TRACE}MemoryError\nwhile the table was read\nof 3 files\n", 1),
        (f"{TRACE}MemoryError: no more\nof it\n", 1),
        (GROUP.format("MemoryError", "ValueError: no"), 1),
        (GROUP.format("ValueError: no", "MemoryError"), 1),
        (GROUP.format("MemoryError: no more\n    | while the table was read", "ValueError: no"), 1),
        (
            f"before\n{TRACE}ValueError: no\n\nDuring handling of the above exception, another exception "
            f"occurred:\n\n{GROUP.format('ValueError: no', 'MemoryError')}",
            1,
        ),
        (V8, -6),
        (V8, 134),
        (f"{V8}x.sh: line 1: 12345 Aborted                 node x.js\n", 134),
        (CPP, -6),
        ("x.sh: xrealloc: cannot allocate 102010880 bytes\n", 2),
        ("x.sh: fork: Cannot allocate memory\n", 254),
        ("Out of memory!\npanic: fold_constants JMPENV_PUSH returned 2 at -e line 1.\n", 12),
        ("sort: memory exhausted\n", 2),
        ("thread 'main' panicked: Out of memory\n", -11),
    ],
)
def test_what_runtimes_print_last_when_memory_is_refused_is_oom(printed: str, code: int) -> None:
    assert judged(printed, code) == "oom"
    assert judged(printed, code, limit=None) == "failed"


@pytest.mark.parametrize(
    ("printed", "code"),
    [
        ("Out of memory is what the log said\n", 3),
        ("Out of memory is what the log said\n", 1),
        ("ENOMEM\n", 3),
        ("MemoryError: so it says\n", 1),
        (f"WARNING:root:retrying after MemoryError\n{TRACE}ValueError: no\n", 1),
        (f"{TRACE}MemoryError\n\nDuring handling of the above exception, another exception occurred:\n\n"
         f"{TRACE}ValueError: no\n", 1),
        (f"{TRACE}MemoryError\n", 3),
        (f"{TRACE}MemoryError\n\nIt goes on with less.\n", 1),
        (f"{TRACE}MemoryError\nTraceback (most recent call last):\n  File \"x\"\nValueError: no\n", 1),
        (f"{TRACE}MemoryError\n" + "later\n" * 5, 1),
        (f"{TRACE}ValueError: MemoryError\n", 1),
        (GROUP.format("ValueError: no", "KeyError: 'MemoryError'"), 1),
        (GROUP.format("ValueError: no", "MemoryError"), 3),
        (f"{GROUP.format('MemoryError', 'ValueError: no')}\n{TRACE}ValueError: no\n", 1),
        (f"{GROUP.format('MemoryError', 'ValueError')}{GROUP.format('ValueError', 'ValueError')}", 1),
        ("Cannot allocate vector of size 3\n", 1),
        (R, 1),
        (f"{TRACE}torch.cuda.OutOfMemoryError: CUDA out of memory\n", 1),
        ("std::bad_alloc was caught\n" + "later\n" * 5, -11),
        ("", -9),
    ],
)  # fmt: skip
def test_a_program_that_only_mentions_memory_is_not_oom(printed: str, code: int) -> None:
    assert judged(printed, code) == "failed"


@pytest.mark.parametrize("language", ["r", "python", "bash"])
def test_the_words_of_r_count_where_it_is_r_that_runs(language: str) -> None:
    expected = "oom" if language == "r" else "failed"

    assert judged(R, 1, language=language) == expected
    assert judged("Error: cannot allocate memory block of size 12 Tb\n", 1, language=language) == expected
    assert judged(R, 3, language=language) == "failed"


NODE = (
    "node:internal/buffer:959\n    super(bufferOrLength, byteOffset, length);\n    ^\n\n"
    "RangeError: Array buffer allocation failed\n    at new ArrayBuffer (<anonymous>)\n"
    "    at Object.<anonymous> (/w/x.js:1:20)\n\nNode.js v18.20.4\n"
)


def test_a_large_piece_that_node_is_refused_is_oom_where_it_ends_the_program() -> None:
    assert judged(NODE, 1, language="javascript") == "oom"
    assert judged(NODE, 3, language="javascript") == "failed"
    assert judged(f"{NODE}and so on\n", 1, language="javascript") == "failed"
    assert judged("RangeError: Array buffer allocation failed\n", 1, language="javascript") == "failed"


async def test_a_large_piece_that_node_is_refused_is_oom_in_fact(make: Make) -> None:
    limits = Limits(memory_bytes=900_000_000)
    executor = await make(SystemPythonEnvironment(limits=limits))

    result = await executor.execute_code_blocks(
        [CodeBlock(code="console.log(Buffer.alloc(2e9).length)", language="javascript")]
    )

    assert (result.outcome.status, result.exit_code) == ("oom", 137), result.output


def test_words_are_enough_of_a_program_that_had_all_it_may_have() -> None:
    assert judged("giving up: ENOMEM\n", 3, rss=LIMIT - 1000) == "oom"
    assert judged("giving up\n", 3, rss=LIMIT - 1000) == "failed"


@pytest.mark.parametrize(
    ("language", "code", "expected"),
    [
        (
            "python",
            "import sys\nprint('Out of memory is what the log said', file=sys.stderr)\nsys.exit(3)",
            3,
        ),
        ("bash", "echo ENOMEM >&2; exit 3", 3),
        ("python", "import logging\nlogging.warning('after MemoryError')\nraise ValueError('no')", 1),
        ("python", "x = bytearray(10**9)", 137),
        ("python", "print('Cannot allocate vector of size 3', file=__import__('sys').stderr); exit(1)", 1),
        ("bash", "python3 -c 'x = bytearray(10**9)'", 137),
        ("javascript", "const a = []; while (true) a.push(new Array(1e6).fill(1.5))", 137),
        ("bash", "x=$(head -c 3000000 /dev/zero | tr '\\0' x); while :; do x=$x$x; done", 137),
    ],
)
async def test_programs_under_a_limit(make: Make, language: str, code: str, expected: int) -> None:
    executor = await make(SystemPythonEnvironment(limits=Limits(memory_bytes=LIMIT)))

    result = await executor.execute_code_blocks([CodeBlock(code=code, language=language)])

    status = "oom" if expected == 137 else "failed"
    assert (result.outcome.status, result.exit_code) == (status, expected), result.output[-2000:]
    assert result.outcome.verdict.limits_hit == (["memory_bytes"] if status == "oom" else [])


def test_a_hostile_end_of_standard_error_is_judged_in_time() -> None:
    tracebacks = (
        '  File "\n',
        '  File "',
        '  File "\nMemoryError\nx\n',
        '  |   File "\n  | MemoryError\n  +-\n',
    )
    groups = ("    | ", "  +-", "  +-\n")
    for piece in (*tracebacks, *groups, "  x\n", "MemoryError", "Cannot allocate ", "\x1b[", "\n"):
        text = (piece * 4000)[:4000]
        for code in (1, 2, 3, -6):
            judged("ENOMEM" + text, code)
            judged(re.sub("^", "ENOMEM", text), code)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs notes and groups of exceptions")
@pytest.mark.parametrize(
    "code",
    [
        "try:\n    bytearray(10**9)\nexcept MemoryError as e:\n    e.add_note('for a table')\n    raise",
        "import asyncio\nasync def f(): bytearray(10**9)\nasync def g(): await asyncio.sleep(9)\n"
        "async def main():\n    async with asyncio.TaskGroup() as group:\n"
        "        group.create_task(g())\n        group.create_task(f())\nasyncio.run(main())",
    ],
    ids=["note", "group"],
)
async def test_memory_that_is_refused_within_a_group_or_with_a_note_is_oom(make: Make, code: str) -> None:
    executor = await make(SystemPythonEnvironment(limits=Limits(memory_bytes=LIMIT)))

    result = await executor.execute_code_blocks([CodeBlock(code=code, language="python")])

    assert (result.outcome.status, result.exit_code) == ("oom", 137), result.output[-2000:]
