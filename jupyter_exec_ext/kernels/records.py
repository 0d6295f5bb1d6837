"""`KernelRecords`: which kernels this server has started, for others to know if it is killed."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ExecError
from .guard import KernelGuard
from .leftovers import KERNEL, MARK, end_started_by

if TYPE_CHECKING:
    from ..lease import Lease
    from .connection import Logger

__all__ = ["KernelRecords", "connection_folder", "records_for"]


class KernelRecords:
    """An empty file in the server's lease for each kernel, and a variable in the kernel's environment.

    The file is named after the kernel, and written before there is one: whenever the server is killed, its
    guard knows, and where that was killed, too, the next server. Processes are known by the variable, which
    only their parent can have given them, and which is the same when somebody else has restarted the kernel;
    so no file that a block writes there can make anybody take another process for one of these.

    Parameters
    ----------
    lease : Lease
        Held as long as kernels are started.
    logger : logging.Logger
    guard : KernelGuard
        Ends them where the server cannot.
    """

    def __init__(self, lease: Lease, logger: Logger, guard: KernelGuard) -> None:
        self._lease, self._logger, self._guard = lease, logger, guard

    async def begin(self, env: Mapping[str, str] | None) -> dict[str, Any]:
        """Record a kernel that is about to start, and return what it is to be started with.

        Parameters
        ----------
        env : mapping, optional
            The variables it would have; else the server's own.
        """
        kernel_id = str(uuid.uuid4())
        await asyncio.to_thread(self._write, kernel_id)
        variables = os.environ if env is None else env
        marks = {MARK: f"{self._lease.id}:{os.getpid()}", KERNEL: kernel_id}
        return {"kernel_id": kernel_id, "env": {**variables, **marks}}

    async def end(self, kernel_id: str) -> None:
        """Forget a kernel that is gone, and end what it has left."""
        await asyncio.to_thread(end_started_by, kernel_id, self._logger)
        await asyncio.to_thread(self._remove, kernel_id)

    def stop(self) -> None:
        """No kernel is left that would have to be ended."""
        self._guard.stop()

    def _write(self, kernel_id: str) -> None:
        self._guard.ensure()
        try:
            with self._lease.kernels(make=True) as folder:
                os.close(folder.open_file(kernel_id, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except (OSError, ExecError) as error:
            # A full disk is no reason to have no kernel: one of IPython ends by itself without its server.
            self._logger.warning("Kernel %s is not recorded: %s", kernel_id, error)

    def _remove(self, kernel_id: str) -> None:
        try:
            with self._lease.kernels() as folder:
                folder.remove(kernel_id)
        except (OSError, ExecError):
            pass  # it goes with the lease


def records_for(manager: Any, lease: Lease, logger: Logger) -> KernelRecords | None:
    """The records of a manager's kernels; None where these run behind a gateway, whose matter they are."""
    if hasattr(manager, "kernels_url"):
        return None
    return KernelRecords(lease, logger, KernelGuard(lease, connection_folder(manager), logger))


def connection_folder(manager: Any) -> Path:
    """Where the connection files of a manager's kernels are."""
    from jupyter_core.paths import jupyter_runtime_dir

    return Path(getattr(manager, "connection_dir", "") or jupyter_runtime_dir())
