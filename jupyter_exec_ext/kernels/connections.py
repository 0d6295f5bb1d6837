"""`Connections`: one connection to each kernel, made when it is needed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from ..errors import ExecError
from ..models import new_id
from .connection import KernelConnection
from .gateway import is_remote

if TYPE_CHECKING:
    from .connection import Logger

__all__ = ["Connections"]


class Connections:
    """The connections to the kernels of a multi-kernel manager.

    Parameters
    ----------
    multi : jupyter_client.MultiKernelManager
    logger : logging.Logger
    """

    def __init__(self, multi: Any, logger: Logger) -> None:
        self._multi, self._logger = multi, logger
        self._made: dict[str, KernelConnection] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._context: Any = None

    async def get(self, kernel_id: str, seconds: float) -> KernelConnection:
        """The connection to a kernel, made where there is none.

        Raises `EnvironmentFailed` where the kernel does not answer in that time, and `NotFound` where a
        gateway has ended it.
        """
        async with self._locks.setdefault(kernel_id, asyncio.Lock()):
            known = self._made.get(kernel_id)
            if known is not None:
                await known.verify()
                if known.alive:
                    return known
            await self._drop(kernel_id)
            made = KernelConnection(
                kernel_id, lambda: self._multi.get_kernel(kernel_id), self._make_client, self._logger
            )
            await made.open(seconds)
            self._made[kernel_id] = made
            return made

    def known(self, kernel_id: str) -> KernelConnection | None:
        """The connection to a kernel, where there is one, whatever its state."""
        return self._made.get(kernel_id)

    async def end(self, kernel_id: str) -> None:
        """End the connection to a kernel, which goes on."""
        async with self._locks.setdefault(kernel_id, asyncio.Lock()):
            await self._drop(kernel_id)
        if kernel_id not in self._multi:
            self._locks.pop(kernel_id, None)

    async def _drop(self, kernel_id: str) -> None:
        known = self._made.pop(kernel_id, None)
        if known is not None:
            await known.close()

    def _make_client(self, manager: Any) -> Any:
        # An identity of its own: with that of the manager's other clients, one of the two would hear nothing.
        session = manager.session.clone()
        session.session = new_id()
        options = {"session": session}
        if not is_remote(manager):  # a gateway's client has no sockets
            options["context"] = self._sockets()
        return manager.client(**options)

    def _sockets(self) -> Any:
        import zmq.asyncio

        if self._context is None:
            self._context = zmq.asyncio.Context()
            # A kernel that has broken its sockets can be sent nothing: that is an error, not a wait for ever.
            self._context.setsockopt(zmq.SNDTIMEO, 0)
            # Without a mark: a kernel drops what finds no room, and what is kept is bounded further on.
            self._context.setsockopt(zmq.RCVHWM, 0)
        return self._context

    async def close(self) -> None:
        """End all of them."""
        for kernel_id in list(self._made):
            with contextlib.suppress(ExecError):
                await self.end(kernel_id)

    def destroy(self) -> None:
        """Give up the sockets' own resources, once there are no kernels any more."""
        if self._context is not None:
            self._context.destroy(linger=0)
            self._context = None
