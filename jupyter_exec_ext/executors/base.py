"""`CodeExecutor`: the one abstract class of everything that runs code blocks."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from ..environments.base import PythonEnvironment
from ..environments.system import SystemPythonEnvironment
from ..errors import EnvironmentFailed, InvalidRequest
from ..events import Event, Outcome, Transcript
from ..models import CodeBlock
from ..supervisor.paths import file_at

__all__ = ["CodeExecutor", "CodeResult", "RunOptions", "check_folder", "checked", "real_folder"]


@dataclass(frozen=True)
class RunOptions:
    """How to run: the part of a request that an executor needs.

    Parameters
    ----------
    timeout : float or None
        Seconds of wall-clock time for all blocks together, finite and above 0; None for no limit.
    env : mapping or None
        Environment variables on top of the environment's own, text to text; None for none.
    stdin : str or None
        What the program reads; None for nothing.
    allow_stdin : bool
        Whether the program may ask (``input_request``); answers come through `send_input`.
    stop_on_error : bool
        Whether a block that fails ends the run.
    late : callable or None
        Is given, on the event loop, each event that belongs to the run and comes after its end: a thread
        in a kernel prints on. None where nobody wants to know; it must be quick and not raise.
    """

    timeout: float | None = 60.0
    env: Mapping[str, str] | None = field(default_factory=dict)
    stdin: str | None = None
    allow_stdin: bool = False
    stop_on_error: bool = True
    late: Callable[[Event], None] | None = None


def real_folder(path: str | os.PathLike[str]) -> Path:
    """A working directory, links resolved. Raises `EnvironmentFailed` where it changes meanwhile."""
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise EnvironmentFailed(
            f"The working directory {os.fspath(path)} cannot be reached: {why}."
        ) from error


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Raise `EnvironmentFailed` where a working directory is none, and say what is there instead."""
    if os.path.isdir(folder):
        return
    folder = os.fspath(folder)
    file = file_at(folder)
    if file is None:
        why = "is gone"
    elif file == folder:
        why = "is a file and not a directory"
    else:
        why = f"cannot be: {file} is a file and not a directory"
    raise EnvironmentFailed(f"The working directory {folder} {why}; choose another path.")


def checked(blocks: Sequence[CodeBlock], options: RunOptions | None) -> RunOptions:
    """The options of a run, or the default ones; every `CodeExecutor.run` begins with this.

    Raises
    ------
    InvalidRequest
        Where there is nothing to run, or no process could run like that; a field has another type than
        `CodeBlock` and `RunOptions` say.
    """
    _check_blocks(blocks)
    options = RunOptions() if options is None else options
    if not isinstance(options, RunOptions):
        raise InvalidRequest(f"options: must be a RunOptions, not {_kind(options)}.", field="options")
    _check_types(options)
    if options.timeout is not None and not _is_duration(options.timeout):
        raise InvalidRequest(
            f"A timeout of {options.timeout!r} is not possible; give a number of seconds above 0, "
            "or None for no limit.",
            field="timeout",
        )
    if options.stdin is not None and options.allow_stdin:
        raise InvalidRequest("Give stdin or allow_stdin, not both: a program has one input.", field="stdin")
    for name, value in (options.env or {}).items():
        _check_variable(name, value)
    return options


def _check_blocks(blocks: object) -> None:
    if not isinstance(blocks, Sequence) or not all(isinstance(block, CodeBlock) for block in blocks):
        raise InvalidRequest("code_blocks: must be a list of CodeBlock.", field="code_blocks")
    if not blocks:
        raise InvalidRequest("There is no code block to run; give at least one.", field="code_blocks")


def _check_types(options: RunOptions) -> None:
    env, stdin, late = options.env, options.stdin, options.late
    _check_type("stdin", "text, or None for nothing", stdin, stdin is None or isinstance(stdin, str))
    _check_type("env", "a dict of text, or None for none", env, env is None or isinstance(env, Mapping))
    _check_type("late", "a callable or None", late, late is None or callable(late))
    for name in ("allow_stdin", "stop_on_error"):
        value = getattr(options, name)
        _check_type(name, "True or False", value, isinstance(value, bool))


