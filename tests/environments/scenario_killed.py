"""A server that makes an environment and is killed meanwhile: run as a program by `test_registry`.

Its arguments are the folder of created environments and that of a package which never gets ready.
"""

from __future__ import annotations

import asyncio
import sys

from folders import building

from jupyter_exec_ext.environments.registry import EnvironmentRegistry
from jupyter_exec_ext.models import EnvironmentRequest


async def main(data_dir: str, package: str) -> None:
    """Make one that gets ready and one that does not, and tell when both have come so far."""
    registry = EnvironmentRegistry(data_dir=data_dir, discover=False)
    await registry.start()
    await registry.create(EnvironmentRequest(kind="venv", name="venv:whole", packages=["six"]))
    async for _ in registry.events("venv:whole"):
        pass
    await registry.create(EnvironmentRequest(kind="venv", name="venv:half", packages=[package]))
    await asyncio.to_thread(building, package)
    print("installing", flush=True)
    await asyncio.sleep(60)


asyncio.run(main(*sys.argv[1:]))
