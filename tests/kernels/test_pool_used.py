"""A ready kernel that somebody picks from JupyterLab's list is theirs: nobody is given it, nobody ends it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.kernels import pool as pools
from jupyter_exec_ext.kernels.client import JupyterClient

from .conftest import filled, run, until

PYTHON = "kernel:python3"


async def run_by_another(client: JupyterClient, kernel_id: str) -> None:
    """As `jupyter console --existing` does: by the connection file, of which the server knows nothing."""
    channels = client.kernel(kernel_id).client()
    channels.start_channels()
    await channels.wait_for_ready(timeout=30)
    channels.execute("mine = 1")
    await channels.get_shell_msg(timeout=30)
    channels.stop_channels()
    await asyncio.sleep(0.3)


async def test_it_is_not_given_to_an_execution(
    environment: Any, client: JupyterClient, make_pool: Any, tmp_path: Path
) -> None:
    pool = await make_pool()
    (ready,) = await filled(pool)
    await run_by_another(client, ready)

    async with JupyterCodeExecutor(environment(), tmp_path, client=client, pool=pool) as executor:
        assert executor.kernel_id != ready
        assert (await run(executor, "'mine' in globals()")).output == "False\n"

    await asyncio.sleep(0.5)
    assert client.has(ready)


async def test_it_is_not_ended_when_nobody_has_used_its_environment_for_long(
    client: JupyterClient, make_pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "LOOK", 0.1)
    pool = await make_pool(idle_seconds=2)
    (ready,) = await filled(pool)
    await run_by_another(client, ready)

    await until(lambda: pool.ready[PYTHON] == 0)
    await asyncio.sleep(0.5)

    assert client.has(ready)
    assert await client._multi.get_kernel(ready).is_alive()


async def test_one_that_a_session_attaches_to_leaves_the_pool_and_stays(
    environment: Any, client: JupyterClient, make_pool: Any, tmp_path: Path
) -> None:
    pool = await make_pool()
    (ready,) = await filled(pool)
    options = {"client": client, "pool": pool, "kernel_id": ready}

    async with JupyterCodeExecutor(environment(), tmp_path, **options) as executor:
        assert pool.ready[PYTHON] == 0
        assert (await run(executor, "print(1)")).output == "1\n"
    await pool.stop()

    assert client.has(ready)
