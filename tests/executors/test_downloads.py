"""Files on their way out: a reader that is slow, or gone, holds up nothing else in the session."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

HELLO = [CodeBlock(code="print('hello')", language="python")]


@pytest.fixture
def big(workspace: Path) -> Path:
    """A file far larger than what may be on its way."""
    path = workspace / "big.bin"
    with path.open("wb") as file:
        file.truncate(1 << 28)
    return path


async def hello(executor: LocalCommandLineCodeExecutor) -> str:
    """What a block prints that is waited for a few seconds."""
    return (await asyncio.wait_for(executor.execute_code_blocks(HELLO), 5)).output


@pytest.mark.parametrize("taken", [0, 1, 7, 8, 9, 40])
async def test_a_reader_that_does_not_go_on_holds_up_no_block_and_no_other_file(
    make: Make, big: Path, taken: int
) -> None:
    executor = await make()
    async with aclosing(executor.read_file(big.name)) as chunks:
        for _ in range(1 + taken):
            await anext(chunks)
        await asyncio.sleep(0.2)  # all that may be on its way is there
        # when, then
        assert await hello(executor) == "hello\n"
        assert await asyncio.wait_for(executor.list_files(), 5)
        async with aclosing(executor.read_file(big.name)) as others:
            assert len(await asyncio.wait_for(anext(others), 5)) > 0
    assert await hello(executor) == "hello\n"


async def test_several_readers_each_get_the_whole_file(make: Make, workspace: Path) -> None:
    executor = await make()
    content = bytes(range(256)) * 40_000
    (workspace / "file").write_bytes(content)

    async def read(pause: float) -> bytes:
        found = b""
        async for chunk in executor.read_file("file"):
            found += chunk
            await asyncio.sleep(pause)
        return found

    assert await asyncio.gather(*(read(pause) for pause in (0, 0.001, 0.005))) == [content] * 3


async def test_a_reader_that_is_cancelled_in_its_wait_leaves_the_session_as_it_was(
    make: Make, big: Path
) -> None:
    executor = await make()

    async def read() -> None:
        async with aclosing(executor.read_file(big.name)) as chunks:
            async for _ in chunks:
                await asyncio.sleep(0)

    for pause in (0, 0.001, 0.003, 0.01, 0.05):
        reading = asyncio.ensure_future(read())
        await asyncio.sleep(pause)
        reading.cancel()
        await asyncio.wait({reading})
        assert await hello(executor) == "hello\n"
    assert not executor._live._channels
