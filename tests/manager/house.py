"""A manager with all that belongs to it, in a directory of its own, and a check that it leaves nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from jupyter_exec_ext.environments.registry import EnvironmentRegistry
from jupyter_exec_ext.events import Event, Outcome
from jupyter_exec_ext.executors.base import CodeExecutor, RunOptions
from jupyter_exec_ext.executors.factory import CodeExecutorFactory
from jupyter_exec_ext.lease import Lease
from jupyter_exec_ext.log import EventLog
from jupyter_exec_ext.manager import ExecutionManager
from jupyter_exec_ext.models import CodeBlock, Execution, ExecutionRequest, SessionRequest, Verdict


class TameExecutor(CodeExecutor):
    """Ends every run at once and has no process: a test's own executor changes what it is about."""

    running = False
    stopped = False

    async def start(self) -> None:
        self.running = True

    async def run(
        self, blocks: Sequence[CodeBlock], options: RunOptions | None = None
    ) -> AsyncIterator[Event]:
        yield self.ended()

    @staticmethod
    def ended(status: str = "ok", exit_code: int | None = 0) -> Event:
        return Event("end", {"outcome": Outcome(status, exit_code, Verdict())})

    async def cancel(self) -> None:
        pass

    async def interrupt(self) -> None:
        pass

    async def send_input(self, value: str) -> None:
        pass

    async def restart(self) -> None:
        pass

    async def stop(self) -> None:
        self.running = False
        self.stopped = True

    @property
    def alive(self) -> bool:
        return self.running


class OnlyFactory:
    """Makes executors of one class, and remembers them."""

    def __init__(self, kind: Callable[[], CodeExecutor]) -> None:
        self.kind = kind
        self.made: list[Any] = []

    def for_environment(
        self, environment: object, workspace: Path, private: Path, **limits: Any
    ) -> CodeExecutor:
        self.made.append(self.kind())
        return self.made[-1]


@dataclass
class House:
    """The manager and its neighbours."""

    manager: ExecutionManager
    log: EventLog
    lease: Lease
    registry: EnvironmentRegistry
    factory: Any
    root: Path

    async def run(self, code: str, wait: float = 20.0, **fields: Any) -> Execution:
        """Submit code and wait for its end."""
        execution = await self.submit(code, **fields)
        return await self.manager.wait(execution.id, wait)

    async def submit(self, code: str, **fields: Any) -> Execution:
        return await self.manager.submit(ExecutionRequest(code=code, **fields))

    async def session(self, **fields: Any) -> str:
        return (await self.manager.create_session(SessionRequest(**fields))).id

    async def until(self, execution: Execution, text: str) -> None:
        """Follow an execution until it has printed this."""
        seen = ""
        async for event in self.manager.events(execution.id):
            seen += event.data.get("text", "")
            if text in seen:
                return
        raise AssertionError(f"it ended without {text!r}: {seen!r}")

    async def true(self, condition: Callable[[], object], within: float = 5.0) -> None:
        """Wait until something is so that nobody tells of."""
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, "it did not come about"
            await asyncio.sleep(0.01)

    @property
    def private_folders(self) -> list[str]:
        folder = self.lease.path / "sessions"
        return sorted(os.listdir(folder)) if folder.is_dir() else []


def state() -> tuple[set[Any], set[int], set[str]]:
    """The tasks, child processes and descriptors of this process."""
    gc.collect()
    return (
        asyncio.all_tasks() - {asyncio.current_task()},
        {child.pid for child in psutil.Process().children(recursive=True)},
        set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set(),
    )


async def nothing_left(before: tuple[set[Any], set[int], set[str]], within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while True:
        left = tuple(now - then for now, then in zip(state(), before, strict=True))
        if not any(left):
            return
        assert time.monotonic() < deadline, f"tasks, processes, descriptors left: {left}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def open_house(
    path: Path, *, factory: Any = None, registry_options: Any = None, **options: Any
) -> AsyncIterator[House]:
    root = path / "root"
    root.mkdir(exist_ok=True)
    before = state()
    lease = Lease(root=path / "leases")
    lease.acquire()
    log = EventLog(path=str(path / "log.sqlite"))
    await log.open(lease.id)
    registry = EnvironmentRegistry(
        data_dir=str(path / "environments"), root_dir=str(root), discover=False, **(registry_options or {})
    )
    await registry.start()
    factory = factory or CodeExecutorFactory()
    manager = ExecutionManager(
        log=log, registry=registry, factory=factory, lease=lease, root_dir=str(root), **options
    )
    await manager.start()
    house = House(manager, log, lease, registry, factory, root)
    try:
        yield house
    finally:
        await manager.stop()
        private = house.private_folders
        await registry.stop()
        await log.close()
        lease.release()
    assert (manager.queued, manager.running, manager.session_count) == (0, 0, 0)
    assert private == []
    await nothing_left(before)


SLEEP = "import time\nprint('began', flush=True)\ntime.sleep(60)"
