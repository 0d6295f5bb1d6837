"""`EnvironmentRegistry`: all environments by name: listed, created, removed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ..errors import Conflict, EnvironmentFailed, Refused, UnknownEnvironment
from ..events import Event
from ..models import Environment, EnvironmentRequest
from .base import PythonEnvironment
from .building import Recipe, check_python
from .changes import Changes
from .created import CreatedEnvironments, Record
from .discovery import Discovery, Walk, title_of
from .kernel import KernelEnvironment
from .maker import EnvironmentMaker, gone_meanwhile
from .preparation import Preparation
from .settings import EnvironmentSettings
from .system import SystemPythonEnvironment
from .usage import Usage
from .venv import VenvPythonEnvironment

__all__ = ["EnvironmentRegistry"]

# How long a list may look for what is new; the walk goes on where it stopped with the next one.
_LIST_SECONDS = 0.05
_START_SECONDS = 2.0

# The class has a method `list`, which hides the type within it.
Environments = list[Environment]


class EnvironmentRegistry(EnvironmentSettings):
    """The environments of one server.

    The application makes it, awaits `start` and in the end `stop`; handlers list and create, the
    manager asks for one by name. All on one event loop, except where a docstring says otherwise.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._changes = Changes(self.log)
        #: Called with a name and what became of it: created, changed or deleted.
        self.on_change = self._changes.listeners
        #: Whether something runs in that environment; the manager sets it.
        self.in_use: Callable[[str], bool] = lambda name: False
        #: Waits for what is about to leave that environment; the manager sets it.
        self.vacated: Callable[[str], Awaitable[Any]] = lambda name: asyncio.sleep(0)
        #: The kernelspecs that there are, by name; the application sets it.
        self.kernelspecs: Callable[[], Mapping[str, Mapping[str, Any]]] = dict
        #: The container environments that there are, by name; the application sets it.
        self.containers: Callable[[], Mapping[str, PythonEnvironment]] = dict
        #: What stop can promise on the command line; the application sets it once it knows.
        self.guarantee: str | None = None
        self._store = CreatedEnvironments(Path(self.data_dir))
        #: What is in use, for other servers to see; the manager says it.
        self.usage = Usage(Path(self.data_dir))
        self._discovery = self._make_discovery()
        self._known: dict[str, PythonEnvironment] = {}
        self._local = SystemPythonEnvironment(**self.options_of("local"))
        self._watching: asyncio.Task[None] | None = None
        self._obstacle: str | None = None
        self._maker = EnvironmentMaker(
            self._store,
            self.usage,
            self._furnish,
            self._refresh,
            at_once=self.max_preparing,
            timeout=self.prepare_timeout,
            logger=self.log,
        )

    def _make_discovery(self) -> Discovery | None:
        if not self.discover:
            return None
        walk = Walk(
            self.root_dir,
            depth=self.discover_depth,
            max_folders=self.discover_folders,
            skip=[self.data_dir],
        )
        return Discovery(walk if self.root_dir else None, self.conda_roots)

    # ---- what there is

    async def start(self) -> None:
        """Remove what killed servers left half-made, and look around for the first time, in a thread."""
        for label in await asyncio.to_thread(self._store.sweep):
            self.log.info("Removed venv:%s, which a server that was killed had left half-made.", label)
        await asyncio.to_thread(self.usage.sweep)
        if self._discovery is not None:
            await asyncio.to_thread(self._discovery.look_around, _START_SECONDS)
        self._refresh()
        if self._discovery is not None and self.discover_seconds:
            self._watching = asyncio.create_task(self._watch(self._discovery))

    async def _watch(self, discovery: Discovery) -> None:
        """Notice what comes and goes on disk, also while nobody asks; the walk itself is in a thread."""
        while True:
            await asyncio.sleep(self.discover_seconds)
            try:
                await asyncio.to_thread(discovery.look_around, _START_SECONDS)
                self._refresh(0.0)
            except Exception:
                self.log.exception("The look for environments failed; the next one is in a while.")

    def list(self) -> Environments:
        """Return all environments as they are now, in milliseconds: nothing is started to know it."""
        self._refresh()
        return [self._described(environment) for environment in self._known.values()]

    def get(self, name: str) -> PythonEnvironment:
        """Return the environment of that name, to run something in it.

        One that is not available is returned, too: whoever starts it gets `EnvironmentFailed`
        with the reason from `get_executable`. Raises `UnknownEnvironment` where there is none, or it is
        not allowed here; and `EnvironmentFailed` where it is still being prepared.
        """
        environment = self._find(name)
        if environment.status == "preparing":
            raise EnvironmentFailed(f"{name} is still being prepared; wait until it is ready.")
        return environment

    def _find(self, name: str) -> PythonEnvironment:
        if name not in self._known:
            self._refresh()
        if name not in self._known:
            raise UnknownEnvironment(
                f"There is no environment {name[:80]!r} here; choose one of those that are listed.",
                field="environment",
            )
        return self._known[name]

    def _described(self, environment: PythonEnvironment) -> Environment:
        described = environment.describe()
        described.default = environment.name == self.default_environment
        if self.guarantee is not None and described.kind in ("local", "venv"):
            described.spec["guarantee"] = self.guarantee
        return described

    def _refresh(self, seconds: float = _LIST_SECONDS) -> None:
        """Bring `_known` up to date, by files; it may look for new ones for so many seconds."""
        obstacle, self._obstacle = self._obstacle, self._store.obstacle
        if self._obstacle not in (None, obstacle):
            self.log.warning("Created environments are not offered: %s", self._obstacle)
        found: dict[str, PythonEnvironment] = {"local": self._local, **self._maker.environments()}
        if self._discovery is not None:
            for name, prefix in sorted(self._discovery.look(found.keys(), seconds).items()):
                found[name] = self._discovered(name, prefix)
        for label, spec in self.kernelspecs().items():
            found[f"kernel:{label}"] = self._kernel(f"kernel:{label}", spec)
        found.update(self.containers())
        self._known = {name: environment for name, environment in found.items() if self._allowed(name)}
        self._changes.look({name: environment.status for name, environment in self._known.items()})

    def _allowed(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.allow)

    def _discovered(self, name: str, prefix: Path) -> PythonEnvironment:
        known = self._known.get(name)
        if isinstance(known, VenvPythonEnvironment) and known.recipe is None and known.prefix == prefix:
            return known
        return VenvPythonEnvironment(
            name, prefix, **{**self.options_of(name), "display_name": title_of(name, prefix)}
        )

    def _kernel(self, name: str, found: Mapping[str, Any]) -> PythonEnvironment:
        known = self._known.get(name)
        if isinstance(known, KernelEnvironment) and known.found == found:
            return known
        return KernelEnvironment(name, found, **self.options_of(name))

    def _furnish(self, record: Record, prefix: Path, recipe: Recipe) -> VenvPythonEnvironment:
        return VenvPythonEnvironment(
            record.name,
            prefix,
            recipe=recipe,
            installer=self.installer,
            installer_memory=self.installer_memory_bytes,
            folder=Path(self.root_dir) if self.root_dir else None,
            **self.options_of(record.name, record),
        )

    # ---- creating and removing

    async def create(self, request: EnvironmentRequest) -> Environment:
        """Begin to create an environment and return it, ``preparing``.

        Raises
        ------
        Refused
            The administrator does not allow it.
        InvalidRequest
            A field cannot be right.
        Conflict
            There is one of that name, or somebody deletes it meanwhile; one that failed is replaced.
        """
        self._check_may_change(request.name)
        if request.python is not None:
            await asyncio.to_thread(check_python, request.python)  # a file system may take its time
        self._refresh()
        known = self._known.get(request.name)
        if known is not None and not (isinstance(known, VenvPythonEnvironment) and known.failure):
            raise Conflict(f"{request.name} is there already; choose another name.", field="name")
        await self._maker.create(Record(**request.model_dump(exclude={"kind"})))
        environment = self._known.get(request.name)
        if environment is None:
            raise gone_meanwhile(request.name)
        return self._described(environment)

    async def delete(self, name: str) -> None:
        """Remove an environment that was created here; a preparation is broken off.

        Raises
        ------
        UnknownEnvironment
            There is none of that name.
        Refused
            The administrator does not allow it.
        Conflict
            It was not created here, or something runs in it, here or in another server.
        """
        self._refresh()
        environment = self._find(name)
        self._check_may_change(name)
        if not isinstance(environment, VenvPythonEnvironment) or environment.recipe is None:
            raise Conflict(f"{name} was not created here, so it is not removed from here.")
        await self.vacated(name)
        if self.in_use(name):
            raise Conflict(f"{name} is in use; end its sessions and executions first.")
        await self._maker.delete(name)

    def _check_may_change(self, name: str) -> None:
        if not self.allow_create or not self._allowed(name):
            raise Refused(f"This server does not allow to create or delete {name}; ask its administrator.")

    def events(self, name: str, since: int = 0) -> AsyncIterator[Event]:
        """Return how the environment was prepared: progress, then its status; until that is known.

        Numbered from 1; those up to `since` are left out. Raises `UnknownEnvironment`.
        """
        preparation = self._maker.preparation(name)
        if preparation is None:
            environment = self._find(name)
            preparation = Preparation()
            preparation.end(environment.status, environment.reason)
        return preparation.read(since)

    def refresh(self) -> None:
        """Notice now what has changed: somebody knows that something has."""
        self._refresh(0.0)

    async def stop(self) -> None:
        """Look no further; break off what is being prepared, and wait until nothing of it is left."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._maker.stop()
