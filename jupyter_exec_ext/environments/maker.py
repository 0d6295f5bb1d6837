"""`EnvironmentMaker`: makes environments in the background, and removes them."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
from collections.abc import Callable
from functools import partial
from logging import Logger, LoggerAdapter
from pathlib import Path
from typing import Any

from ..errors import Conflict, ExecError, NoSpace, Unavailable
from ..lease import Lease
from .building import Recipe
from .created import CreatedEnvironments, Record
from .preparation import Preparation
from .usage import Usage
from .venv import VenvPythonEnvironment, finish

__all__ = ["EnvironmentMaker", "gone_meanwhile"]

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class EnvironmentMaker:
    """Makes and removes what `CreatedEnvironments` keeps, one task for each preparation.

    Used by the registry alone, on one event loop.

    Parameters
    ----------
    store : CreatedEnvironments
    usage : Usage
    furnish : callable
        Makes the environment's object of its record, folder and recipe, as configured.
    changed : callable
        Called when an environment has begun, ended or gone.
    at_once : int
        How many are made at the same time.
    timeout : float
        Seconds after which a preparation has failed.
    logger : Logger
    """

    def __init__(
        self,
        store: CreatedEnvironments,
        usage: Usage,
        furnish: Callable[[Record, Path, Recipe], VenvPythonEnvironment],
        changed: Callable[[], None],
        *,
        at_once: int,
        timeout: float,
        logger: Logger | LoggerAdapter[Any],
    ) -> None:
        self._store = store
        self._usage = usage
        self._furnish = furnish
        self._changed = changed
        self._slots = asyncio.Semaphore(at_once)
        self._timeout = timeout
        self._logger = logger
        self._made: dict[str, tuple[Record, VenvPythonEnvironment]] = {}
        self._preparations: dict[str, Preparation] = {}
        self._tasks: dict[str, asyncio.Task[Record | None]] = {}
        self._deleting: set[str] = set()
        self._stopped = False

    def environments(self) -> dict[str, VenvPythonEnvironment]:
        """Return what there is, by name, as the files say it: other servers may have made some."""
        records = sorted(self._store.records().items())
        self._made = {name: self._object(record) for name, record in records if name not in self._deleting}
        return {name: environment for name, (_, environment) in self._made.items()}

    def _object(self, record: Record) -> tuple[Record, VenvPythonEnvironment]:
        known = self._made.get(record.name)
        if known is not None and known[0] is record:
            return known
        environment = known[1] if known is not None else None
        if environment is None or environment.recipe != record.recipe:
            environment = self._furnish(record, self._store.prefix(record), record.recipe)
        environment.preparing = record.status == "preparing"
        environment.failure = record.reason if record.status == "failed" else None
        return record, environment

    def preparation(self, name: str) -> Preparation | None:
        """Return the preparation of that name, running or ended; None where it was not made here and now."""
        return self._preparations.get(name)

    async def create(self, record: Record) -> None:
        """Begin to make an environment; it is ``preparing`` when this returns.

        Raises
        ------
        InvalidRequest
            Its packages, requirements or Python cannot be right.
        Conflict
            There is one of that name, or one is made or removed here or by another server; or this
            one was deleted before it had begun.
        Unavailable
            The registry has stopped.
        """
        _ = record.recipe  # its fields are checked
        if record.name in self._tasks:
            raise Conflict(f"{record.name} is being prepared already; wait until that has ended.")
        # It would begin in the moment the old one has gone, and be taken for that.
        self._check_not_deleting(record.name)
        self._check_running()
        preparation = self._preparations[record.name] = Preparation()
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._make(record, preparation, begun), name=f"prepare {record.name}")
        self._tasks[record.name] = task
        task.add_done_callback(partial(self._over, record.name, preparation, begun))
        await asyncio.shield(begun)

    async def _make(
        self, record: Record, preparation: Preparation, begun: asyncio.Future[None]
    ) -> Record | None:
        """Make it: the task's whole life. What became of it; None where it could not even begin."""
        leases: list[Lease] = []
        try:
            await finish(lambda: leases.append(self._begin(record)))
            self._changed()
            begun.set_result(None)
            return await self._prepare(record, preparation, leases[0])
        except asyncio.CancelledError:
            if leases:
                await finish(partial(self._store.discard, record.label))
            raise
        except (ExecError, OSError) as error:
            if begun.done():
                raise
            begun.set_exception(_refusal(record.name, error))
            return None
        finally:
            for lease in leases:
                await finish(lease.release)

    def _over(
        self,
        name: str,
        preparation: Preparation,
        begun: asyncio.Future[None],
        task: asyncio.Task[Record | None],
    ) -> None:
        """Tell that it has ended, when nothing stands in the way of the next one any more."""
        self._tasks.pop(name, None)
        broken_off = f"The preparation of {name} was broken off."
        outcome = self._outcome(name, task)
        if not begun.done():
            deleted = name in self._deleting
            begun.set_exception(gone_meanwhile(name) if deleted else Unavailable(broken_off))
        try:
            self._changed()
        finally:  # whoever follows it must not wait for ever
            if outcome is None:
                self._preparations.pop(name, None)
                preparation.end("unavailable", broken_off)
            else:
                preparation.end("unavailable" if outcome.reason else "ready", outcome.reason)

    def _outcome(self, name: str, task: asyncio.Task[Record | None]) -> Record | None:
        if task.cancelled():
            return None
        error = task.exception()
        if error is None:
            return task.result()
        ours = None if isinstance(error, (ExecError, OSError)) else error  # what nobody expected is traced
        self._logger.error("The preparation of %s failed: %s", name, error, exc_info=ours)
        return None

    def _begin(self, record: Record) -> Lease:
        lease = self._store.claim(record.label)
        try:
            self._store.begin(record)
        except BaseException:
            lease.release()
            raise
        return lease

    async def _prepare(self, record: Record, preparation: Preparation, lease: Lease) -> Record:
        # It is not among those made where somebody has removed the files by hand.
        _, environment = self._made.get(record.name) or self._object(record)
        environment.keep = () if lease.descriptor is None else (lease.descriptor,)
        try:
            async with self._slots:
                await asyncio.wait_for(environment.prepare(preparation.progress), self._timeout)
            outcome = dataclasses.replace(record, status="ready")
        except Exception as error:
            outcome = dataclasses.replace(record, status="failed", reason=self._reason(record.name, error))
            self._logger.warning("%s", outcome.reason)
        finally:
            environment.keep = ()
        await finish(partial(self._record, outcome))
        return outcome

    def _record(self, outcome: Record) -> None:
        try:
            self._store.write(outcome)
        except OSError as error:
            # A full disk: without its record it counts as half-made, and so it is made anew.
            self._logger.error("The record of %s could not be written: %s", outcome.name, error)

    def _reason(self, name: str, error: Exception) -> str:
        if isinstance(error, ExecError):
            return error.message
        if isinstance(error, asyncio.TimeoutError):
            return f"{name} was not made within {self._timeout:g} seconds; create it with fewer packages."
        self._logger.error("The preparation of %s failed.", name, exc_info=error)
        return f"{name} could not be made: {error}"

    async def delete(self, name: str) -> None:
        """Remove the environment of that name; one that is being prepared is broken off.

        Raises `Conflict` where it is being removed already, or another server is at it, or uses it;
        `Unavailable` where its files cannot be removed.
        """
        self._check_not_deleting(name)
        self._deleting.add(name)
        try:
            task = self._tasks.get(name)
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
            await finish(partial(self._discard, name.partition(":")[2]))
            self._preparations.pop(name, None)
        except OSError as error:
            raise Unavailable(f"{name} could not be removed: {error}.") from error
        finally:
            self._deleting.discard(name)
        self._changed()

    def _discard(self, label: str) -> None:
        with self._store.claim(label), self._usage.removing(label):
            self._store.discard(label)

    async def stop(self) -> None:
        """Break all preparations off and wait until nothing of them is left."""
        self._stopped = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _check_running(self) -> None:
        if self._stopped:
            raise Unavailable("The server is stopping; no environment can be created.")

    def _check_not_deleting(self, name: str) -> None:
        if name in self._deleting:
            raise Conflict(f"{name} is being removed; wait until that has ended.")


def gone_meanwhile(name: str) -> Conflict:
    """Return what whoever creates an environment is told when somebody else deletes it at that moment."""
    return Conflict(f"{name} was deleted while it was being created; create it again if it is needed.")


def _refusal(name: str, error: ExecError | OSError) -> ExecError:
    if isinstance(error, OSError) and error.errno in _FULL:
        return NoSpace(f"{name} could not be created, since the disk is full: make room.")
    return error if isinstance(error, ExecError) else Unavailable(f"{name} could not be created: {error}.")
