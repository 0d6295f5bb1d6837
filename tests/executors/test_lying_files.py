"""Requests for files that a supervisor answers with lies: each ends the session at once, and says why."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from pathlib import Path

import pytest

from jupyter_exec_ext.errors import ProtocolError, Refused
from jupyter_exec_ext.executors.commandline import CommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make, aiter_of
from .liar import Liar

GET = {
    "pieces of nothing": ("tell('size', size=10)\nwhile True: give(DATA, b'')", "sent nothing"),
    "more than there is": ("tell('size', size=10)\nwhile True: give(DATA, bytes(60000))", "sent more"),
    "one byte more": ("tell('size', size=10)\ngive(DATA, bytes(11))\ntell('done')", "sent more"),
    "no size": ("give(DATA, b'abc')\ntell('done')", "something else"),
    "done at once": ("tell('done')", "something else"),
    "two sizes": ("tell('size', size=10)\ntell('size', size=3)", "something else"),
    "a size that is none": ("tell('size', size=-1)\ngive(DATA, b'abc')", "not its protocol"),
    "output": ("tell('size', size=10)\ngive(STDOUT, b'abc')\ntell('done')", "something else"),
    "an end without a word": ("tell('size', size=10)\ngive(DATA, b'abc')\ntell('')", "something else"),
    "a refusal that is none": ("tell('refused', reason='x' * 50)", "not its protocol"),
}
LIST = {
    "a piece of a file": ("give(DATA, b'x')", "something else"),
    "output": ("give(STDOUT, b'x')", "something else"),
    "a run": ("tell('started', path='x')", "something else"),
    "an end of another shape": ("tell('done', more='<b>')", "not its protocol"),
}


async def read(executor: CommandLineCodeExecutor, path: str = "file") -> bytes:
    return b"".join([chunk async for chunk in executor.read_file(path)])


@pytest.mark.parametrize("name", GET)
async def test_a_file_that_is_none_ends_the_session(tmp_path: Path, name: str) -> None:
    deed, says = GET[name]
    async with Liar(tmp_path, deed) as executor:
        with pytest.raises(ProtocolError, match=says):
            await asyncio.wait_for(read(executor), 5)
        assert not executor.alive


@pytest.mark.parametrize("name", LIST)
async def test_a_list_that_is_none_ends_the_session(tmp_path: Path, name: str) -> None:
    deed, says = LIST[name]
    async with Liar(tmp_path, deed) as executor:
        with pytest.raises(ProtocolError, match=says):
            await asyncio.wait_for(executor.list_files(), 5)
        assert not executor.alive


PUT = {
    "done before it began": ("if op == 'put': tell('done')", "something else"),
    "a size": ("if op == 'put': tell('size', size=1)", "something else"),
    "go twice": ("if op == 'put': tell('go'); tell('go')", "something else"),
    "a refusal that is none": ("tell('refused', reason='x' * 50)", "not its protocol"),
}


@pytest.mark.parametrize("name", PUT)
async def test_a_write_that_is_answered_with_something_else_ends_the_session_at_once(
    tmp_path: Path, name: str
) -> None:
    deed, says = PUT[name]
    async with Liar(tmp_path, deed) as executor:
        with pytest.raises(ProtocolError, match=says):
            await asyncio.wait_for(executor.write_file("file", aiter_of(b"x" * 100_000)), 5)
        assert not executor.alive


async def test_a_removal_that_is_answered_with_something_else_ends_the_session(tmp_path: Path) -> None:
    async with Liar(tmp_path, "tell('go')") as executor:
        with pytest.raises(ProtocolError, match="something else"):
            await asyncio.wait_for(executor.delete_file("file"), 5)
        assert not executor.alive


async def test_a_block_that_runs_in_a_session_that_lies_of_files_ends_with_env_error(tmp_path: Path) -> None:
    deed = "if op == 'run': tell('started', path='/x')\nelse: give(DATA, b'x')"
    async with Liar(tmp_path, deed) as executor:
        outcome = None
        async for event in executor.run([CodeBlock(code="1", language="python")]):
            if event.type == "block":
                with pytest.raises(ProtocolError):
                    await executor.list_files()
            elif event.type == "end":
                outcome = event.data["outcome"]

    assert outcome is not None
    assert outcome.status == "env_error"
    assert "something else" in str(outcome.verdict.cause)


async def test_what_is_refused_in_the_middle_is_no_lie(tmp_path: Path) -> None:
    deed = "tell('size', size=3)\ngive(DATA, b'x')\ntell('refused', message='no', reason='zzz')"
    async with Liar(tmp_path, deed) as executor:
        with pytest.raises(Refused, match="no"):
            await read(executor)
        assert executor.alive


@pytest.mark.parametrize("portable", [False, True])
async def test_a_file_that_grows_while_it_is_read_is_what_it_was(
    make: Make, workspace: Path, portable: bool
) -> None:
    executor = await make(portable=portable)
    content = bytes(range(256)) * 20_000
    (workspace / "file").write_bytes(content)

    found = b""
    with (workspace / "file").open("ab") as file:
        async for chunk in executor.read_file("file"):
            found += chunk
            file.write(bytes(100_000))
            file.flush()

    assert found == content
    assert executor.alive


@pytest.mark.parametrize("portable", [False, True])
async def test_a_file_that_shrinks_while_it_is_read_ends_earlier(
    make: Make, workspace: Path, portable: bool
) -> None:
    executor = await make(portable=portable)
    (workspace / "file").write_bytes(bytes(5_000_000))

    found = 0
    async for chunk in executor.read_file("file"):
        found += len(chunk)
        os.truncate(workspace / "file", 2_500_000)

    assert 2_500_000 <= found < 5_000_000
    assert executor.alive
    assert await read(executor) == bytes(2_500_000)


async def test_a_file_without_a_size_is_read_to_its_end(make: Make) -> None:
    executor = await make(workspace=Path("/proc/self"), namespace=False)

    assert b"VmRSS" in await read(executor, "status")


FOR_NOBODY = {
    "pieces of nothing": "while True: give(DATA, b'')",
    "pieces of a file": "while True: give(DATA, bytes(60000))",
    "output": "while True: give(STDOUT, bytes(60000))",
    "greetings": "while True: say(HELLO)",
}


@pytest.mark.parametrize("name", FOR_NOBODY)
async def test_frames_without_end_for_a_reader_who_has_gone_end_the_session(
    tmp_path: Path, name: str
) -> None:
    # given a file that is as large as it says, and a reader who goes away in the middle
    deed = f"if op == 'get': tell('size', size=2**53)\nif op == 'abandon':\n    {FOR_NOBODY[name]}\n"
    async with Liar(tmp_path, deed + "give(DATA, b'x')") as executor:
        client = executor._live
        async with aclosing(executor.read_file("file")) as chunks:
            await anext(chunks)
        # then
        for _ in range(1000):
            await asyncio.sleep(0.01 if client.lost is None else 0)
        assert isinstance(client.lost, ProtocolError)
        assert "nobody waits for" in client.lost.message
        assert not executor.alive


async def test_readers_who_go_away_all_the_time_make_no_liar_of_an_honest_supervisor(
    make: Make, workspace: Path
) -> None:
    executor = await make()
    client = executor._live
    with (workspace / "big").open("wb") as file:
        file.truncate(1 << 30)
    for number in range(3000):
        (workspace / f"some-longer-name-{number}").touch()

    async def go_away(pause: float) -> None:
        async def look() -> None:
            await executor.list_files()

        looking = asyncio.ensure_future(look())
        async with aclosing(executor.read_file("big")) as chunks:
            await anext(chunks)
            await asyncio.sleep(pause)
        looking.cancel()
        await asyncio.wait({looking})

    for _ in range(5):
        await asyncio.gather(*(go_away(number / 1000) for number in range(30)))

    assert executor._live is client
    assert client.lost is None
