"""`PythonEnvironment`: where code runs, and how its interpreter starts there."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any, ClassVar, Literal

from ..errors import Conflict, Refused, UnknownLanguage
from ..languages import LANGUAGES, Language, resolve
from ..models import Environment, ExecutionRequest, Isolation, Kind
from .interpreters import available
from .variables import allowed_variables

__all__ = ["EnvironmentStatus", "Limits", "Progress", "PythonEnvironment", "current_environment"]

EnvironmentStatus = Literal["ready", "preparing", "unavailable"]

#: Told what a preparation is doing: a label for a person, the steps done, and their number.
Progress = Callable[[str, int, int], None]

_current: ContextVar[tuple[PythonEnvironment, ...]] = ContextVar("jupyter_exec_ext_environments", default=())


def current_environment() -> PythonEnvironment | None:
    """Return the environment whose ``with`` block we are in; None outside of one."""
    stack = _current.get()
    return stack[-1] if stack else None


@dataclass(frozen=True)
class Limits:
    """Limits of one process of a run, by ``setrlimit``; None leaves the server's own.

    Parameters
    ----------
    memory_bytes : int or None
        What a process can write (``RLIMIT_DATA``, on Linux), which leaves out memory that it shares with
        others; elsewhere its address space (``RLIMIT_AS``), of which node and other runtimes reserve 1 GiB
        and more.
    cpu_seconds : int or None
        Processor time.
    file_bytes : int or None
        Size of one written file.
    open_files : int or None
        Open descriptors.
    """

    memory_bytes: int | None = None
    cpu_seconds: int | None = None
    file_bytes: int | None = None
    open_files: int | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Limits:
        """Read limits from a configuration. Raises ValueError with the names there are."""
        names = [field.name for field in fields(cls)]
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(f"there is no {unknown[0]!r}; the limits are {', '.join(names)}")
        for name, value in given.items():
            if value is not None and (type(value) is not int or value < 0):
                raise ValueError(f"{name} is {value!r}; give a whole number, 0 or more, or None for no limit")
        return cls(**given)


class PythonEnvironment(ABC):
    """A named place where code can run.

    The registry makes, lists and removes environments; an executor asks one for its interpreter,
    variables and languages when a session starts. As a context manager it makes itself the
    current environment of this task (`current_environment`).

    Parameters
    ----------
    name : str
        The kind, or kind, colon, label.
    display_name : str, optional
        For a person; else the label.
    preload : iterable of str
        Modules that the warm interpreter imports before it is asked to run anything.
    limits : Limits, optional
    env_allow : iterable of str
        Variables of the server that blocks get besides the default ones.
    languages : mapping, optional
        The table of languages with their policies; else `LANGUAGES`.
    """

    kind: ClassVar[Kind]
    isolation: ClassVar[Isolation] = "none"

    def __init__(
        self,
        name: str,
        *,
        display_name: str | None = None,
        preload: Iterable[str] = (),
        limits: Limits | None = None,
        env_allow: Iterable[str] = (),
        languages: Mapping[str, Language] | None = None,
    ) -> None:
        self.name = name
        self.display_name = display_name or name.partition(":")[2] or name
        self.preload = tuple(preload)
        #: What was wrong with preloaded modules when a session last started, by their names.
        self.preload_problems: dict[str, str] = {}
        self.limits = limits or Limits()
        self.env_allow = tuple(env_allow)
        self._table = LANGUAGES if languages is None else languages

    @abstractmethod
    def get_executable(self) -> str:
        """Return the absolute path of the Python interpreter.

        Raises `EnvironmentFailed` with the reason where there is none.
        """

    @property
    def status(self) -> EnvironmentStatus:
        """Whether it can run something now."""
        return "ready" if self.reason is None else "unavailable"

    @property
    def reason(self) -> str | None:
        """Why it is not ready, in a sentence for a person; None where it is."""
        return None

    @property
    def spec(self) -> dict[str, Any]:
        """What it is made of, for whoever asks to see it."""
        return {}

    def variables(self) -> dict[str, str]:
        """Return the environment variables of whatever starts here: all of them, nothing is inherited."""
        return {**allowed_variables(self.env_allow), "PATH": self.search_path()}

    def search_path(self) -> str:
        """Return the PATH of whatever starts here."""
        return os.environ.get("PATH", os.defpath)

    def languages(self) -> dict[str, Language]:
        """Return the languages by name, those that can run here and those that are only saved or refused."""
        return available(self._table, self.search_path())

    def language(self, name: str) -> Language:
        """Return the language of that name or alias; of an empty name, the first.

        Raises
        ------
        UnknownLanguage
            Where there is none, or its interpreter is not installed.
        Refused
            Where the policy says so.
        """
        here = self.languages()
        language = next(iter(here.values())) if not name and here else self._find(name, here)
        if language.policy == "refuse":
            raise Refused(f"This server refuses to run {language.name} in {self.name}.", field="language")
        return language

    def _find(self, name: str, here: Mapping[str, Language]) -> Language:
        try:
            return resolve(name, here)
        except UnknownLanguage as error:
            absent = {key: value for key, value in self._table.items() if key not in here}
            try:
                language = resolve(name, absent)
            except UnknownLanguage:
                raise error from None
        raise UnknownLanguage(
            f"{self.name} cannot run {language.name}: {language.command[0]} is not on its PATH; "
            "install it first.",
            field="language",
        )

    def check(self, request: ExecutionRequest) -> None:  # noqa: B027
        """Raise `InvalidRequest` where a request asks for what cannot be had here."""

    def describe(self) -> Environment:
        """Return what a list shows of this environment."""
        return Environment(
            name=self.name,
            kind=self.kind,
            display_name=self.display_name,
            languages=[name for name, language in self.languages().items() if language.policy != "refuse"],
            isolation=self.isolation,
            status=self.status,
            reason=self.reason,
            spec=self.spec,
        )

    async def prepare(self, progress: Progress | None = None) -> None:  # noqa: B027
        """Make what has to be made before anything can run; nothing where it is there.

        Raises `EnvironmentFailed` with the reason. When cancelled, or when it fails, it leaves
        no process and no file behind.
        """

    async def remove(self) -> None:
        """Remove what `prepare` made. Raises `Conflict` where it was not made by us."""
        raise Conflict(f"{self.name} was not created here, so it is not removed from here.")

    def __enter__(self) -> PythonEnvironment:
        _current.set((*_current.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.set(_current.get()[:-1])
