"""`SessionKernel`: the kernel of one session, started when it is needed and again when it is gone."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from ..environments.kernel import KernelEnvironment
from ..errors import EnvironmentFailed, ExecError, InvalidRequest, KernelDied, NotFound, SessionLost
from ..kernels.beginning import begins
from ..kernels.client import JupyterClient
from ..kernels.connection import KernelConnection
from ..kernels.pool import KernelPool
from ..kernels.startup import furnish
from .base import check_folder

if TYPE_CHECKING:
    from ..kernels.request import KernelRequest

__all__ = ["SessionKernel"]

#: What a run is told whose kernel is not the one that the run before it has left.
ANOTHER = "The kernel was shut down or restarted since the last block; its variables are gone."
_ATTACHED = "Nothing of the block ran; run it again once the kernel was restarted, or attach to another one."


class SessionKernel:
    """A kernel of its own, also from the pool, or one of somebody else's to which the session is attached.

    Parameters
    ----------
    environment : KernelEnvironment
    workspace : Path
        The directory in which it begins.
    client : JupyterClient
    kernel_id : str or None
        A kernel to attach to; else one is started.
    pool : KernelPool or None
    """

    def __init__(
        self,
        environment: KernelEnvironment,
        workspace: Path,
        client: JupyterClient,
        kernel_id: str | None,
        pool: KernelPool | None,
    ) -> None:
        self.environment, self.workspace = environment, workspace
        self.client, self.pool = client, pool
        self.id, self.attached = kernel_id, kernel_id is not None
        #: Whether the last run was lost: behind a gateway its kernel may go on with it.
        self.left_behind = False
        #: Whether the last run has told it to end: a gateway takes its time to start it again.
        self.exits = False
        #: What was asked of it last that nobody waits for any more; it may go on with it.
        self.goes_on: KernelRequest | None = None
        #: The process that was prepared, if any: a server or a gateway may start another one in its place.
        self._furnished = ""
        #: What it called itself in the last run; "" where who runs next knows of another one.
        self._last = ""
        # One at a time starts, restarts or ends it.
        self._life = asyncio.Lock()
        self._stopped = False

    # -- life ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start it, or find the one to attach to, and connect. Raises `EnvironmentFailed`."""
        self._stopped = False
        async with self._life:
            await self._begin()

    @property
    def alive(self) -> bool:
        """Whether there is a kernel that can take a run."""
        return self.id is not None and not self._stopped and self.client.has(self.id)

    async def stop(self) -> None:
        """End it where it was started here. Nothing begins any more once `abandon` was called."""
        self.abandon()
        async with self._life:
            await self._end()

    def abandon(self) -> None:
        """Let nothing begin from now on."""
        self._stopped = True

    async def restart(self) -> None:
        """Begin with empty state; a run that goes on is lost."""
        self._stopped = False
        self.forget()
        async with self._life:
            if self.alive:
                await self._restart()
            else:
                await self._begin()

    async def revive(self) -> None:
        """Restart a kernel that does not react any more."""
        async with self._life:
            with contextlib.suppress(NotFound):
                if not self._stopped:
                    await self._restart(now=True)

    async def interrupt_left(self) -> bool:
        """Interrupt what a run has left in it; whether there was something. Raises `ExecError`."""
        left = self.goes_on
        if left is None or not left.began.is_set() or left.done.is_set() or self.id is None:
            return False
        await self.client.interrupt(self.id)
        return True

    async def connected(self) -> KernelConnection:
        """The connection to the kernel, which is started again where it has died."""
        async with self._life:
            if not self.alive:
                await self._begin()
            if self.id is None:
                raise SessionLost("The session was stopped.")
            try:
                await self._restart_ended()
                connection = await self.client.connect(self.id)
                await self._end_left_behind(self.id)
                same = self._furnished in ("", connection.kernel)
                return connection if same else await self._furnish(connection)
            except KernelDied as error:
                if self.attached:
                    raise EnvironmentFailed(f"{error.message} {_ATTACHED}") from None
                return await self._restart(now=True)
            except NotFound:  # a gateway has shut it down, or is another one
                if self.attached:
                    raise
                await self._begin()
                return await self.client.connect(self.id)

    def news(self, connection: KernelConnection) -> str | None:
        """What a run has to be told that finds another kernel than the one before it has left."""
        before, self._last = self._last, connection.kernel
        return None if before in ("", connection.kernel) else ANOTHER

    def forget(self) -> None:
        """Whoever runs next need not be told that the state is another one."""
        self._last = ""

    # -- its parts -----------------------------------------------------------------------------------

    @begins
    async def _begin(self) -> None:
        if self._stopped:
            raise SessionLost("The session was stopped.")
        if self.attached:
            self._check_attached(self.id or "")
            await self.client.connect(self.id or "")
            return
        try:
            if not await self._take_ready():
                self.id = await self._start_kernel()
                await self._furnish(await self.client.connect(self.id))
        except BaseException:
            await self._end()
            raise
        if self.pool is not None:
            self.pool.refill(self.environment.name)

    async def _take_ready(self) -> bool:
        """Take a kernel that is ready already, where there is one."""
        check_folder(self.workspace)
        self.id = None
        if self.pool is not None:
            self.id = await self.pool.take(self.environment, self.workspace)
        if self.id is None:
            return False
        self._furnished = (await self.client.connect(self.id)).kernel  # the pool has done that
        await self.client.enter(self.id, self.environment.display_name, self.workspace.name)
        return True

    async def _furnish(self, connection: KernelConnection) -> KernelConnection:
        """Prepare a kernel that has just started; somebody else's stays as it is."""
        if not self.attached:
            folder = str(self.workspace) if self.client.remote else None
            await furnish(connection, self.environment, folder=folder)
            self._furnished = connection.kernel
        return connection

    @begins
    async def _restart(self, *, now: bool = False) -> KernelConnection:
        if self.id is None:
            raise SessionLost("The session was stopped.")
        await self.client.restart(self.id, now=now)
        return await self._furnish(await self.client.connect(self.id))

    def _check_attached(self, kernel_id: str) -> None:
        if not self.client.has(kernel_id):
            where = " among those that this server has started in its gateway" if self.client.remote else ""
            raise InvalidRequest(
                f"There is no kernel {kernel_id[:64]!r}{where}; attach to another.", field="kernel_id"
            )
        name = self.client.name_of(kernel_id)
        if name != self.environment.kernel_name:
            raise InvalidRequest(
                f"That kernel is one of kernel:{name}, not of {self.environment.name}.", field="kernel_id"
            )
        if self.pool is not None:
            self.pool.give_up(kernel_id)

    async def _start_kernel(self) -> str:
        return await self.client.start(
            self.environment.kernel_name,
            cwd=str(self.workspace),
            env=await asyncio.to_thread(self.environment.variables),
            title=self.environment.display_name,
            path=self.workspace.name,
        )

    async def _end(self) -> None:
        if self.id is not None and not self.attached:
            await self.client.stop(self.id, now=True)
            self.id = None

    async def _restart_ended(self) -> None:
        exits, self.exits = self.exits, False
        if exits and self.client.remote and not self.attached:
            await self._restart(now=True)

    async def _end_left_behind(self, kernel_id: str) -> None:
        if self.left_behind and self.client.remote and not self.attached:
            with contextlib.suppress(ExecError):
                await self.client.interrupt(kernel_id)
        self.left_behind = False
