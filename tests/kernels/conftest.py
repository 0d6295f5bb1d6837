"""Fixtures for the kernels: clients over a private manager, started executors, a faulty kernel."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.multikernelmanager import AsyncMultiKernelManager

from jupyter_exec_ext.environments.kernel import KernelEnvironment
from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.kernels.client import JupyterClient


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


Make = Callable[..., Any]
