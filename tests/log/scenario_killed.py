"""A server that writes events and says when, until it is killed: ``python scenario_killed.py FILE``.

With ``truncated`` as well, the one that runs has more output than is kept.
"""

from __future__ import annotations

import asyncio
import sys
import time

from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log import EventLog
from jupyter_exec_ext.models import CodeBlock, Execution


async def main(path: str, *words: str) -> None:
    """Write one event per millisecond."""
    log = EventLog(path=path)
    await log.open("killed")
    blocks = [CodeBlock(code="print(1)"), CodeBlock(code="print(2)")]
    queued = Execution(environment="local", code_blocks=blocks)
    log.create(queued, user="somebody")
    execution = Execution(environment="local", code_blocks=blocks, status="running")
    log.create(execution, user="somebody")
    print(queued.id, execution.id, flush=True)
    if words:
        execution.truncated = True
        log.update(execution)
    while True:
        number = log.append(execution.id, Event.stream("stdout", f"line {time.monotonic()}\n"))
        print(number, time.monotonic(), flush=True)
        await log.drain()
        await asyncio.sleep(0.001)


asyncio.run(main(*sys.argv[1:]))
