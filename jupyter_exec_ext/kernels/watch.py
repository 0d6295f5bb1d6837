"""`Watch`: whether a kernel that works on something is still there, and still the same."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import Any

from jupyter_core.utils import ensure_async

from ..errors import ExecError, KernelDied, SessionLost
from .gateway import is_remote, is_there
from .shelf import process_of

__all__ = ["RESTARTED", "Watch", "manner", "signal_name"]

#: Seconds between looks, and between questions to the kernel itself, or to a gateway that answers.
LOOK, ASK = 0.25, 1.0
#: Seconds that a look may take, and after which a gateway that neither answers nor sends anything is lost.
PATIENCE, SILENCE = 1.5, 4.0

GONE = "The kernel was shut down while this ran; what it had printed is kept."
ENDED = "The kernel was shut down or restarted by somebody else while this ran; what it had printed is kept."
SILENT = "The gateway has not answered for some seconds; what had been printed is kept."
RESTARTED = "The kernel was restarted by somebody else while this ran; what it had printed is kept."


class Watch:
    """Looks after a kernel while something is asked of it, and is quiet otherwise.

    Parameters
    ----------
    manager : callable
        Returns the kernel's manager; raises once there is none.
    ask : callable
        Asks the kernel who it is; the answer comes to `heard`.
    """

    def __init__(self, manager: Callable[[], Any], ask: Callable[[], object]) -> None:
        self._manager, self._ask = manager, ask
        self._task: asyncio.Task[None] | None = None
        self._kernel = ""
        self._process: object = None
        self._restarted = False
        self._answered = time.monotonic()
        #: Set when the kernel has told that it ends, since somebody has asked it to.
        self.told = asyncio.Event()

    @property
    def remote(self) -> bool:
        """Whether the kernel is behind a gateway."""
        return is_remote(self._manager_or_none())

    @property
    def kernel(self) -> str:
        """What the kernel's process calls itself in its messages; "" where it has said nothing yet."""
        return self._kernel

    @property
    def silence(self) -> float:
        """Seconds since it was last known that the kernel is there."""
        return time.monotonic() - self._answered

    @property
    def idle(self) -> bool:
        """Whether it looks after nothing."""
        return self._task is None or self._task.done()

    @property
    def replaced(self) -> bool:
        """Whether the kernel is another process than at `begin`; of a gateway's nobody knows."""
        return process_of(self._manager_or_none()) not in (None, self._process)

    def begin(self) -> None:
        """Note which process the kernel is now."""
        self._process = process_of(self._manager_or_none())

    def start(self, pending: Callable[[], bool], fail: Callable[[ExecError], Awaitable[None]]) -> None:
        """Look until nothing is pending; say what has become of the kernel where it is gone."""
        self._restarted = False  # what was before this is nobody's loss
        self._task = asyncio.create_task(self._look(pending, fail))

    def stop(self) -> None:
        """Look no further."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def heard(self, kernel: str) -> None:
        """The kernel answered; its messages bear another name once it is another process."""
        self._restarted = self._restarted or bool(self._kernel and kernel != self._kernel)
        self._kernel = kernel or self._kernel
        self._answered = time.monotonic()

    async def _look(self, pending: Callable[[], bool], fail: Callable[[ExecError], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        self._answered = time.monotonic()
        asked = loop.time()
        while pending():
            await asyncio.sleep(self._pause())
            if not pending():
                return
            try:
                await self.check_alive()
                if self._restarted or self.replaced:
                    raise SessionLost(RESTARTED)
                if loop.time() - asked > ASK:
                    self._ask()
                    asked = loop.time()
            except ExecError as error:
                await fail(error)
                return

    def _pause(self) -> float:
        healthy = self.silence < LOOK
        return ASK if healthy and self.remote else LOOK

    def _manager_or_none(self) -> Any:
        with contextlib.suppress(Exception):  # KeyError, or tornado's 404
            return self._manager()
        return None

    def doubtful(self, seconds: float) -> bool:
        """Whether it has to be asked if the kernel is there; a gateway's has not within so many seconds."""
        manager = self._manager_or_none()
        if manager is None or is_remote(manager):
            return self.silence > seconds
        process = getattr(getattr(manager, "provisioner", None), "process", None)
        return isinstance(process, subprocess.Popen) and process.poll() is not None  # at once, for each block

    def check_kept(self) -> None:
        """Raise `SessionLost` where somebody is ending the kernel, or restarting it, or has done so.

        What runs in it is interrupted first, and may then end as if nothing had happened.
        """
        manager = self._manager_or_none()
        if manager is None or getattr(manager, "shutting_down", False) or self.replaced or self.told.is_set():
            raise SessionLost(ENDED)

    async def check_alive(self) -> None:
        """Raises `KernelDied` or `SessionLost` where the kernel is not there any more."""
        manager = self._manager_or_none()
        if manager is None:
            raise SessionLost(GONE)
        remote = is_remote(manager)
        try:
            look = is_there(manager) if remote else ensure_async(manager.is_alive())
            alive = await asyncio.wait_for(look, PATIENCE)
        except Exception as error:  # a gateway's answers are whatever a proxy makes of them
            if remote and self.silence > SILENCE:
                raise SessionLost(SILENT) from error
            return
        self._answered = time.monotonic()
        if not alive:
            if remote or getattr(manager, "shutting_down", False):  # somebody ends it, or restarts it
                raise SessionLost(GONE if remote else ENDED)
            raise KernelDied(_epitaph(manager), code=_exit_code(manager))


def _exit_code(manager: Any) -> int | None:
    process = getattr(getattr(manager, "provisioner", None), "process", None)
    code = getattr(process, "returncode", None)
    return code if isinstance(code, int) else None


def _epitaph(manager: Any) -> str:
    how = manner(_exit_code(manager))
    return f"The kernel died{how}; its variables are gone, what it had printed is kept."


def manner(code: int | None) -> str:
    """How a process ended, for a sentence; "" where it is not known."""
    if code is None:
        return ""
    return f" by {signal_name(-code)}" if code < 0 else f" with exit code {code}"


def signal_name(number: int) -> str:
    """The name of a signal, or what can be said of one that has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
