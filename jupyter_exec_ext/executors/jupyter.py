"""`JupyterCodeExecutor`: code blocks in a Jupyter kernel, which keeps their variables."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Sequence
from typing import Literal

from ..environments.kernel import KernelEnvironment
from ..errors import Conflict, EnvironmentFailed, ExecError, InvalidRequest, KernelDied, NotFound, SessionLost
from ..events import Event
from ..kernels.beginning import begins
from ..kernels.client import JupyterClient
from ..kernels.connection import KernelConnection
from ..kernels.pool import KernelPool
from ..kernels.startup import furnish
from ..languages import Language
from ..models import CodeBlock
from .base import CodeExecutor, RunOptions, check_folder, checked, real_folder
from .kernelrun import KernelRun
from .outputfiles import checked_directory
from .turns import RunTurn

__all__ = ["JupyterCodeExecutor", "TimeoutPolicy"]

#: What becomes of a kernel that does not end a run in its time: it is interrupted, and left alone; it is
#: interrupted, and restarted where that does not help; or it is left alone at once.
TimeoutPolicy = Literal["interrupt", "restart", "keep"]

#: Bytes of output that are kept of one execution, head and tail together.
OUTPUT_LIMIT = 8 * 1024 * 1024
#: Seconds from the interrupt to what the policy says.
GRACE = 2.0


class JupyterCodeExecutor(CodeExecutor):
    """Runs each block as a cell of a kernel.

    Parameters
    ----------
    environment : KernelEnvironment
    workspace : path
        The directory in which a kernel that is started here begins.
    client : JupyterClient, optional
        Over the server's kernel manager; else over a private one, whose kernels end with `stop`.
    kernel_id : str, optional
        A kernel to attach to, which goes on when this executor stops; else one is started.
    pool : KernelPool, optional
        Where a kernel of that client may be ready.
    output_limit : int
        Bytes of output that are kept of one execution; half of it head, half of it tail.
    on_timeout : {"restart", "interrupt", "keep"}
        What becomes of a kernel whose run has not ended in time: see `TimeoutPolicy`.
    interrupt_grace : float
        Seconds that a run gets to end after an interrupt.
    output_dir : path, optional
        Where images and HTML are saved, as the outcome's ``output_files``; else they are not. It must exist.
    """

    def __init__(
        self,
        environment: KernelEnvironment,
        workspace: str | os.PathLike[str],
        *,
        client: JupyterClient | None = None,
        kernel_id: str | None = None,
        pool: KernelPool | None = None,
        output_limit: int = OUTPUT_LIMIT,
        on_timeout: TimeoutPolicy = "restart",
        interrupt_grace: float = GRACE,
        output_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.environment = environment
        self.workspace = real_folder(workspace)
        self.output_limit, self.on_timeout, self.interrupt_grace = output_limit, on_timeout, interrupt_grace
        self.output_dir = checked_directory(output_dir)
        self.attached = kernel_id is not None
        self.kernel_id = kernel_id
        self.client = client or JupyterClient()
        self.pool = pool
        self._own_client = client is None
        self._run: KernelRun | None = None
        #: The process that was prepared, if any: a server or a gateway may start another one in its place.
        self._furnished = ""
        #: Whether the last run was lost: behind a gateway its kernel may go on with it.
        self.left_behind = False
        self._turn = RunTurn("A run goes on in this session; wait for its end, or use another session.")
        # One at a time starts, restarts or ends the kernel.
        self._life = asyncio.Lock()
        self._stopped = False

    @classmethod
    def default_environment(cls) -> KernelEnvironment:
        """The kernel of Python that is installed beside Jupyter."""
        from jupyter_client.kernelspec import KernelSpecManager

        specs = KernelSpecManager().get_all_specs()
        if "python3" not in specs:
            raise EnvironmentFailed("There is no kernel python3; install ipykernel, or give an environment.")
        return KernelEnvironment("kernel:python3", specs["python3"])

    # -- life ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start a kernel, or find the one to attach to, and connect. Raises `EnvironmentFailed`."""
        self._stopped = False
        async with self._life:
            await self._begin()

    @begins
    async def _begin(self) -> None:
        if self._stopped:
            raise SessionLost("The session was stopped.")
        if self.attached:
            self._check_attached(self.kernel_id or "")
            await self.client.connect(self.kernel_id or "")
            return
        try:
            if not await self._take_ready():
                self.kernel_id = await self._start_kernel()
                await self._furnish(await self.client.connect(self.kernel_id))
        except BaseException:
            await self._end()
            raise
        if self.pool is not None:
            self.pool.refill(self.environment.name)

    async def _take_ready(self) -> bool:
        """Take a kernel that is ready already, where there is one."""
        check_folder(self.workspace)
        self.kernel_id = None
        if self.pool is not None:
            self.kernel_id = await self.pool.take(self.environment, self.workspace)
        if self.kernel_id is None:
            return False
        self._furnished = (await self.client.connect(self.kernel_id)).kernel  # the pool has done that
        await self.client.enter(self.kernel_id, self.environment.display_name, self.workspace.name)
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
        if self.kernel_id is None:
            raise SessionLost("The session was stopped.")
        await self.client.restart(self.kernel_id, now=now)
        return await self._furnish(await self.client.connect(self.kernel_id))

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

    async def _start_kernel(self) -> str:
        return await self.client.start(
            self.environment.kernel_name,
            cwd=str(self.workspace),
            env=await asyncio.to_thread(self.environment.variables),
            title=self.environment.display_name,
            path=self.workspace.name,
        )

    async def _end(self) -> None:
        if self.kernel_id is not None and not self.attached:
            await self.client.stop(self.kernel_id, now=True)
            self.kernel_id = None

    @property
    def alive(self) -> bool:
        """Whether there is a kernel that can take a run."""
        return self.kernel_id is not None and not self._stopped and self.client.has(self.kernel_id)

    async def stop(self) -> None:
        """End what runs, and the kernel where it was started here."""
        self._stopped = True
        if self._run is not None:
            await self._run.cancel()
        async with self._life:
            await self._end()
            if self._own_client:
                await self.client.close()

    async def restart(self) -> None:
        """Begin with empty state; a run that goes on is lost."""
        self._stopped = False
        async with self._life:
            if self.alive:
                await self._restart()
            else:
                await self._begin()

    @property
    def policy(self) -> TimeoutPolicy:
        """What becomes of the kernel when time is up; one that is somebody else's is never restarted."""
        return "interrupt" if self.attached and self.on_timeout == "restart" else self.on_timeout

    async def connected(self) -> KernelConnection:
        """The connection to the kernel, which is started again where it has died."""
        async with self._life:
            if not self.alive:
                await self._begin()
            if self.kernel_id is None:
                raise SessionLost("The session was stopped.")
            try:
                connection = await self.client.connect(self.kernel_id)
                await self._end_left_behind(self.kernel_id)
                same = self._furnished in ("", connection.kernel)
                return connection if same else await self._furnish(connection)
            except KernelDied:
                if self.attached:
                    raise
                return await self._restart(now=True)
            except NotFound:  # a gateway has shut it down, or is another one
                if self.attached:
                    raise
                await self._begin()
                return await self.client.connect(self.kernel_id)

    async def _end_left_behind(self, kernel_id: str) -> None:
        if self.left_behind and self.client.remote and not self.attached:
            with contextlib.suppress(ExecError):
                await self.client.interrupt(kernel_id)
        self.left_behind = False

    async def revive(self) -> None:
        """Restart a kernel that does not react any more."""
        async with self._life:
            with contextlib.suppress(NotFound):
                if not self._stopped:
                    await self._restart(now=True)

    # -- runs ----------------------------------------------------------------------------------------

    async def run(
        self, blocks: Sequence[CodeBlock], options: RunOptions | None = None
    ) -> AsyncGenerator[Event, None]:
        """Run the blocks as cells, in order: see `CodeExecutor.run`."""
        options = checked(blocks, options)
        languages = [self._language(index, block) for index, block in enumerate(blocks)]
        if options.env:
            raise InvalidRequest(
                "env: a kernel that runs has its variables already; set them in the code.", field="env"
            )
        await self._turn.take()
        try:
            run = self._run = KernelRun(self, options, len(blocks))
            async with contextlib.aclosing(run.events(blocks, languages)) as events:
                with self._turn:
                    async for event in events:
                        yield event
                        if event.type == "end":
                            break
        finally:
            self._run = None
            self._turn.release()

    def _language(self, index: int, block: CodeBlock) -> Language:
        try:
            return self.environment.language(block.language)
        except ExecError as error:
            error.field = f"code_blocks[{index}].{error.field or 'language'}"
            raise

    async def cancel(self) -> None:
        """Interrupt the run, and restart the kernel where that does not help."""
        if self._run is not None:
            await self._run.cancel()

    async def interrupt(self) -> None:
        """Interrupt the run's cell once; nothing happens while the kernel works for others, or on nothing."""
        if self._run is not None:
            await self._run.interrupt()

    async def send_input(self, value: str) -> None:
        """Answer ``input()`` or ``getpass()``. Raises `Conflict` where nothing was asked."""
        if self._run is None:
            raise Conflict("The program does not ask for input; wait for an input_request.")
        self._run.answer(value)
