"""Process 1 of a PID namespace: runs one block in an executor, and tells what became of it and what is left.

Whatever the block does, it ends with this process. Usage: ``scenario_outer.py WORKSPACE JSON``, with
``code``, ``language``, ``timeout`` and ``namespace``; prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock


def others() -> list[str]:
    """The command lines of all processes but this one; what has ended and waits for us is reaped."""
    found = []
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                break
        except ChildProcessError:
            break
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name != "1":
            try:
                state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
                found.append(
                    state + " " + (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
                )
            except OSError:
                pass
    return [line for line in found if not line.startswith("Z")]


async def scenario(workspace: str, job: dict[str, Any]) -> dict[str, Any]:
    """Run the block, then another one, and stop."""
    executor = LocalCommandLineCodeExecutor(
        SystemPythonEnvironment(), workspace, grace=(0.2, 0.2), namespace=job["namespace"]
    )
    await executor.start()
    guarantee = executor.guarantee
    started = time.monotonic()
    block = CodeBlock(code=job["code"], language=job["language"])
    result = await executor.execute_code_blocks([block], RunOptions(timeout=job["timeout"]))
    seconds = time.monotonic() - started
    outcome = result.outcome
    following = await executor.execute_code_blocks([CodeBlock(code="print('next')", language="python")])
    await executor.stop()
    end = time.monotonic() + 5
    while (left := others()) and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    return {
        "guarantee": guarantee,
        "status": outcome.status,
        "cause": outcome.verdict.cause,
        "seconds": seconds,
        "output": result.output,
        "survivors": outcome.verdict.survivors,
        "next": following.output,
        "left": left,
    }


assert os.getpid() == 1
print(json.dumps(asyncio.run(scenario(sys.argv[1], json.loads(sys.argv[2])))))
