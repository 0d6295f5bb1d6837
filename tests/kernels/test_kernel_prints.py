"""What a cell prints by other ways than `print`, or all at once. Real kernels of IPython."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psutil
import pytest

from jupyter_exec_ext.executors.base import CodeResult, RunOptions
from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make


async def run(executor: JupyterCodeExecutor, code: str, **options: Any) -> CodeResult:
    return await executor.execute_code_blocks([CodeBlock(code=code)], RunOptions(**options))


async def test_what_a_program_prints_that_a_cell_starts_is_all_its_own(make: Make) -> None:
    executor = await make()
    code = "import subprocess\n_ = subprocess.run(['echo', '{}'])"
    printed = [(await run(executor, code.format(number))).output for number in range(100)]
    assert printed == [f"{number}\n" for number in range(100)]


async def test_it_comes_before_the_error_that_follows_it(make: Make) -> None:
    executor = await make()
    for _ in range(20):
        result = await run(executor, "import os\n_ = os.write(1, b'before')\n1 / 0")
        assert result.output.startswith("before-----")


async def test_half_a_character_ends_with_its_cell(make: Make) -> None:
    executor = await make()
    halves = [
        await run(executor, f"import os\n_ = os.write(2, {half!r})") for half in (b"a\xe2\x82", b"\xac")
    ]
    assert [half.output for half in halves] == ["a\ufffd", "\ufffd"]


async def test_a_program_in_the_background_that_prints_without_end_does_not_hold_up_a_cell(
    make: Make,
) -> None:
    executor = await make()
    result = await run(executor, "import subprocess\nchild = subprocess.Popen(['yes'])", timeout=20)
    assert (result.outcome.status, result.exit_code) == ("ok", 0)
    ended = await run(executor, "child.kill(); print(child.wait(), flush=True)", timeout=20)
    assert "-9" in ended.output


async def test_a_cell_that_closes_its_output_costs_no_processor_time_afterwards(make: Make) -> None:
    executor = await make()
    await run(executor, "import os, time\nos.close(1)")
    used = await run(
        executor, "began = time.process_time(); time.sleep(0.5); print(time.process_time() - began)"
    )
    assert float(used.output) < 0.25


@pytest.mark.parametrize(
    "code",
    [
        "import sys\n_ = sys.stdout.write('x' * 50_000_000)\nprint('end')",
        "for _ in range(500): print('x' * 99_999)\nprint('end')",
    ],
    ids=["at once", "piece by piece"],
)
async def test_however_it_is_printed_head_and_tail_are_kept(make: Make, code: str) -> None:
    executor = await make(output_limit=500_000)

    result = await run(executor, code)

    assert result.outcome.truncated
    assert result.output.startswith("xxx")
    assert result.output.endswith("end\n")
    assert "bytes of output were dropped here" in result.output
    assert "was left out" not in result.output


async def test_what_is_printed_faster_than_it_is_read_waits_in_the_kernel(make: Make) -> None:
    # given: a program that has little time for what it reads
    executor = await make(output_limit=500_000)
    code = "for _ in range(1500): print('x' * 99_999)\nprint('end')"
    memory = psutil.Process().memory_info
    before = most = memory().rss
    # when
    running = asyncio.create_task(run(executor, code))
    while not running.done():
        time.sleep(0.02)  # noqa: ASYNC251
        await asyncio.sleep(0.02)
        most = max(most, memory().rss)
    # then
    assert most - before < 64 * 1024 * 1024
    assert (await running).output.endswith("end\n")
