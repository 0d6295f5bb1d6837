"""`CommandLineCodeExecutor`: code blocks as programs, under a supervisor, wherever that runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path, PurePath

from ..blocks import file_name_of
from ..environments.base import PythonEnvironment
from ..errors import (
    Conflict,
    ExecError,
    InvalidRequest,
    ProtocolError,
    Refused,
    SessionLost,
    UnknownLanguage,
)
from ..events import Event
from ..languages import Language
from ..models import CodeBlock
from ..supervisor.client import SupervisorClient
from .base import CodeExecutor, RunOptions, checked, real_folder
from .blockrun import BlockRun
from .execution import Execution
from .privatefolder import PrivateFolder
from .turns import RunTurn
from .workspacefiles import WorkspaceFiles

__all__ = ["CommandLineCodeExecutor"]

#: Bytes of output that are kept of one execution, head and tail together.
OUTPUT_LIMIT = 8 * 1024 * 1024
#: Seconds from interrupt to terminate, and from terminate to kill.
GRACE = (1.0, 1.0)


class CommandLineCodeExecutor(WorkspaceFiles, CodeExecutor):
    """Runs each block as a program of its own in the workspace.

    Parameters
    ----------
    environment : PythonEnvironment
        Its interpreter, languages, variables, preload and limits.
    workspace : path
        The directory in which the code runs; it must exist.
    private : path, optional
        Where the files of blocks without a name of their own go; a temporary directory else,
        which `stop` removes. Where it was empty at the start, `restart` empties it.
    output_limit : int
        Bytes of output that are kept of one execution; half of it head, half of it tail.
    grace : (float, float)
        Seconds from interrupt to terminate, and from terminate to kill.
    fork : bool
        Whether Python blocks may be forked from the warm interpreter.
    """

    def __init__(
        self,
        environment: PythonEnvironment,
        workspace: str | os.PathLike[str],
        private: str | os.PathLike[str] | None = None,
        *,
        output_limit: int = OUTPUT_LIMIT,
        grace: tuple[float, float] = GRACE,
        fork: bool = True,
    ) -> None:
        #: The memory of the container it runs in, if it runs in one.
        self.container_bytes: int | None = None
        self.environment = environment
        #: Where code runs, as it is called there.
        self.workspace: PurePath = real_folder(workspace)
        self.output_limit, self.grace, self.fork = output_limit, grace, fork
        self._folder = PrivateFolder(private)
        self._client: SupervisorClient | None = None
        self._spoiled = False
        self._languages: dict[str, Language] = {}
        #: What `_connect` found there: the variables of the session, and whether pip takes a count.
        self.variables: Mapping[str, str] = {}
        self.pip_counts = True
        self._execution: Execution | None = None
        self._turn = RunTurn("A run goes on in this session; wait for its end, or use another session.")
        # One at a time starts or ends the supervisor: a run that finds it dead, restart, stop.
        self._life = asyncio.Lock()
        self._stopped = False

    @abstractmethod
    async def _connect(self, private: Path) -> SupervisorClient:
        """Start a supervisor for the workspace, with `private` as its directory."""

    # -- life ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the supervisor. Raises `EnvironmentFailed`."""
        self._stopped = False
        async with self._life:
            await self._begin()

    async def _begin(self) -> None:
        if self._stopped:
            raise SessionLost("The session was stopped.")
        private = await self._make_private()
        self._spoiled = False
        try:
            self._client = await self._connect(private)
        except BaseException:
            await self._remove_private()
            raise

    async def _make_private(self) -> Path:
        return await self._folder.renew()

    async def _remove_private(self) -> None:
        await self._folder.remove()

    def shared_file(self, name: str) -> Path | None:
        """The file that other sessions would meet under that name; None where each has its own."""
        return Path(self.workspace, name)

    @property
    def _private(self) -> Path | None:
        return self._folder.path

    async def _end(self) -> None:
        # Ours until it has ended: a close that is cancelled is done again by the next one.
        if self._client is not None:
            await self._client.close()
            self._client = None

    @property
    def alive(self) -> bool:
        """Whether the supervisor can take a run."""
        return self._client is not None and self._client.alive

    @property
    def guarantee(self) -> str | None:
        """What stop can promise here: see `supervisor.tree`, and `supervisor.portable.job` for Windows."""
        return self._client.ready.guarantee if self._client is not None else None

    async def stop(self) -> None:
        """End whatever runs, and remove the private directory where it is our own."""
        self._stopped = True
        async with self._life:
            await self._end()
            await self._remove_private()

    async def restart(self) -> None:
        """End whatever runs, and start a new supervisor."""
        self._stopped = False
        async with self._life:
            await self._end()
            await self._begin()

    def spoil(self) -> None:
        """A block has done something to its supervisor: the next one has another."""
        self._spoiled = True

    @property
    def _is_to_be_renewed(self) -> bool:
        # Not while somebody reads or writes a file through it.
        return self._spoiled and self._client is not None and not self._client.busy

    async def _revive(self) -> None:
        """Start a new supervisor where the old one has died, or may be spoiled."""
        async with self._life:
            if not self.alive or self._is_to_be_renewed:
                await self._end()
                await self._begin()

    # -- runs ----------------------------------------------------------------------------------------

    async def run(
        self, blocks: Sequence[CodeBlock], options: RunOptions | None = None
    ) -> AsyncGenerator[Event, None]:
        """Run the blocks in order; see `CodeExecutor.run`."""
        options = checked(blocks, options)
        plan = [self._plan(index, block) for index, block in enumerate(blocks)]
        await self._turn.take()
        execution = self._execution = Execution(options, self.output_limit, len(plan))
        try:
            async with contextlib.aclosing(self._run_all(plan, execution)) as events:
                with self._turn:
                    async for event in events:
                        yield event
            outcome = execution.outcome()
            # A block may have spoiled the supervisor and it does not know, by mounts for instance.
            self._spoiled |= outcome.status == "env_error"
            yield Event("end", {"outcome": outcome})
        finally:
            self._execution = None
            self._turn.release()

    def _plan(self, index: int, block: CodeBlock) -> tuple[int, CodeBlock, Language, str | None]:
        try:
            language = self._language(block.language)
            return index, block, language, file_name_of(block, language)
        except (UnknownLanguage, Refused, InvalidRequest) as error:
            error.field = f"code_blocks[{index}].{error.field or 'language'}"
            raise

    def _language(self, name: str) -> Language:
        # What a session has found once it need not look for again: this is on every run's way.
        if name not in self._languages:
            self._languages[name] = self.environment.language(name)
        return self._languages[name]

    async def _run_all(
        self, plan: list[tuple[int, CodeBlock, Language, str | None]], execution: Execution
    ) -> AsyncGenerator[Event, None]:
        for index, block, language, name in plan:
            if execution.over:
                return
            try:
                if not self.alive or self._is_to_be_renewed:
                    await self._revive()
                run = BlockRun(self, execution, index, block, language, name)
                async with contextlib.aclosing(run.events(self._live)) as events:
                    async for event in events:
                        yield event
            except ExecError as error:
                execution.fail(await self._explained(error))
                if isinstance(error, ProtocolError) and self._client is not None:
                    self._client.kill(error)

    async def _explained(self, error: ExecError) -> ExecError:
        """Say more of what went wrong, where more can be known."""
        return error

    @property
    def _live(self) -> SupervisorClient:
        if self._client is None:
            raise SessionLost("The session was stopped.")
        return self._client

    async def cancel(self) -> None:
        """Begin the stop ladder of the run that goes on."""
        if self._execution is not None:
            await self._execution.cancel()

    async def interrupt(self) -> None:
        """Send SIGINT to the program that runs."""
        channel = self._execution.channel if self._execution is not None else None
        if channel is not None:
            with contextlib.suppress(ExecError):
                await channel.send("interrupt")

    async def send_input(self, value: str) -> None:
        """Give the program a line. Raises `Conflict` where it cannot take one, or too many wait for it."""
        execution = self._execution
        if execution is None or execution.channel is None:
            raise Conflict("Nothing runs that could take input.")
        if not execution.options.allow_stdin:
            raise Conflict("This execution was started without allow_stdin, so it takes no input.")
        await execution.channel.type(value.encode("utf-8") + b"\n")

    async def _ready(self) -> SupervisorClient:
        if not self.alive and self._execution is None:
            await self._revive()
        return self._live
