"""A log in a directory that becomes read-only between two servers; run in a mount namespace.

``unshare -m python scenario_read_only.py DIRECTORY``; prints ``passed``.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log import EventLog
from jupyter_exec_ext.models import Execution


def mount(*arguments: str) -> None:
    """Mount, or mount otherwise."""
    subprocess.run(["mount", *arguments], check=True)


def run(log: EventLog, text: str) -> Execution:
    """One execution from its beginning to its end."""
    execution = Execution(environment="local")
    log.create(execution)
    log.append(execution.id, Event.stream("stdout", text))
    execution.status = "ok"
    log.finish(execution)
    return execution


async def main(directory: str) -> None:
    """History stays readable, and new executions work in memory."""
    inner = Path(directory) / "mounted"
    inner.mkdir()
    mount("-t", "tmpfs", "tmpfs", str(inner))
    for existing in (True, False):
        path = inner / f"exec-{existing}" / "log.sqlite"
        old = None
        if existing:
            log = EventLog(path=str(path))
            await log.open("before")
            old = run(log, "old")
            await log.close()
        mount("-o", "remount,ro", str(inner))
        log = EventLog(path=str(path))
        await log.open("read-only")
        new = run(log, "new")
        await log.flush()
        assert log.warning, "nobody is told"
        assert "in memory only" in log.warning
        assert (await log.get(new.id)).output == "new"
        assert [event.number async for event in log.read(new.id)] == [1, 2]
        if old is not None:
            assert (await log.get(old.id)).output == "old"
        assert {e.id for e in await log.list()} == {e.id for e in (old, new) if e is not None}
        mount("-o", "remount,rw", str(inner))
        await asyncio.sleep(2.5)
        assert log.warning is None, log.warning
        await log.close()
        log = EventLog(path=str(path))
        await log.open("after")
        assert (await log.get(new.id)).output == "new"
        await log.close()
    print("passed")


asyncio.run(main(sys.argv[1]))
