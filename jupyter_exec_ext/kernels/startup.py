"""What a kernel of IPython is given before its first cell: see `furnish`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..environments.kernel import KernelEnvironment
    from .connection import KernelConnection

__all__ = ["furnish", "startup_code", "warm"]

# A thread prints for the cell that started it, also once another one runs: ipykernel finds the cell in a
# context variable, which threads have inherited by themselves only since Python 3.14. The context is
# entered below `run`, so that no traceback shows it.
_THREADS = """
def _start():
    import contextvars, functools, sys, threading
    if getattr(sys.flags, "thread_inherit_context", False):
        return
    plain = threading.Thread.start
    @functools.wraps(plain)
    def start(self):
        if not self._started.is_set():
            self._bootstrap_inner = functools.partial(contextvars.copy_context().run, self._bootstrap_inner)
        return plain(self)
    threading.Thread.start = start
try:
    _start()
finally:
    del _start
"""

# A PUB socket drops what is more than this many messages ahead of whoever reads, 1,000 by default: fewer than
# a cell can print on a busy machine before the thread that sends gets its turn.
_MESSAGES = """
def _messages():
    import zmq
    thread = get_ipython().kernel.iopub_thread
    thread.schedule(lambda: thread.socket.setsockopt(zmq.SNDHWM, 200000))
try:
    _messages()
except Exception:
    pass
finally:
    del _messages
"""

# Whatever a module raises, the kernel goes on without it.
_PRELOAD = """
def _preload(names):
    import importlib
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException:
            pass
_preload({names!r})
del _preload
"""

# A gateway starts its kernels wherever it likes; with a file system that it shares, there is a better place.
_FOLDER = """
def _go(folder):
    import os
    try:
        os.chdir(folder)
    except OSError:
        pass
_go({folder!r})
del _go
"""


def startup_code(preload: Iterable[str] = (), *, folder: str | None = None) -> str:
    """The code that runs, silently, in a new kernel of IPython.

    Parameters
    ----------
    preload : iterable of str
        Modules to import, so that the first cell need not.
    folder : str, optional
        The working directory to change to, if there is such a one where the kernel runs.
    """
    names = list(preload)
    place = "" if folder is None else _FOLDER.format(folder=folder)
    return _THREADS + _MESSAGES + place + (_PRELOAD.format(names=names) if names else "")


async def furnish(
    connection: KernelConnection, environment: KernelEnvironment, *, folder: str | None = None
) -> None:
    """Prepare a kernel that has just started; one that is not IPython's stays as it is.

    `folder` as in `startup_code`. Raises `ExecError` where it goes away meanwhile.
    """
    if environment.is_ipython:
        code = startup_code(environment.preload, folder=folder)
        request = await connection.execute(code, lambda message: None, silent=True, store_history=False)
        await request.ended


async def warm(connection: KernelConnection, environment: KernelEnvironment) -> None:
    """Let a furnished kernel of IPython do once what its first cell would have to wait for.

    Another kernel's is not touched: not all know what ``silent`` means.
    """
    if environment.is_ipython:
        request = await connection.execute("", lambda message: None, silent=True, store_history=False)
        await request.ended
