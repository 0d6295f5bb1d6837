"""`KernelGuard`: what ends a server's kernels, and removes their connection files, where it was killed.

A killed process can do nothing any more, and the next server may never start. So a shell waits at the end of
a pipe that only the server holds; once that is closed, however the server ended, it becomes this module's
program.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ExecError
from ..lease import Lease
from .leftovers import end_leftovers

if TYPE_CHECKING:
    from .connection import Logger

__all__ = ["KernelGuard"]

# Python would take some 10 MiB of memory all along, a shell takes one.
_WAIT = 'read -r line; exec "$@"'
_MODULE = "jupyter_exec_ext.kernels.guard"
#: Seconds from the end of the pipe to that of the server, which gives up its files first; and between looks.
_SECONDS, _PAUSE = 10.0, 0.02


class KernelGuard:
    """The process that outlives a killed server for a moment. On Windows there is none.

    Parameters
    ----------
    lease : Lease
        The server's, in which its kernels are recorded.
    connections : path
        The directory of the connection files.
    logger : logging.Logger
    """

    def __init__(self, lease: Lease, connections: Path, logger: Logger) -> None:
        self._lease, self._connections, self._logger = lease, connections, logger
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ensure(self) -> None:
        """See that there is one, also where somebody has ended it."""
        with self._lock:
            if os.name != "posix" or (self._process is not None and self._process.poll() is None):
                return
            self._end()
            try:
                self._process = subprocess.Popen(
                    self._command(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    # Ctrl-C is not for it.
                    start_new_session=True,
                )
            except OSError as error:
                self._logger.warning("Nobody ends this server's kernels if it is killed: %s", error)

    def _command(self) -> list[str]:
        lease = self._lease
        folders = [str(path.absolute()) for path in (lease.root, lease.below, self._connections)]
        program = [sys.executable, "-P", "-m"] if sys.version_info >= (3, 11) else [sys.executable, "-m"]
        return ["/bin/sh", "-c", _WAIT, "sh", *program, _MODULE, str(os.getpid()), lease.id, *folders]

    def stop(self) -> None:
        """End it: this server ends its kernels itself."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.kill()
            process.wait()
            process.stdin.close()


def _main(server_pid: int, server: str, root: str, below: str, connections: str) -> None:
    until = time.monotonic() + _SECONDS
    while os.getppid() == server_pid:
        if time.monotonic() > until:
            return  # it lives, and has only closed the pipe
        time.sleep(_PAUSE)
    with contextlib.suppress(OSError, ExecError), Lease(root=root, below=below).folder_of(server) as folder:
        end_leftovers(server, folder, Path(connections), logging.getLogger(__name__))


if __name__ == "__main__":
    _main(int(sys.argv[1]), *sys.argv[2:])
