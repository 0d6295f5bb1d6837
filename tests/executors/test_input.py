"""Input that a program does not read: bounded, refused beyond that, and taken again when it reads."""

from __future__ import annotations

import asyncio
from typing import Any

import psutil
import pytest

from jupyter_exec_ext.errors import Conflict
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.models import CodeBlock
from jupyter_exec_ext.supervisor.frames import MAX_TYPED

from .conftest import Make

MEGABYTE = "x" * 999_999


both = pytest.mark.parametrize("portable", [False, True], ids=["posix", "portable"])


class Program:
    """A block that runs, and what it has printed."""

    def __init__(self, executor: Any, code: str) -> None:
        self.printed = ""
        self._said = asyncio.Event()
        block = CodeBlock(code=code, language="python")
        self._events = executor.run([block], RunOptions(allow_stdin=True, timeout=30))
        self._work = asyncio.ensure_future(self._follow())

    async def _follow(self) -> None:
        async for event in self._events:
            if event.type == "stream":
                self.printed += event.data["text"]
                self._said.set()

    async def says(self, text: str) -> None:
        while text not in self.printed:
            self._said.clear()
            await asyncio.wait_for(self._said.wait(), 20)

    async def ends(self) -> str:
        await asyncio.wait_for(self._work, 30)
        return self.printed


async def taken(executor: Any, value: str) -> None:
    """Send a line as soon as it is taken."""
    for _ in range(2000):
        try:
            await executor.send_input(value)
        except Conflict:
            await asyncio.sleep(0.01)
        else:
            return
    pytest.fail("the input was never taken")


@both
async def test_input_that_nobody_reads_is_refused_beyond_a_limit(make: Make, portable: bool) -> None:
    executor = await make(portable=portable)
    program = Program(executor, "import time\nprint('began', flush=True)\ntime.sleep(60)")
    await program.says("began")
    (supervisor,) = [p for p in psutil.Process().children() if p.pid == executor._client.pid]
    before = sum(p.memory_info().rss for p in [supervisor, *supervisor.children(recursive=True)])

    sent = 0
    for _ in range(250):
        try:
            await executor.send_input(MEGABYTE)
            sent += 1
        except Conflict as refused:
            assert "may wait" in refused.message  # noqa: PT017  each of them
    await asyncio.sleep(0.2)

    after = sum(p.memory_info().rss for p in [supervisor, *supervisor.children(recursive=True)])
    assert sent == 1
    assert after - before < 16 * 1024 * 1024
    await executor.cancel()
    await program.ends()


@both
async def test_input_that_is_too_long_at_once_is_refused(make: Make, portable: bool) -> None:
    executor = await make(portable=portable)
    program = Program(executor, "print('began', flush=True)\nprint(input())")
    await program.says("began")

    with pytest.raises(Conflict, match="send less at once"):
        await executor.send_input("x" * MAX_TYPED)
    await executor.send_input("little")

    assert await program.ends() == "began\nlittle\n"


@both
async def test_input_is_taken_again_when_the_program_reads(make: Make, portable: bool) -> None:
    executor = await make(portable=portable)
    code = "import sys\nprint('began', flush=True)\nprint(sum(len(sys.stdin.readline()) for _ in range(20)))"
    program = Program(executor, code)
    await program.says("began")

    for _ in range(20):
        await taken(executor, MEGABYTE)

    assert await program.ends() == "began\n20000000\n"


@both
async def test_input_after_the_program_has_closed_it_is_no_burden(make: Make, portable: bool) -> None:
    executor = await make(portable=portable)
    program = Program(executor, "import os, time\nos.close(0)\nprint('closed', flush=True)\ntime.sleep(60)")
    await program.says("closed")

    for _ in range(20):
        await taken(executor, MEGABYTE)

    await executor.cancel()
    await program.ends()
