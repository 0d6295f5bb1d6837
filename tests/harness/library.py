"""Cases with the executor of the local command line as a library, without a server."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.errors import ExecError, InvalidRequest, NotFound, Refused
from jupyter_exec_ext.events import Event, Transcript
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.commandline import CommandLineCodeExecutor
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .backends import NEXT, Result
from .cases import Case
from .watch import Census, OwnMeter

__all__ = ["Library", "LibrarySession"]


class Library:
    """The executor of the local command line, in this process.

    Parameters
    ----------
    root : Path
        Where workspaces are made.
    temporary : Path
        Where this process makes its temporary directories, and no other does.
    """

    def __init__(self, root: Path, temporary: Path) -> None:
        assert Path(tempfile.gettempdir()) == temporary
        self.root, self._temporary, self.meter, self._pid = root, temporary, OwnMeter(), os.getpid()

    @contextlib.asynccontextmanager
    async def session(self, path: str) -> AsyncIterator[LibrarySession]:
        """An executor in that folder."""
        executor = LocalCommandLineCodeExecutor(SystemPythonEnvironment(), self.root / path)
        async with executor:
            assert executor.guarantee == "pid_namespace"
            yield LibrarySession(executor)

    def census(self, *, paths: bool = True) -> Census:
        """Everything below this process."""
        census = Census.take(self._pid, self._pid)
        made = self._temporary.iterdir() if paths else ()
        return Census(census.processes, census.descriptors, frozenset(map(str, made)))

    def complaints(self) -> str:
        """It logs nothing."""
        return ""


class LibrarySession:
    """One executor."""

    def __init__(self, executor: CommandLineCodeExecutor) -> None:
        self._executor = executor

    async def run(self, case: Case, copy: int) -> Result:
        """Run the blocks with the executor."""
        try:
            return await self._run(case, case.request_of(copy))
        except ValidationError:
            return Result(refused=400)
        except InvalidRequest as error:
            return Result(refused=400, answer={"message": error.message, "field": error.field})

    async def _run(self, case: Case, request: dict[str, Any]) -> Result:
        blocks = [CodeBlock(**block) for block in request.pop("code_blocks")]
        events: list[Event] = []
        answers, printed, waiting = list(case.answers), "", bool(case.when)
        async for event in self._executor.run(blocks, RunOptions(**request)):
            events.append(event)
            if event.type == "input_request" and answers:
                await self._executor.send_input(answers.pop(0))
            if waiting and event.type == "stream":
                printed += event.data["text"]
                if case.when["printed"] in printed:
                    waiting = False
                    await getattr(self._executor, case.when["do"])()
        outcome = events.pop().data["outcome"]
        return Result(
            status=outcome.status,
            exit_code=outcome.exit_code,
            output=Transcript(events).output,
            verdict=outcome.verdict.model_dump(),
            truncated=outcome.truncated,
            events=[(number, event.type, event.data) for number, event in enumerate(events, 1)],
        )

    async def print_next(self) -> Result:
        """The next run."""
        blocks = [CodeBlock(**block) for block in NEXT["code_blocks"]]  # type: ignore[attr-defined]
        result = await self._executor.execute_code_blocks(blocks, RunOptions(timeout=20.0))
        verdict = result.outcome.verdict.model_dump()
        return Result(result.outcome.status, result.exit_code, result.output, verdict)

    async def files(self) -> tuple[list[dict[str, Any]], bool]:
        """The list."""
        return await self._executor.list_files()

    async def read(self, path: str) -> bytes | None:
        """The contents."""
        try:
            return b"".join([piece async for piece in self._executor.read_file(path)])
        except (Refused, NotFound):
            return None
        except ExecError as error:
            raise AssertionError(error.message) from error
