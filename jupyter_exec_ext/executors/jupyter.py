"""`JupyterCodeExecutor`: code blocks in a Jupyter kernel, which keeps their variables."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, Sequence
from typing import Literal

from ..environments.kernel import KernelEnvironment
from ..errors import Conflict, EnvironmentFailed, ExecError, InvalidRequest
from ..events import Event
from ..kernels.client import JupyterClient
from ..kernels.pool import KernelPool
from ..languages import Language
from ..models import CodeBlock
from .base import CodeExecutor, RunOptions, checked, real_folder
from .kernelrun import KernelRun
from .outputfiles import checked_directory
from .sessionkernel import SessionKernel
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

    plain = True

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
        self._own_client = client is None
        self.kernel = SessionKernel(environment, self.workspace, client or JupyterClient(), kernel_id, pool)
        self._run: KernelRun | None = None
        self._turn = RunTurn("A run goes on in this session; wait for its end, or use another session.")

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
        await self.kernel.start()

    @property
    def kernel_id(self) -> str | None:
        """The kernel's identifier, where there is one."""
        return self.kernel.id

    @property
    def alive(self) -> bool:
        """Whether there is a kernel that can take a run."""
        return self.kernel.alive

    async def stop(self) -> None:
        """End what runs, and the kernel where it was started here."""
        self.kernel.abandon()
        if self._run is not None:
            await self._run.cancel()
        await self.kernel.stop()
        if self._own_client:
            await self.kernel.client.close()

    async def restart(self) -> None:
        """Begin with empty state; a run that goes on is lost."""
        await self.kernel.restart()

    @property
    def policy(self) -> TimeoutPolicy:
        """What becomes of the kernel when time is up; one that is somebody else's is never restarted."""
        return "interrupt" if self.kernel.attached and self.on_timeout == "restart" else self.on_timeout

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
        """Interrupt the run's cell once, or one that a run has left; not what the kernel does for others."""
        if not await self.kernel.interrupt_left() and self._run is not None:
            await self._run.interrupt()

    async def send_input(self, value: str) -> None:
        """Answer ``input()`` or ``getpass()``. Raises `Conflict` where nothing was asked."""
        if self._run is None:
            raise Conflict("The program does not ask for input; wait for an input_request.")
        self._run.answer(value)
