"""`JupyterClient`: kernels by their names and identifiers, over any multi-kernel manager."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async

from ..errors import EnvironmentFailed, ExecError, NotFound, UnknownEnvironment
from .connection import KernelConnection
from .connections import Connections
from .gateway import explain, is_remote
from .niceness import NICENESS, Niceness
from .request import KernelRequest
from .usage import is_connected, is_listed
from .wire import Message

if TYPE_CHECKING:
    from .connection import Logger
    from .records import KernelRecords

__all__ = ["JupyterClient"]

#: Seconds to answer an interrupt, which a gateway may need, and for kernels to end that nobody wants.
ANSWER, ENDINGS = 3.0, 10.0


class JupyterClient:
    """Lists, starts, stops, restarts and interrupts kernels, and runs code in them.

    Parameters
    ----------
    manager : jupyter_client.MultiKernelManager, optional
        The server's own, also one that goes through a gateway; else a private one, whose kernels end with
        `close`.
    sessions : jupyter_server SessionManager, optional
        Where a kernel that is started here is entered, so that JupyterLab lists it with a name.
    records : KernelRecords, optional
        Where it is recorded, so that it ends also if this server is killed.
    niceness : int
        By how much kernels that are started here are nicer than this process, as the command ``nice`` has it.

    Examples
    --------
    >>> client = JupyterClient()
    >>> kernel_id = await client.start("python3")
    >>> request = await client.execute(kernel_id, "print(6 * 7)", print)
    >>> reply = await request.ended
    >>> await client.close()
    """

    def __init__(
        self,
        manager: Any = None,
        *,
        sessions: Any = None,
        logger: Logger | None = None,
        records: KernelRecords | None = None,
        niceness: int = NICENESS,
    ) -> None:
        self._private = manager is None
        self._multi = manager if manager is not None else _private_manager()
        self._sessions, self._records = sessions, records
        self._logger: Logger = logger or logging.getLogger(__name__)
        self._connections = Connections(self._multi, self._logger)
        self._niceness = Niceness(niceness)
        self._session_of: dict[str, str] = {}
        self._unwanted: set[asyncio.Future[None]] = set()

    # -- kernels -----------------------------------------------------------------------------------

    @property
    def remote(self) -> bool:
        """Whether the kernels are behind a gateway."""
        return is_remote(self._multi)

    @property
    def spec_manager(self) -> Any:
        """The manager's own manager of kernelspecs."""
        return self._multi.kernel_spec_manager

    async def specs(self) -> dict[str, dict[str, Any]]:
        """What can be started: kernelspecs by name, each with its ``spec`` and ``resource_dir``."""
        found = await ensure_async(self.spec_manager.get_all_specs())
        return dict(found)

    async def list(self) -> list[dict[str, Any]]:
        """The kernels that there are: ``id``, ``name`` and what else the manager says of each."""
        if hasattr(self._multi, "list_kernels"):
            return list(await ensure_async(self._multi.list_kernels()))
        kernels = ((id, self._multi.get_kernel(id)) for id in self._multi.list_kernel_ids())
        return [{"id": id, "name": kernel.kernel_name} for id, kernel in kernels]

    async def start(
        self,
        name: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        title: str | None = None,
        path: str = "",
        listed: bool = True,
    ) -> str:
        """Start a kernel and return its identifier; `execute` waits until it is ready.

        Parameters
        ----------
        name : str
            Of the kernelspec.
        cwd : str, optional
            The directory in which it starts.
        env : mapping, optional
            All its environment variables; else the server's own.
        title, path : str
            How JupyterLab's list of running sessions calls it, and where it belongs.
        listed : bool
            Whether it is in that list from the start; else `enter` enters it.

        Raises
        ------
        UnknownEnvironment
            There is no such kernelspec.
        EnvironmentFailed
            It could not be started.
        """
        options: dict[str, Any] = {"kernel_name": name}
        options |= {key: value for key, value in (("cwd", cwd), ("env", env)) if value is not None}
        title = (title or name) if listed else None
        starting = asyncio.ensure_future(self._start(options, title, path))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # To break it off would leave the manager with a kernel that it cannot shut down: when the server
            # stops, it would fail on this one and leave all others.
            unwanted = asyncio.ensure_future(self._discard(starting))
            self._unwanted.add(unwanted)
            unwanted.add_done_callback(self._unwanted.discard)
            raise

    async def _start(self, options: dict[str, Any], title: str | None, path: str) -> str:
        if self._records is not None:
            options |= await self._records.begin(options.get("env"))
        try:
            kernel_id = await self._launch(options)
        except ExecError:
            if self._records is not None:
                await self._records.end(options["kernel_id"])
            raise
        self._niceness.begin(kernel_id, self._multi.get_kernel(kernel_id))
        if title is not None:
            await self.enter(kernel_id, title, path)
        return kernel_id

    async def _launch(self, options: dict[str, Any]) -> str:
        from jupyter_client.kernelspec import NoSuchKernel

        name = options["kernel_name"]
        try:
            return str(await ensure_async(self._multi.start_kernel(**options)))
        except NoSuchKernel:
            raise UnknownEnvironment(f"There is no kernel {name!r} here.", field="environment") from None
        except Exception as error:
            raise EnvironmentFailed(f"The kernel {name} could not be started: {self._why(error)}.") from error

    async def _discard(self, starting: asyncio.Future[str]) -> None:
        """End a kernel that nobody waits for any more, once it has started."""
        try:
            await self.stop(await starting, now=True)
        except ExecError as error:
            self._logger.warning("A kernel whose start was broken off: %s", error)

    async def enter(self, kernel_id: str, title: str, path: str = "") -> None:
        """Enter a kernel into JupyterLab's list of running sessions, where there is one."""
        if self._sessions is None:
            return
        try:  # JupyterLab opens a console on one of this type; two sessions may not have one path
            model = await self._sessions.create_session(
                path=f"{path or 'exec'}-{kernel_id}", name=title, type="console", kernel_id=kernel_id
            )
            self._session_of[kernel_id] = model["id"]
        except Exception:
            self._logger.warning("Kernel %s could not be listed as a session.", kernel_id, exc_info=True)

    async def stop(self, kernel_id: str, *, now: bool = False) -> None:
        """Shut a kernel down; nothing happens where it is gone already."""
        await self.disconnect(kernel_id)
        if kernel_id in self._multi:
            try:
                with contextlib.suppress(KeyError):
                    await ensure_async(self._multi.shutdown_kernel(kernel_id, now=now))
            except Exception as error:
                raise EnvironmentFailed(
                    f"The kernel {kernel_id} could not be shut down: {self._why(error)}."
                ) from error
        await self._connections.end(kernel_id)  # nothing is kept of it, now that it is gone
        # After the kernel: a session whose kernel is gone leaves the list by itself when it is read.
        await self._leave(kernel_id)

    async def _leave(self, kernel_id: str) -> None:
        self._niceness.forget(kernel_id)
        session = self._session_of.pop(kernel_id, None)
        if session is not None:
            with contextlib.suppress(Exception):
                await self._sessions.get_session(session_id=session)
        if self._records is not None:
            await self._records.end(kernel_id)

    async def restart(self, kernel_id: str, *, now: bool = False) -> None:
        """Restart a kernel; its connection is made anew with the next request.

        With `now` it is killed, and not asked first. Raises `NotFound`, and `EnvironmentFailed` where it
        does not start again.
        """
        self._check(kernel_id)
        await self.disconnect(kernel_id)
        try:
            await ensure_async(self._multi.restart_kernel(kernel_id, now=now))
        except Exception as error:
            raise EnvironmentFailed(f"The kernel could not be restarted: {self._why(error)}.") from error

    async def interrupt(self, kernel_id: str) -> None:
        """Interrupt what a kernel does. Raises `NotFound`."""
        self._check(kernel_id)
        try:
            await asyncio.wait_for(ensure_async(self._multi.interrupt_kernel(kernel_id)), ANSWER)
        except Exception as error:
            raise EnvironmentFailed(f"The kernel could not be interrupted: {self._why(error)}.") from error

    def _why(self, error: BaseException) -> str:
        return explain(error) if self.remote else str(error).rstrip(".") or type(error).__name__

    def name_of(self, kernel_id: str) -> str:
        """The name of a kernel's kernelspec. Raises `NotFound`."""
        self._check(kernel_id)
        return str(self._multi.get_kernel(kernel_id).kernel_name)

    def kernel(self, kernel_id: str) -> Any:
        """The manager's manager of one kernel. Raises `NotFound`."""
        self._check(kernel_id)
        return self._multi.get_kernel(kernel_id)

    def has(self, kernel_id: str) -> bool:
        """Whether there is such a kernel."""
        return kernel_id in self._multi

    async def in_use(self, kernel_id: str) -> bool:
        """Whether somebody else uses a kernel: is connected to it, lists it, or has run something in it."""
        known = self._connections.known(kernel_id)
        touched = is_connected(self._multi, kernel_id) or (known is not None and known.work.others.seen)
        return touched or await is_listed(self._sessions, kernel_id)

    def _check(self, kernel_id: str) -> None:
        if kernel_id not in self._multi:
            raise NotFound(f"There is no kernel {kernel_id[:64]!r}; it may have been shut down.")

    # -- code --------------------------------------------------------------------------------------

    async def execute(
        self, kernel_id: str, code: str, take: Callable[[Message], None], **options: Any
    ) -> KernelRequest:
        """Run code in a kernel: see `KernelConnection.execute`; its end is the request's ``ended``."""
        return await (await self.connect(kernel_id)).execute(code, take, **options)

    async def connect(self, kernel_id: str, *, seconds: float = 60.0) -> KernelConnection:
        """The connection to a kernel, made where there is none.

        Raises `NotFound`, and `EnvironmentFailed` where the kernel does not answer.
        """
        self._niceness.renew(kernel_id, self.kernel(kernel_id))
        try:
            return await self._connections.get(kernel_id, seconds)
        except NotFound:  # a gateway has ended it
            self._multi.remove_kernel(kernel_id)
            await self._leave(kernel_id)
            raise

    async def disconnect(self, kernel_id: str) -> None:
        """End the connection to a kernel, which goes on."""
        await self._connections.end(kernel_id)

    async def close(self) -> None:
        """End the connections, and the kernels of a private manager."""
        self._niceness.close()
        if self._unwanted:
            await asyncio.wait(self._unwanted, timeout=ENDINGS)
        await self._connections.close()
        if self._private:
            await ensure_async(self._multi.shutdown_all(now=True))
        self._connections.destroy()


def _private_manager() -> Any:
    from jupyter_client.multikernelmanager import AsyncMultiKernelManager

    return AsyncMultiKernelManager()
