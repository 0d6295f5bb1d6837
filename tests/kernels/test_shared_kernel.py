"""Runs in a kernel that a notebook uses, too: neither disturbs the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.kernels.client import JupyterClient
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make, run, told


class Notebook:
    """A client of the kernel as a notebook is one: it sends cells, and stops at the first that fails."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def run_all(self, *cells: str) -> list[str]:
        return [self.client.execute(cell) for cell in cells]

    async def ends(self, ids: list[str]) -> list[str]:
        found: dict[str, str] = {}
        while not found.keys() >= set(ids):
            reply = await self.client.get_shell_msg(timeout=30)
            content = reply["content"]
            found[reply["parent_header"]["msg_id"]] = content.get("ename") or content["status"]
        return [found[id] for id in ids]


@asynccontextmanager
async def notebook_of(client: JupyterClient, kernel_id: str) -> AsyncIterator[Notebook]:
    channels = client.kernel(kernel_id).client()
    channels.start_channels()
    await channels.wait_for_ready(timeout=30)
    yield Notebook(channels)
    channels.stop_channels()


async def shared(make: Make) -> JupyterCodeExecutor:
    own = await make()
    attached: JupyterCodeExecutor = await make(kernel_id=own.kernel_id)
    return attached


def slow(seconds: float, then: str = "") -> str:
    return f"import time; time.sleep({seconds})\n{then}"


async def test_a_run_behind_a_notebooks_cells_waits_for_all_of_them(
    make: Make, client: JupyterClient
) -> None:
    attached = await shared(make)
    async with notebook_of(client, attached.kernel_id or "") as notebook:
        cells = notebook.run_all(slow(1), slow(1), slow(1))
        await asyncio.sleep(0.3)
        block = CodeBlock(code="print('ours')")
        events = [event async for event in attached.run([block], RunOptions(timeout=0.8))]
        ends = await notebook.ends(cells)

    assert [event.data["status"] for event in events if event.type == "status"] == ["queued", "running"]
    outcome = events[-1].data["outcome"]
    assert outcome.status == "ok", outcome
    assert outcome.verdict.wall_seconds < 0.8
    assert ends == ["ok", "ok", "ok"]


async def test_a_cancel_and_an_interrupt_of_a_run_that_waits_leave_the_notebook_alone(
    make: Make, client: JupyterClient
) -> None:
    attached = await shared(make)
    async with notebook_of(client, attached.kernel_id or "") as notebook:
        cells = notebook.run_all(slow(1), slow(1), slow(0.2))
        await asyncio.sleep(0.3)
        task = asyncio.create_task(run(attached, "y = 1"))
        await asyncio.sleep(1.1)
        await attached.interrupt()
        await asyncio.sleep(0.1)
        waits = not task.done()
        await attached.cancel()
        result = await asyncio.wait_for(task, 0.5)
        ends = await notebook.ends(cells)

    assert waits
    assert result.outcome.status == "cancelled"
    assert ends == ["ok", "ok", "ok"]
    assert (await run(attached, "'y' in globals()")).output == "False\n"


async def test_a_cell_that_fails_before_ours_does_not_take_it_along(
    make: Make, client: JupyterClient
) -> None:
    attached = await shared(make)
    async with notebook_of(client, attached.kernel_id or "") as notebook:
        cells = notebook.run_all(slow(0.5), slow(0.3, "1/0"), "1")
        await asyncio.sleep(0.2)
        task = asyncio.create_task(run(attached, "print('ours')"))
        ends = await notebook.ends(cells)
        assert told(await task) == ("ok", 0, "ours\n")
    assert ends == ["ok", "ZeroDivisionError", "aborted"]


async def sent_behind(
    notebook: Notebook, cell: str, attached: JupyterCodeExecutor, code: str, **options: Any
) -> tuple[list[str], asyncio.Task[Any]]:
    """Begin a run that is in the kernel's queue behind a cell, as when both send at the same moment."""
    connection = await attached.kernel.client.connect(attached.kernel_id or "")
    connection.work.others.hear = lambda state: None  # type: ignore[method-assign] # it has not heard of them yet
    cells = notebook.run_all(cell)
    await asyncio.sleep(0.3)  # by two sockets: the kernel must have begun with this one
    task = asyncio.create_task(run(attached, code, **options))
    await asyncio.sleep(0.4)
    return cells, task


async def test_a_run_in_the_kernels_queue_has_its_time_and_is_sent_again_where_the_kernel_drops_it(
    make: Make, client: JupyterClient
) -> None:
    attached = await shared(make)
    async with notebook_of(client, attached.kernel_id or "") as notebook:
        cell = slow(2, "1/0")
        cells, task = await sent_behind(notebook, cell, attached, "print('ours')", timeout=1)
        await attached.interrupt()
        ends = await notebook.ends(cells)
        assert told(await task) == ("ok", 0, "ours\n")
    assert ends == ["ZeroDivisionError"]


async def test_a_cancelled_run_in_the_kernels_queue_is_interrupted_once_it_begins_and_nobody_else_is(
    make: Make, client: JupyterClient
) -> None:
    attached = await shared(make)
    async with notebook_of(client, attached.kernel_id or "") as notebook:
        cells, task = await sent_behind(notebook, slow(1.5), attached, slow(20, "y = 1"))
        await attached.cancel()
        result = await asyncio.wait_for(task, 0.5)
        cells += notebook.run_all(slow(1))
        ends = await asyncio.wait_for(notebook.ends(cells), 10)

    assert result.outcome.status == "cancelled"
    assert "not interrupted" in (result.outcome.verdict.cause or "")
    assert ends == ["ok", "ok"]
    assert (await run(attached, "'y' in globals()")).output == "False\n"


async def test_two_sessions_in_one_kernel_wait_for_each_other(make: Make) -> None:
    first = await make()
    second = await make(kernel_id=first.kernel_id)
    long = asyncio.create_task(run(first, slow(2, "print('a')")))
    await asyncio.sleep(0.3)

    block = CodeBlock(code="print('b')")
    events = [event async for event in second.run([block], RunOptions(timeout=1))]

    assert [event.data["status"] for event in events if event.type == "status"] == ["queued", "running"]
    assert events[-1].data["outcome"].status == "ok"
    assert told(await long) == ("ok", 0, "a\n")


async def test_who_uses_a_kernel_in_turns_with_a_notebook_does_not_wait_each_time(
    make: Make, client: JupyterClient
) -> None:
    attached = await shared(make)
    async with notebook_of(client, attached.kernel_id or "") as notebook:
        await run(attached, "1")
        events = []
        for _ in range(5):
            assert await notebook.ends(notebook.run_all("1")) == ["ok"]
            await asyncio.sleep(0.02)  # until its idle is there, too, but not until nothing can follow
            events += [event async for event in attached.run([CodeBlock(code="2")], RunOptions())]

    assert [event.type for event in events].count("end") == 5
    assert "status" not in [event.type for event in events]  # none waited, which it would say
