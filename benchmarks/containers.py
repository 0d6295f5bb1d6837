"""Blocks in a container's session beside ``docker exec`` in the same container."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

from jupyter_exec_ext.containers.engine import Engine
from jupyter_exec_ext.environments.docker import DockerPythonEnvironment
from jupyter_exec_ext.executors.docker import DockerCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .timing import Row, alone, at_most, in_turns

TESTS = Path(__file__).parents[1] / "tests"


def container_rows() -> list[Row]:
    """Measure on an engine of the tests' own, which is started and stopped for it: needs root and dockerd."""
    sys.path.insert(0, str(TESTS))
    from harness.engine import IMAGE, OwnEngine

    engine = OwnEngine()
    try:
        engine.add_image(IMAGE)
        return asyncio.run(_measured(engine.address, IMAGE))
    finally:
        engine.stop()


async def _measured(address: str, image: str) -> list[Row]:
    with contextlib.closing(Engine(address)) as engine:
        environment = DockerPythonEnvironment(image, engine=engine)
        async with DockerCommandLineCodeExecutor(environment) as executor:
            docker = ("docker", "-H", address)
            inside = (*docker, "exec", str(executor._container), "python3", "-c", "print(1)")
            ms = await in_turns({"block": lambda: _block(executor), "exec": lambda: _program(*inside)}, 30)

            async def cold() -> None:
                async with DockerCommandLineCodeExecutor(environment) as fresh:
                    await _block(fresh)

            run = (*docker, "run", "--rm", "--network", "none", image, "python3", "-c", "print(1)")
            fresh = await in_turns({"session": cold, "run": lambda: _program(*run)}, 10)
    name = "trivial Python block, container session"
    return [
        at_most(name, "`docker exec`", ms["block"], ms["exec"], 0.1),
        alone("a container's session for one block, made and removed", fresh["session"], None),
        alone("`docker run --rm` beside it", fresh["run"], None),
    ]


async def _block(executor: DockerCommandLineCodeExecutor) -> None:
    result = await executor.execute_code_blocks([CodeBlock(code="print(1)", language="python")])
    if result.output != "1\n":
        raise SystemExit(f"it ended {result.outcome}")


async def _program(*command: str) -> None:
    await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
