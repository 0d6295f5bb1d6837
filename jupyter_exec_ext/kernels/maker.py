"""`KernelMaker`: starts kernels that nobody has asked for yet, and ends those that nobody wants."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..environments.kernel import KernelEnvironment
from ..errors import ExecError
from .beginning import begins
from .shelf import ReadyKernel, process_of
from .startup import furnish, warm

if TYPE_CHECKING:
    from .client import JupyterClient
    from .connection import Logger

__all__ = ["START_SECONDS", "KernelMaker"]

#: Seconds a kernel may take to become ready.
START_SECONDS = 60.0


class KernelMaker:
    """Makes kernels ready, and ends them in the background.

    Parameters
    ----------
    client : JupyterClient
    folder : Path
        In which they start.
    logger : logging.Logger
    """

    def __init__(self, client: JupyterClient, folder: Path, logger: Logger) -> None:
        self._client, self._folder, self._logger = client, folder, logger
        self._ending: set[asyncio.Task[None]] = set()

    async def make(self, environment: KernelEnvironment) -> ReadyKernel:
        """Start a kernel, and let it run what its first cell would wait for. Raises `ExecError`."""
        variables = await asyncio.to_thread(environment.variables)
        began = time.monotonic()
        kernel_id = await self._start(environment, variables)
        try:
            await asyncio.wait_for(self._prepare(kernel_id, environment), START_SECONDS)
            made = ReadyKernel(kernel_id, environment, variables, process_of(self._client.kernel(kernel_id)))
        except BaseException:
            self._spawn(self._stop(kernel_id))
            raise
        seconds = time.monotonic() - began
        self._logger.debug("Kernel %s of %s is ready; it took %.2f s.", kernel_id, environment.name, seconds)
        return made

    async def _start(self, environment: KernelEnvironment, variables: dict[str, str]) -> str:
        starting = asyncio.ensure_future(
            self._client.start(
                environment.kernel_name,
                cwd=str(self._folder),
                env=dict(variables),
                listed=False,
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A start that is broken off in its middle leaves a kernel nobody knows.
            self._spawn(self._stop_started(starting))
            raise

    @begins
    async def _prepare(self, kernel_id: str, environment: KernelEnvironment) -> None:
        connection = await self._client.connect(kernel_id, seconds=START_SECONDS)
        await furnish(connection, environment)
        await warm(connection, environment)

    def end(self, kernel: ReadyKernel, reason: str, *, used: bool = False) -> None:
        """End one in the background; one that somebody uses is theirs, unless `used` is true: then, too."""
        self._spawn(self._end(kernel, reason, used))

    async def _end(self, kernel: ReadyKernel, reason: str, used: bool) -> None:
        if not used and await self._client.in_use(kernel.id):
            self._logger.info("Kernel %s of the pool is left to whoever uses it now.", kernel.id)
            return
        self._logger.debug("Kernel %s of %s is ended: %s", kernel.id, kernel.environment.name, reason)
        await self._stop(kernel.id)

    async def settle(self) -> None:
        """Wait until all that are to end have ended."""
        await asyncio.gather(*self._ending)

    async def _stop_started(self, starting: asyncio.Future[str]) -> None:
        with contextlib.suppress(ExecError):
            await self._stop(await starting)

    async def _stop(self, kernel_id: str) -> None:
        try:
            await self._client.stop(kernel_id, now=True)
        except Exception:
            self._logger.warning("Kernel %s of the pool could not be ended.", kernel_id, exc_info=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
