"""`KernelPool`: kernels that are started ahead, so that an execution gets a fresh one at once."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async
from traitlets import Float, Int, Unicode
from traitlets import List as ListTrait
from traitlets.config import LoggingConfigurable

from ..environments.kernel import KernelEnvironment
from ..errors import UnknownEnvironment
from .maker import START_SECONDS, KernelMaker
from .move import SHADOWED, hand_over, starts_again_in
from .shelf import ReadyKernel, Shelf, process_of

if TYPE_CHECKING:
    from ..environments.base import PythonEnvironment
    from .client import JupyterClient

__all__ = ["KernelPool"]

#: Seconds from a taking to the start of the next kernel: what the taken one is to do goes first.
REFILL_PAUSE = 0.25
#: Seconds in which a ready kernel must answer when it is taken; a fresh one takes about as long.
TAKE_SECONDS = 2.0
#: Seconds between looks at what is ready, at most.
LOOK = 15.0

_GONE = "it died, or somebody has ended or restarted it"


class KernelPool(LoggingConfigurable):
    """Ready kernels, by environment: taken by executors, refilled behind them.

    A kernel is ready once it has answered, has run what every kernel runs first, and has been warmed.
    All start in the server's root directory. One of IPython is moved to the directory in which it is
    wanted; others are of use in the root only. None is listed as a session before it is taken.

    Parameters
    ----------
    client : JupyterClient
    find : callable
        Returns the environment of a name, where it is there and allowed; raises `ExecError`.
    folder : path
        The server's root directory.
    """

    ready_per_environment = Int(
        1, min=0, help="How many kernels are kept ready for each environment that has been used; 0: none."
    ).tag(config=True)
    max_ready = Int(
        8, min=0, help="How many ready kernels there may be, those that are being started included."
    ).tag(config=True)
    idle_seconds = Float(
        900.0,
        min=0.0,
        help="End the ready kernels of an environment that nobody has used for so many seconds; 0: never.",
    ).tag(config=True)
    start_at_once = ListTrait(
        Unicode(), help='Names of kernels that are made ready when the server starts: ["python3"].'
    ).tag(config=True)

    def __init__(
        self,
        *,
        client: JupyterClient,
        find: Callable[[str], PythonEnvironment],
        folder: str | os.PathLike[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.client = client
        self.folder = Path(folder).expanduser().resolve()
        self._find = find
        self._shelves: dict[str, Shelf] = {}
        self._maker = KernelMaker(client, self.folder, self.log)
        self._looking: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def ready(self) -> dict[str, int]:
        """How many kernels are ready, by the name of their environment."""
        return {name: len(shelf.ready) for name, shelf in self._shelves.items()}

    async def start(self) -> None:
        """Make ready what the configuration names, in the background, and look after what is ready."""
        self._looking = asyncio.create_task(self._look_after())
        for name in self.start_at_once:
            self.refill(f"kernel:{name}")

    async def stop(self) -> None:
        """End all that are ready or being started. May be called twice."""
        self._stopping = True
        fillings = [shelf.filling for shelf in self._shelves.values()]
        tasks = [task for task in (self._looking, *fillings) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for shelf in self._shelves.values():
            self._clear(shelf, "the server stops", used=True)
        await self._maker.settle()

    # -- taking ----------------------------------------------------------------------------------------

    async def take(self, environment: KernelEnvironment, folder: Path) -> str | None:
        """The identifier of a kernel that is like one just started in that folder; None where there is none.

        It is the caller's from then on, who calls `refill` when it is no longer in the way.
        """
        shelf = self._shelves.get(environment.name)
        if shelf is None or not (folder == self.folder or environment.is_ipython):
            return None
        variables = await asyncio.to_thread(environment.variables)
        while shelf.ready and not self._stopping:
            kernel = shelf.ready.popleft()
            if not kernel.fits(environment, variables):
                self._maker.end(kernel, "its environment has changed")
                continue
            reason = await self._try(kernel, folder)
            if not reason:
                shelf.succeeded()
                return kernel.id
            if reason == SHADOWED:  # all of them would say so
                shelf.ready.appendleft(kernel)
                return None
            self._maker.end(kernel, reason)
        return None

    def give_up(self, kernel_id: str) -> None:
        """Leave a kernel to whoever has attached to it, if it is one of these."""
        for shelf in self._shelves.values():
            for kernel in [one for one in shelf.ready if one.id == kernel_id]:
                shelf.ready.remove(kernel)

    async def _try(self, kernel: ReadyKernel, folder: Path) -> str:
        """Hand a kernel over; returns why it is not handed over, or ""."""
        try:
            return await asyncio.wait_for(self._hand_over(kernel, folder), TAKE_SECONDS)
        except asyncio.TimeoutError:
            return "it did not answer"
        except Exception as error:
            return str(error) or type(error).__name__
        except BaseException:
            self._maker.end(kernel, "the taking was broken off")
            raise

    async def _hand_over(self, kernel: ReadyKernel, folder: Path) -> str:
        if not await self._well(kernel):
            return _GONE
        if await self.client.in_use(kernel.id):
            return "somebody uses it"
        if not kernel.environment.is_ipython:
            return ""
        if folder != self.folder and not starts_again_in(self.client.kernel(kernel.id), folder):
            return SHADOWED
        reason = await hand_over(await self.client.connect(kernel.id), self.folder, folder)
        if reason == SHADOWED:
            starts_again_in(self.client.kernel(kernel.id), self.folder)
        return reason

    async def _well(self, kernel: ReadyKernel) -> bool:
        """Whether it is there, and still the process that was made ready."""
        if not self.client.has(kernel.id):
            return False
        manager = self.client.kernel(kernel.id)
        return bool(await ensure_async(manager.is_alive())) and process_of(manager) == kernel.process

    # -- refilling -------------------------------------------------------------------------------------

    def refill(self, name: str) -> None:
        """Note that an environment is in use, and start in the background what is missing of it."""
        if self._stopping or not (self.ready_per_environment and self.max_ready):
            return
        shelf = self._shelves.setdefault(name, Shelf())
        shelf.used = time.monotonic()
        if shelf.filling is None or shelf.filling.done():
            shelf.filling = asyncio.create_task(self._fill(name, shelf))

    async def _fill(self, name: str, shelf: Shelf) -> None:
        await asyncio.sleep(REFILL_PAUSE)
        while len(shelf.ready) < self.ready_per_environment and not shelf.resting and self._room(shelf):
            # Between the look for room and this nothing is awaited, so that the bound holds.
            shelf.starting = True
            try:
                shelf.ready.append(await self._make(name))
            except UnknownEnvironment:
                self._clear(shelf, "its environment is gone or not allowed any more")
                return
            except Exception as error:
                self.log.warning(
                    "No kernel of %s could be made ready; the next is tried in %g s at the earliest: %s",
                    name,
                    shelf.failed(),
                    str(error) or f"it was not ready within {START_SECONDS:g} s",
                )
            finally:
                shelf.starting = False

    def _room(self, shelf: Shelf) -> bool:
        """Whether one more may be started; those that were used least lately make room."""
        if sum(other.count for other in self._shelves.values()) < self.max_ready:
            return True
        others = [other for other in self._shelves.values() if other.ready and other.used < shelf.used]
        if not others:
            return False
        least = min(others, key=lambda other: other.used)
        self._maker.end(least.ready.popleft(), "another environment is in use, and there may be no more")
        return True

    async def _make(self, name: str) -> ReadyKernel:
        environment = self._find(name)
        if not isinstance(environment, KernelEnvironment):
            raise UnknownEnvironment(f"{name} is no kernel.")
        return await self._maker.make(environment)

    # -- their end -------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        """End what nobody uses, and notice what somebody else has ended."""
        while True:
            await asyncio.sleep(min(LOOK, self.idle_seconds / 2) or LOOK)
            for shelf in list(self._shelves.values()):
                if self.idle_seconds and shelf.idle_seconds > self.idle_seconds:
                    self._clear(shelf, "nobody has used its environment for long")
                for kernel in list(shelf.ready):
                    await self._look_at(shelf, kernel)

    async def _look_at(self, shelf: Shelf, kernel: ReadyKernel) -> None:
        try:
            well = await self._well(kernel)
        except Exception as error:
            self.log.debug("Kernel %s of the pool could not be looked at: %s", kernel.id, error)
            return
        if well and not await self.client.in_use(kernel.id):
            return
        if kernel in shelf.ready:  # it may have been taken meanwhile
            shelf.ready.remove(kernel)
            if not well:
                shelf.failed()
            self._maker.end(kernel, _GONE)

    def _clear(self, shelf: Shelf, reason: str, *, used: bool = False) -> None:
        while shelf.ready:
            self._maker.end(shelf.ready.popleft(), reason, used=used)
