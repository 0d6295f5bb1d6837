"""`Instance`: a session's executor; made when it is needed, replaced when it has died, and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..errors import EnvironmentFailed, ExecError, SessionLost, by_system
from ..executors.base import CodeExecutor
from .deadlines import GivenUp, Patience, within

if TYPE_CHECKING:
    from .execution import Logger

__all__ = ["HasFiles", "Instance"]


@runtime_checkable
class HasFiles(Protocol):
    """An executor whose workspace can be read and written."""

    async def list_files(self) -> tuple[list[dict[str, Any]], bool]:
        """Files (``path``, ``type``, ``size``, ``modified``), and whether there are more than these."""

    def read_file(self, path: str) -> AsyncIterator[bytes]:
        """The contents of a file, piece by piece."""

    async def write_file(self, path: str, chunks: AsyncIterator[bytes]) -> None:
        """Make or replace a file."""

    async def delete_file(self, path: str) -> None:
        """Remove a file."""


class Instance:
    """The executor of one session, one at a time.

    Every call ends in bounded time, whatever the executor does.

    Parameters
    ----------
    environment : str
        Its name, for messages.
    make : callable
        Makes a new executor; may raise what `EnvironmentRegistry.get` raises.
    patience : Patience
    logger : logging.Logger
    """

    def __init__(
        self, environment: str, make: Callable[[], CodeExecutor], patience: Patience, logger: Logger
    ) -> None:
        self._environment = environment
        self._make = make
        self._patience = patience
        self._logger = logger
        self._executor: CodeExecutor | None = None
        self._lock = asyncio.Lock()
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def alive(self) -> bool:
        """Whether there is an executor that can take a run."""
        try:
            return self._executor is not None and bool(self._executor.alive)
        except Exception:
            self._logger.exception("An executor of %s does not know whether it is alive.", self._environment)
            return False

    @property
    def kernel_id(self) -> str | None:
        """The kernel that it runs in, where it is one that does."""
        return getattr(self._executor, "kernel_id", None)

    @property
    def usable(self) -> CodeExecutor | None:
        """The executor, where it can be used at once."""
        return self._executor if self.alive and not self._lock.locked() else None

    async def ready(self) -> CodeExecutor:
        """The executor, started where there is none or where it has died.

        Raises
        ------
        EnvironmentFailed
            It could not be started.
        """
        async with self._lock:
            if self._executor is None or not self.alive:
                await self._discard()
                self._executor = await self._start()
            return self._executor

    async def ready_for_all(self) -> CodeExecutor:
        """The same; a start goes on when who waits for it does not: the next one waits for it, too."""
        start = asyncio.ensure_future(self.ready())
        start.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(start)

    async def restart(self) -> None:
        """End whatever runs and begin afresh. Raises `EnvironmentFailed` where that is not possible."""
        async with self._lock:
            executor = self._executor
            if executor is None or not self.alive:
                await self._discard()
                self._executor = await self._start()
                return
            try:
                await self._bounded(executor.restart, "restart")
            except BaseException:
                await self._discard()
                raise

    async def stop(self) -> None:
        """Stop the executor; the next `ready` makes a new one."""
        async with self._lock:
            await self._discard()

    async def close(self) -> None:
        """Stop the executor for good; a start that goes on is broken off."""
        if not self._closed.done():
            self._closed.set_result(None)
        await self.stop()

    async def _start(self) -> CodeExecutor:
        if self._closed.done():
            raise self._gone()
        try:
            executor = self._make()
        except Exception as error:
            raise self._failure("start", error) from error
        try:
            await self._bounded(executor.start, "start")
        except BaseException:
            await self._stop(executor)
            raise
        return executor

    async def _bounded(self, call: Callable[[], Coroutine[Any, Any, None]], verb: str) -> None:
        """Start or restart within the time there is for it; whatever goes wrong is an `ExecError`."""
        try:
            await within(call(), self._patience.start, until=self._closed)
        except GivenUp:
            if self._closed.done():
                raise self._gone() from None
            raise EnvironmentFailed(
                f"The environment {self._environment} did not {verb} within {self._patience.start:g} seconds."
            ) from None
        except Exception as error:
            raise self._failure(verb, error) from error

    def _failure(self, verb: str, error: Exception) -> ExecError:
        if isinstance(error, ExecError):
            return error
        if isinstance(error, OSError) and error.errno is not None:
            return by_system(f"The environment {self._environment} did not {verb}", error)
        self._logger.error("The environment %s did not %s.", self._environment, verb, exc_info=error)
        return EnvironmentFailed(
            f"The environment {self._environment} did not {verb} ({type(error).__name__}: {error})."
        )

    def _gone(self) -> SessionLost:
        return SessionLost(f"The session in {self._environment} was deleted; use another one.")

    async def _discard(self) -> None:
        if self._executor is not None:
            await self._stop(self._executor)  # where that is broken off, it is still ours
            self._executor = None

    async def _stop(self, executor: CodeExecutor) -> None:
        try:
            await within(executor.stop(), self._patience.stop)
        except GivenUp:
            self._logger.warning(
                "The environment %s did not stop within %g seconds; something of it may be left.",
                self._environment,
                self._patience.stop,
            )
        except Exception:
            self._logger.exception("The environment %s did not stop cleanly.", self._environment)