def _check_type(name: str, words: str, value: object, right: bool) -> None:
    if not right:
        hint = "; decode it first" if isinstance(value, (bytes, bytearray)) else ""
        raise InvalidRequest(f"{name}: must be {words}, not {_kind(value)}{hint}.", field=name)


def _kind(value: object) -> str:
    # Without the value: what is meant for a program may be nobody else's business.
    return type(value).__name__


def _is_duration(value: object) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 < value <= sys.float_info.max  # type: ignore[operator]


def _check_variable(name: object, value: object) -> None:
    if not (isinstance(name, str) and isinstance(value, str)):
        problem = "is not text"
    elif not name or "=" in name:
        problem = "has a name that no process can have: it is empty, or holds '='"
    elif "\0" in name + value:
        problem = "holds a NUL character, which no process can have"
    elif not _is_encodable(name + value):
        problem = "holds a lone surrogate, which is not text"
    else:
        return
    raise InvalidRequest(f"The environment variable {name!r:.80} {problem}; correct env.", field="env")


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")  # as `os.environ` has what is not UTF-8
    except UnicodeEncodeError:
        return False
    return True


@dataclass
class CodeResult:
    """What a run came to; `output` is the plain text, `outputs` are nbformat outputs."""

    outcome: Outcome
    output: str
    outputs: list[dict[str, Any]]

    @property
    def exit_code(self) -> int | None:
        """The program's own exit code; 124 on timeout, 130 on cancel; None where there is none."""
        return self.outcome.exit_code

    @property
    def code_file(self) -> str | None:
        """The file of the first block."""
        return self.outcome.code_files[0] if self.outcome.code_files else None


class CodeExecutor(ABC):
    """One live instance of an environment that runs code blocks.

    The manager makes one per session, calls `start` once, `run` for one execution at a time,
    and `stop` in the end. While a run goes on it may call `cancel`, `interrupt` and
    `send_input` from other tasks. A program that uses an executor as a library does the same
    with ``async with``.
    """

    #: Whether the text of a result is without colour codes; its outputs have them.
    plain = False

    @classmethod
    def default_environment(cls) -> PythonEnvironment:
        """Where it runs for whoever names no environment."""
        return SystemPythonEnvironment()

    @abstractmethod
    async def start(self) -> None:
        """Start the instance. Raises `EnvironmentFailed` with the reason where it cannot."""

    @abstractmethod
    def run(
        self, blocks: Sequence[CodeBlock], options: RunOptions | None = None
    ) -> AsyncGenerator[Event, None]:
        """Run the blocks in order and yield what happens.

        The last event is ``Event("end", {"outcome": Outcome})``, exactly one, also on timeout,
        cancel and loss of the environment: the iterator raises only for a wrong argument, and
        `Conflict` where another run goes on. To leave before the end and run the next at once, close
        the iterator (`contextlib.aclosing`): one that is only left by ``break`` goes on until nobody
        holds it any more, and the event loop has closed it.
        """

    @abstractmethod
    async def cancel(self) -> None:
        """End the run that goes on (the stop ladder); nothing happens where none does."""

    @abstractmethod
    async def interrupt(self) -> None:
        """Send the run the interrupt of a keyboard, once."""

    @abstractmethod
    async def send_input(self, value: str) -> None:
        """Give the program a line it asked for. Raises `Conflict` where none can be taken."""

    @abstractmethod
    async def restart(self) -> None:
        """End whatever runs, and begin afresh with empty state."""

    @abstractmethod
    async def stop(self) -> None:
        """End whatever runs and remove all that belongs to the instance. May be called twice."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether the instance can take a run."""

    async def execute_code_blocks(
        self, blocks: Sequence[CodeBlock], options: RunOptions | None = None
    ) -> CodeResult:
        """Run the blocks and wait for the end.

        Raises
        ------
        InvalidRequest
            Where there are no blocks, or options that cannot be (a ValueError, too).
        """
        options = checked(blocks, options)
        transcript = Transcript(plain=self.plain)
        async for event in self.run(blocks, options):
            transcript.add(event)
        outcome: Outcome = event.data["outcome"]
        return CodeResult(outcome, transcript.output, transcript.outputs)

    async def __aenter__(self) -> CodeExecutor:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
