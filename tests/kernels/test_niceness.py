"""Kernels yield to the server, and only those that it has started. Real kernels."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_exec_ext.kernels import niceness as niceness_module
from jupyter_exec_ext.kernels.client import JupyterClient

from .conftest import Make, run

ASKS = "import os; print(os.getpriority(os.PRIO_PROCESS, os.getpid()))"


async def niceness(make: Make, **options: object) -> int:
    executor = await make(**options)
    return int((await run(executor, ASKS)).output)


def own() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


async def test_a_kernel_yields_and_does_so_after_a_restart(make: Make, client: JupyterClient) -> None:
    executor = await make()
    kernel = executor.kernel_id or ""
    before = client.kernel(kernel).provisioner.pid
    assert int((await run(executor, ASKS)).output) == min(19, own() + 5)

    await client.kernel(kernel).restart_kernel(now=True)  # as JupyterLab does, past us
    result = await run(executor, ASKS)

    assert client.kernel(kernel).provisioner.pid != before
    assert int(result.output) == min(19, own() + 5)


async def test_somebody_elses_kernel_keeps_its_rank(make: Make, client: JupyterClient) -> None:
    theirs = await client._multi.start_kernel(kernel_name="python3")

    assert await niceness(make, kernel_id=theirs) == own()


async def test_with_none_wanted_a_kernel_keeps_its_rank(make: Make, client: JupyterClient) -> None:
    plain = JupyterClient(client._multi, niceness=0)
    kernel = await plain.start("python3")

    assert await niceness(make, kernel_id=kernel) == own()
    await plain.stop(kernel, now=True)
    await plain.close()


def group(process: int) -> list[str]:
    return Path(f"/proc/{process}/autogroup").read_text().split()


async def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


def shared_out_by_sessions() -> bool:
    setting = Path("/proc/sys/kernel/sched_autogroup_enabled")
    return setting.exists() and setting.read_text().strip() == "1"


@pytest.mark.skipif(not shared_out_by_sessions(), reason="the system has no such groups")
async def test_so_does_the_kernels_session_where_the_system_shares_out_by_sessions(
    make: Make, client: JupyterClient
) -> None:
    kernels = [await client.start("python3") for _ in range(3)]
    # A process that no session has started (below the first one of a container, say) is in no group.
    name, _, ours = group(os.getpid()) or ["", "nice", str(own())]

    for kernel in kernels:
        process = client.kernel(kernel).provisioner.pid
        assert group(process)[0] != name
        await until(lambda process=process: group(process)[2] == str(min(19, int(ours) + 5)))  # type: ignore[misc]
    for kernel in kernels:
        await client.stop(kernel, now=True)


def test_a_server_in_no_group_counts_with_its_own_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(niceness_module, "_group", lambda path: None)

    assert niceness_module._own_group() == ("", own())
