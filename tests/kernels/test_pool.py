"""KernelPool: ready kernels are taken once, refilled, bounded, well, and gone when nobody needs them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from prometheus_client import REGISTRY

from jupyter_exec_ext.environments.kernel import KernelEnvironment
from jupyter_exec_ext.errors import UnknownEnvironment
from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.kernels import pool as pools
from jupyter_exec_ext.kernels.client import JupyterClient
from jupyter_exec_ext.metrics import forget_pool, watch_pool
from jupyter_exec_ext.models import CodeBlock

from .conftest import filled, until

PYTHON = "kernel:python3"


async def kernel_ids(client: JupyterClient) -> set[str]:
    return {kernel["id"] for kernel in await client.list()}


def pid_of(client: JupyterClient, kernel_id: str) -> int:
    return int(client.kernel(kernel_id).provisioner.pid)


async def test_it_refills_behind_each_taking(
    environment: Any, client: JupyterClient, make_pool: Any, tmp_path: Path
) -> None:
    pool = await make_pool()
    seen = set()
    for _ in range(3):
        (ready,) = await filled(pool)
        async with JupyterCodeExecutor(environment(), tmp_path, client=client, pool=pool) as executor:
            assert executor.kernel_id == ready
            seen.add(ready)
            await until(lambda: pool.ready[PYTHON] == 1)
    assert len(seen) == 3


async def test_nobody_gets_the_kernel_of_another_and_the_bound_holds_under_many_requests(
    environment: Any, client: JupyterClient, make_pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await make_pool(ready_per_environment=3, max_ready=2)
    started: list[str] = []
    most = 0
    plain = client.start

    async def start(*args: Any, **options: Any) -> str:
        nonlocal most
        most = max(most, sum(shelf.count for shelf in pool._shelves.values()))
        started.append(await plain(*args, **options))
        return started[-1]

    monkeypatch.setattr(client, "start", start)
    await filled(pool, count=2)

    async def request() -> str | None:
        taken = await pool.take(environment(), tmp_path)
        pool.refill(PYTHON)
        return taken

    taken = [one for one in await asyncio.gather(*(request() for _ in range(100))) if one]

    assert sorted(taken) == sorted(started[:2])
    await until(lambda: pool.ready[PYTHON] == 2)
    await asyncio.sleep(0.5)
    assert (len(started), most) == (4, 2)
    assert len(await kernel_ids(client)) == 4


async def test_an_environment_in_use_takes_the_room_of_one_that_is_not(
    environment: Any, client: JupyterClient, make_pool: Any, specs: KernelSpecManager, tmp_path: Path
) -> None:
    other = tmp_path / "kernelspecs" / "other"
    other.mkdir()
    spec = specs.get_kernel_spec("python3").to_dict()
    (other / "kernel.json").write_text(json.dumps(spec))
    pool = await make_pool(max_ready=1)
    await filled(pool)

    await filled(pool, "kernel:other")

    assert pool.ready == {PYTHON: 0, "kernel:other": 1}
    await until(lambda: len(client._multi.list_kernel_ids()) == 1)


@pytest.mark.parametrize("how", ["killed", "ended", "restarted", "frozen"])
async def test_a_kernel_that_is_not_well_any_more_is_never_handed_out(
    environment: Any, client: JupyterClient, make_pool: Any, tmp_path: Path, how: str
) -> None:
    pool = await make_pool()
    (ready,) = await filled(pool)
    if how in ("killed", "frozen"):
        os.kill(pid_of(client, ready), signal.SIGKILL if how == "killed" else signal.SIGSTOP)
    elif how == "restarted":
        await client._multi.restart_kernel(ready, now=True)
    else:
        await client._multi.shutdown_kernel(ready, now=True)

    async with JupyterCodeExecutor(environment(), tmp_path, client=client, pool=pool) as executor:
        result = await executor.execute_code_blocks([CodeBlock(code="print(6 * 7)")])
        assert (result.output, executor.kernel_id == ready) == ("42\n", False)
        await until(lambda: pool.ready[PYTHON] == 1)
        assert ready not in await kernel_ids(client)


async def test_a_kernel_that_dies_while_it_is_handed_over_is_replaced(
    environment: Any, client: JupyterClient, make_pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await make_pool()
    (ready,) = await filled(pool)
    plain = pools.hand_over

    async def die(*args: Any) -> str:
        os.kill(pid_of(client, ready), signal.SIGKILL)
        return await plain(*args)

    monkeypatch.setattr(pools, "hand_over", die)
    async with JupyterCodeExecutor(environment(), tmp_path, client=client, pool=pool) as executor:
        result = await executor.execute_code_blocks([CodeBlock(code="print(6 * 7)")])
    assert result.output == "42\n"


async def test_a_taking_that_is_broken_off_leaves_no_kernel(
    environment: Any, client: JupyterClient, make_pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await make_pool()
    await filled(pool)
    reached = asyncio.Event()

    async def hang(*args: Any) -> str:
        reached.set()
        await asyncio.sleep(60)
        return ""

    monkeypatch.setattr(pools, "hand_over", hang)
    executor = JupyterCodeExecutor(environment(), tmp_path, client=client, pool=pool)
    start = asyncio.create_task(executor.start())
    await reached.wait()
    start.cancel()
    await asyncio.wait({start})
    await executor.stop()

    await until(lambda: not client._multi.list_kernel_ids())


async def test_kernels_end_when_nobody_has_used_them_for_long(client: JupyterClient, make_pool: Any) -> None:
    pool = await make_pool(idle_seconds=6.0)
    await filled(pool)
    pool.idle_seconds = 0.4  # not before: it might be over before anybody has seen that one is ready
    await until(lambda: not pool.ready[PYTHON])
    await until(lambda: not client._multi.list_kernel_ids())


async def test_it_notices_what_somebody_else_has_ended(client: JupyterClient, make_pool: Any) -> None:
    pool = await make_pool(idle_seconds=4.0)
    (ready,) = await filled(pool)
    began = time.monotonic()
    await client._multi.shutdown_kernel(ready, now=True)
    await until(lambda: not pool.ready[PYTHON])
    assert time.monotonic() - began < 3.5


@pytest.mark.parametrize("wait", [0.0, 0.05, 0.3, 30.0])
async def test_stop_leaves_no_kernel_also_where_one_is_being_started(
    client: JupyterClient, make_pool: Any, wait: float
) -> None:
    pool = await make_pool()
    pool.refill(PYTHON)
    if wait < 1:
        await asyncio.sleep(wait)
    else:
        await filled(pool)

    await pool.stop()

    assert client._multi.list_kernel_ids() == []
    pool.refill(PYTHON)
    await asyncio.sleep(0.05)
    assert client._multi.list_kernel_ids() == []


async def test_zero_turns_it_off(client: JupyterClient, make_pool: Any) -> None:
    for traits in ({"ready_per_environment": 0}, {"max_ready": 0}):
        pool = await make_pool(**traits)
        pool.refill(PYTHON)
        await asyncio.sleep(0.1)
        assert client._multi.list_kernel_ids() == []


async def test_after_a_failed_start_it_rests(
    client: JupyterClient, make_pool: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = []

    async def fail(name: str, **options: Any) -> str:
        tries.append(name)
        raise OSError("no room")

    monkeypatch.setattr(client, "start", fail)
    pool = await make_pool()
    for _ in range(20):
        pool.refill(PYTHON)
        await asyncio.sleep(0.01)

    assert tries == ["python3"]
    assert "No kernel of kernel:python3 could be made ready" in caplog.text


async def test_an_environment_that_is_gone_or_has_changed_gets_no_kernel(
    environment: Any, client: JupyterClient, make_pool: Any, tmp_path: Path
) -> None:
    allowed = [PYTHON]

    def find(name: str) -> KernelEnvironment:
        if name not in allowed:
            raise UnknownEnvironment("There is none.")
        return environment(name)  # type: ignore[no-any-return]

    pool = await make_pool(find=find)
    await filled(pool)
    assert await pool.take(environment(preload=["json"]), tmp_path) is None
    await until(lambda: not client._multi.list_kernel_ids())
    allowed.clear()
    pool.refill(PYTHON)
    await asyncio.sleep(0.2)
    assert client._multi.list_kernel_ids() == []


async def test_changed_variables_of_the_server_are_those_of_the_next_kernel(
    environment: Any, make_pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await make_pool()
    await filled(pool)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert await pool.take(environment(), tmp_path) is None


async def test_a_kernel_that_is_not_ipython_is_used_in_the_root_only(
    environment: Any, make_pool: Any, tmp_path: Path
) -> None:
    pool = await make_pool()
    (ready,) = await filled(pool, "kernel:faulty")
    (tmp_path / "below").mkdir()

    assert await pool.take(environment("kernel:faulty"), tmp_path / "below") is None
    assert await pool.take(environment("kernel:faulty"), tmp_path) == ready


async def test_the_metrics_tell_how_many_are_ready(make_pool: Any) -> None:
    pool = await make_pool()
    watch_pool(pool)
    await filled(pool)
    assert REGISTRY.get_sample_value("jupyter_exec_kernels_ready", {"environment": PYTHON}) == 1
    forget_pool(pool)
    assert REGISTRY.get_sample_value("jupyter_exec_kernels_ready", {"environment": PYTHON}) is None
