"""Fixtures for the kernels: clients over a private manager, started executors, pools, a faulty kernel."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.multikernelmanager import AsyncMultiKernelManager

from jupyter_exec_ext.environments.kernel import KernelEnvironment
from jupyter_exec_ext.errors import UnknownEnvironment
from jupyter_exec_ext.executors.base import CodeResult, RunOptions
from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.kernels import pool as pools
from jupyter_exec_ext.kernels.client import JupyterClient
from jupyter_exec_ext.kernels.pool import KernelPool
from jupyter_exec_ext.models import CodeBlock


@pytest.fixture
def specs(tmp_path: Path) -> KernelSpecManager:
    """The kernelspecs that are installed, and ``faulty``."""
    folder = tmp_path / "kernelspecs" / "faulty"
    folder.mkdir(parents=True)
    program = str(Path(__file__).with_name("faulty_kernel.py"))
    spec = {"argv": [sys.executable, program, "-f", "{connection_file}"], "language": "faults"}
    (folder / "kernel.json").write_text(json.dumps({**spec, "display_name": "Faulty"}))
    found = KernelSpecManager()
    found.kernel_dirs.insert(0, str(folder.parent))
    return found


@pytest.fixture
def client(jp_asyncio_loop: Any, specs: KernelSpecManager) -> Any:
    """A client over a manager of its own; its kernels end with the test."""
    manager = AsyncMultiKernelManager(kernel_spec_manager=specs)
    made = JupyterClient(manager)
    yield made

    async def end() -> None:
        await made.close()
        await manager.shutdown_all(now=True)

    jp_asyncio_loop.run_until_complete(end())


@pytest.fixture
def make(jp_asyncio_loop: Any, client: JupyterClient, specs: KernelSpecManager, tmp_path: Path) -> Any:
    """Start an executor with ``await make(KERNEL, **settings)``; it is stopped when the test has ended."""
    stack = AsyncExitStack()

    async def start(name: str = "python3", **settings: Any) -> JupyterCodeExecutor:
        environment = KernelEnvironment(f"kernel:{name}", specs.get_all_specs()[name])
        executor = JupyterCodeExecutor(environment, tmp_path, client=client, **settings)
        await stack.enter_async_context(executor)
        return executor

    yield start
    jp_asyncio_loop.run_until_complete(stack.aclose())


@pytest.fixture
def environment(specs: KernelSpecManager) -> Callable[..., KernelEnvironment]:
    """Make an environment by its name; unlike the registry's, each is a new one."""

    def named(name: str = "kernel:python3", **options: Any) -> KernelEnvironment:
        found = specs.get_all_specs().get(name.partition(":")[2])
        if found is None:
            raise UnknownEnvironment(f"There is no {name}.")
        return KernelEnvironment(name, found, **options)

    return named


@pytest.fixture
def make_pool(
    jp_asyncio_loop: Any,
    client: JupyterClient,
    environment: Callable[..., KernelEnvironment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """Start a pool with ``await make_pool(**traits)``; it is stopped when the test has ended."""
    monkeypatch.setattr(pools, "REFILL_PAUSE", 0.0)
    stack = AsyncExitStack()

    async def start(**traits: Any) -> KernelPool:
        options = {"client": client, "find": environment, "folder": tmp_path, **traits}
        pool = KernelPool(**options)
        stack.push_async_callback(pool.stop)
        await pool.start()
        return pool

    yield start
    jp_asyncio_loop.run_until_complete(stack.aclose())


async def until(there: Callable[[], object], seconds: float = 30.0) -> None:
    for _ in range(int(seconds / 0.02)):
        if there():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that")


async def filled(pool: KernelPool, name: str = "kernel:python3", count: int = 1) -> list[str]:
    """Let the pool have so many kernels ready, and return their identifiers."""
    pool.refill(name)
    await until(lambda: pool.ready.get(name) == count)
    return [kernel.id for kernel in pool._shelves[name].ready]


Make = Callable[..., Any]


async def run(executor: JupyterCodeExecutor, code: str, language: str = "", **options: Any) -> CodeResult:
    return await executor.execute_code_blocks(
        [CodeBlock(code=code, language=language)], RunOptions(**options)
    )


def told(result: CodeResult) -> tuple[Any, ...]:
    return result.outcome.status, result.exit_code, result.output
