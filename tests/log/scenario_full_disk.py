"""A log on a file system of 2 MiB, which grows later; run in a mount namespace of its own.

``unshare -m python scenario_full_disk.py DIRECTORY``; prints ``passed``.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log import EventLog
from jupyter_exec_ext.models import Execution


def mount(directory: str, *options: str) -> None:
    """Mount a tmpfs, or change it."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", directory], check=True)


async def numbers(log: EventLog, execution: Execution, since: int = 0) -> list[int]:
    """What a reader sees."""
    return [event.number async for event in log.read(execution.id, since)]


async def until(condition: object, seconds: float = 15.0) -> None:
    """Wait for something to become true."""
    for _ in range(int(seconds / 0.05)):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not become true")


async def main(directory: str) -> None:
    """Fill the disk in mid-run, go on in memory, and come back to disk."""
    mount(directory, "size=2m")
    path = str(Path(directory) / "log.sqlite")
    log = EventLog(path=path, max_memory=4 << 20)
    await log.open("full")
    execution = Execution(environment="local", status="running")
    log.create(execution)
    for _ in range(40):  # 2.5 MiB: more than the disk takes, less than the memory
        log.append(execution.id, Event.stream("stdout", "x" * 65_536))
        await log.drain()
        await asyncio.sleep(0.005)
    await until(lambda: log.warning)
    assert "full" in str(log.warning), log.warning
    execution.status = "ok"
    log.finish(execution)
    assert await numbers(log, execution) == list(range(1, 42))
    assert len((await log.get(execution.id)).output or "") == 40 * 65_536
    # Another one, larger than the memory: its numbers have no gap, and what is missing is marked.
    large = Execution(environment="local", status="running")
    log.create(large)
    for _ in range(200):
        log.append(large.id, Event.stream("stdout", "y" * 65_536))
        await log.drain()
    assert log._memory.unwritten_bytes <= 4 << 20
    assert "were not kept" in ((await log.get(large.id)).output or "")
    late = asyncio.ensure_future(numbers(log, large, 100))
    mount(directory, "remount", "size=64m")
    await until(lambda: log.warning is None)
    large.status = "ok"
    log.finish(large)
    assert await late == list(range(101, 202))
    await log.close()
    again = EventLog(path=path)
    await again.open("again")
    assert await numbers(again, large) == list(range(1, 202))
    await again.close()
    print("passed")


asyncio.run(main(sys.argv[1]))
