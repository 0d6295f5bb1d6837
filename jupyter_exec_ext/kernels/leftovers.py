"""What a killed server has left of its kernels: processes and connection files, and their end.

A kernel of IPython ends by itself when its server is gone, but not always what it has started, and its
connection file stays; other kernels may do neither.
"""

from __future__ import annotations

import contextlib
import re
import stat
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from ..folders import Folder
from ..pathfolder import open_folder

if TYPE_CHECKING:
    from .connection import Logger

__all__ = ["KERNEL", "MARK", "end_leftovers", "end_started_by"]

#: The environment variable of a kernel that says whose it is: the server's lease, a colon, its process id.
#: What a kernel starts inherits it.
MARK = "JUPYTER_EXEC_SERVER"
#: And the one that says which kernel it is.
KERNEL = "JUPYTER_EXEC_KERNEL"
#: Seconds in which what was killed must be gone; what is left then hangs in the system itself.
_SECONDS, _PAUSE = 2.0, 0.05
#: Seconds that what a kernel has started has to end by itself. What a dead server has left gets none: who
#: would have read its last words is dead.
_GRACE = 0.5
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_RECORD = re.compile(_ID)
_IN_USE = re.compile(rf"kernel-({_ID})\.json")
#: A connection file, and the sockets of a kernel that uses files for them.
_FILE = re.compile(rf"kernel-({_ID})(?:\.json|-ipc-\d+)")
_MARKED = re.compile(r"(.+):(\d{1,10})")


def end_leftovers(server: str, folder: Folder, connections: Path, logger: Logger) -> None:
    """End the kernels that a dead server has left, and remove their connection files.

    Parameters
    ----------
    server : str
        The identifier of its lease.
    folder : Folder
        The lease's directory; its contents are not trusted.
    connections : path
        The directory of the connection files.
    logger : logging.Logger
        Is told what went wrong: it keeps no server from starting.
    """
    try:
        with folder.child("kernels") as records:
            kernels = set(filter(_RECORD.fullmatch, records.names()))
    except OSError:  # it has started none
        return
    if not kernels:
        return
    try:
        _end_processes(partial(_is_left_by, server))
        _remove_files(kernels, connections)
    except Exception as error:
        logger.warning("Something of a killed server's kernels may be left: %s", error, exc_info=True)


def end_started_by(kernel: str, logger: Logger) -> None:
    """End what a kernel that is gone has started, also in sessions of their own."""
    try:
        _end_processes(lambda process: process.environ().get(KERNEL) == kernel, grace=_GRACE)
    except Exception as error:
        logger.warning("Something that kernel %s has started may be left: %s", kernel, error, exc_info=True)


def _end_processes(is_left: Callable[[psutil.Process], bool], *, grace: float = 0.0) -> None:
    """Ask, and after `grace` seconds kill, until nothing is left: one may have started another meanwhile."""
    began, asked = time.monotonic(), set()
    while (left := _found(is_left)) and (passed := time.monotonic() - began) < grace + _SECONDS:
        for process in left:
            with contextlib.suppress(psutil.Error):
                if passed >= grace:
                    process.kill()
                elif process not in asked:
                    process.terminate()
        asked.update(left)
        time.sleep(_PAUSE)


def _found(is_left: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """Those of which that is true, and what they have started."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # another user's, or gone
            if is_left(process):
                found.add(process)
    for process in list(found):
        with contextlib.suppress(psutil.Error):
            found.update(process.children(recursive=True))  # also with another environment
    here = psutil.Process()
    spared = {here}
    if is_left(here):  # this server was started in a cell of such a kernel
        spared.update(here.children(recursive=True))
    return [process for process in found - spared if _is_living(process)]


def _is_left_by(server: str, process: psutil.Process) -> bool:
    mark = _MARKED.fullmatch(process.environ().get(MARK, ""))
    return mark is not None and mark[1] == server and not _started_by(int(mark[2]), process)


def _started_by(server: int, process: psutil.Process) -> bool:
    """Whether the server lives after all: a block may have put its lease out of the way."""
    try:
        found = psutil.Process(server)
        return _is_living(found) and found.create_time() <= process.create_time()
    except psutil.Error:
        return False


def _is_living(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _remove_files(kernels: set[str], connections: Path) -> None:
    """Remove what bears the kernels' names, no process uses, and is neither a link nor a directory."""
    unused = kernels - set(_in_use())
    with open_folder(connections) as folder:
        for name in folder.names():
            match = _FILE.fullmatch(name)
            if match is not None and match[1] in unused:
                with contextlib.suppress(OSError):
                    mode = folder.stat(name).st_mode
                    if stat.S_ISREG(mode) or stat.S_ISSOCK(mode):
                        folder.remove(name)


def _in_use() -> Iterable[str]:
    """The kernels whose connection files are on a living process's command line."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            yield from _IN_USE.findall(" ".join(process.cmdline()))
