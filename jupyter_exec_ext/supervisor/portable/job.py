"""What a run has started, and how to stop it: the seam to the system.

Three guarantees, the strongest there is:

``job_object``
    Windows: a job object holds the program and all it starts; nothing leaves it, and it ends with
    its handle, that is, also when this supervisor is killed (`windows.WindowsJob`).
``process_tree``
    The descendants that psutil shows at each look; on POSIX also the program's process group. A
    process that left both between two looks is missed.
``process``
    Without psutil: the group, and on Windows nothing but the program itself.

(Python 3.8, standard library only; psutil where it can be imported.)
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import IO, Any


def _psutil() -> Any:
    try:
        return importlib.import_module("psutil")
    except ImportError:
        return None


psutil = _psutil()
if sys.platform == "win32":
    #: How a program is started that can be sent Ctrl-Break.
    GROUP = subprocess.CREATE_NEW_PROCESS_GROUP
else:
    GROUP = 0

#: Seconds between two looks at the tree while a program runs.
LOOK = 0.5


def open_job(limits: dict[str, Any]) -> Job:
    """What is to hold the next run.

    Parameters
    ----------
    limits : dict
        ``memory_bytes`` and ``cpu_seconds`` hold for each process of a job object; the other
        limits, and any limit without a job object, need what only POSIX has.
    """
    if sys.platform == "win32":
        from . import windows

        kernel = windows.kernel()
        try:
            return windows.WindowsJob(kernel, limits)
        except OSError:
            pass  # a system that allows no job within the one we are in
    return TreeJob()


def guarantee() -> str:
    """What stop can promise here."""
    job = open_job({})
    try:
        return job.guarantee
    finally:
        job.close()


class Job:
    """One run's processes. Used from the main thread only."""

    guarantee = "process"
    process: subprocess.Popen[bytes]

    def start(self, argv: Sequence[str], env: dict[str, str], cwd: str, stdin: int | IO[bytes]) -> None:
        """Start the program with pipes for what it prints. Raises OSError."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """What a terminal's Ctrl-C does."""
        raise NotImplementedError

    def terminate(self) -> None:
        """Ask, or where the system knows no asking, make the program end."""
        raise NotImplementedError

    def kill(self) -> None:
        """One round of killing everything."""
        raise NotImplementedError

    @property
    def next_look(self) -> float | None:
        """When to call `look` (monotonic seconds); None where nobody has to be remembered."""
        return None

    def look(self, now: float) -> None:
        """Remember who is there, if it is time."""

    def count(self) -> int:
        """How many processes are alive."""
        raise NotImplementedError

    def usage(self) -> tuple[float, int]:
        """Seconds of processor time, and the most bytes one process had in memory."""
        raise NotImplementedError

    def close(self) -> None:
        """There is nothing more to ask."""


class TreeJob(Job):
    """The program, its process group where there are groups, and the descendants psutil shows."""

    guarantee = "process" if psutil is None else "process_tree"

    def __init__(self) -> None:
        self._seen: dict[int, Any] = {}
        self._looked = time.monotonic()
        self._rss = 0
        self._before = _times()

    def start(self, argv: Sequence[str], env: dict[str, str], cwd: str, stdin: int | IO[bytes]) -> None:
        """Start the program as the leader of a session, or of a group of the console."""
        self.process = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=sys.platform != "win32",
            creationflags=GROUP,
        )

    @property
    def next_look(self) -> float | None:
        """Every `LOOK` seconds, with psutil."""
        return None if psutil is None else self._looked + LOOK

    def look(self, now: float) -> None:
        """Remember the descendants: once their parent has ended, nobody knows whose they were."""
        if psutil is not None and now - self._looked >= LOOK:
            self._looked = now
            self._remember()

    def _remember(self) -> None:
        try:
            root = psutil.Process(self.process.pid)
            below = root.children(recursive=True)
            self._seen.update((process.pid, process) for process in [root, *below])
        except psutil.Error:
            pass  # it has ended
        for process in list(self._seen.values()):
            self._measure(process)
            self._remember_children(process)

    def _remember_children(self, process: Any) -> None:
        # Of one whose own parent has ended meanwhile.
        if process.pid == self.process.pid:
            return
        try:
            self._seen.update((child.pid, child) for child in process.children(recursive=True))
        except psutil.Error:
            pass

    def _measure(self, process: Any) -> None:
        try:
            memory = process.memory_info()
        except psutil.Error:
            return
        self._rss = max(self._rss, getattr(memory, "peak_wset", memory.rss))

    def interrupt(self) -> None:
        """SIGINT to the group; Ctrl-Break on Windows."""
        if sys.platform == "win32":
            ctrl_break(self.process.pid)
        else:
            _signal_group(self.process.pid, signal.SIGINT)

    def terminate(self) -> None:
        """SIGTERM to the group and the descendants; on Windows the program just ends."""
        if sys.platform == "win32":
            terminate(self.process)
        else:
            if psutil is not None:
                self._remember()
            _signal_group(self.process.pid, signal.SIGTERM)
            # A stopped process gets no signal before it goes on.
            _signal_group(self.process.pid, signal.SIGCONT)
            for process in self._alive():
                if not _is_member(process, self.process.pid):
                    _tell(process, "terminate")

    def kill(self) -> None:
        """End the group and the descendants."""
        if psutil is not None:
            self._remember()
        if sys.platform == "win32":
            terminate(self.process)
        else:
            _signal_group(self.process.pid, signal.SIGKILL)
        for process in self._alive():
            _tell(process, "kill")

    def _alive(self) -> Iterable[Any]:
        return [process for process in self._seen.values() if _runs(process)]

    def count(self) -> int:
        """The program, where it has not ended, the descendants, and whether there is a group."""
        count = sum(1 for process in self._alive() if process.pid != self.process.pid)
        if self.process.poll() is None:
            return count + 1
        if count == 0 and sys.platform != "win32":
            return int(_group_lives(self.process.pid))
        return count

    def usage(self) -> tuple[float, int]:
        """Of the program and of whom it waited for; nothing where the system does not say."""
        return max(0.0, _times() - self._before), self._rss


def ctrl_break(pid: int) -> None:
    """Ctrl-Break to a process group of our console; nothing where there is no console."""
    if sys.platform == "win32":
        try:
            os.kill(pid, signal.CTRL_BREAK_EVENT)
        except OSError:
            pass  # no console, or the program has ended: the next rung reaches it


def terminate(process: subprocess.Popen[bytes]) -> None:
    """End one process."""
    try:
        process.terminate()
    except OSError:
        pass  # it has ended


def _times() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _tell(process: Any, what: str) -> None:
    try:
        getattr(process, what)()
    except psutil.Error:
        pass  # it has ended, or has become another user's


def _runs(process: Any) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal_group(pid: int, number: int) -> None:
    try:
        getattr(os, "killpg")(pid, number)  # noqa: B009  which mypy would miss on Windows
    except (ProcessLookupError, PermissionError):
        pass  # nobody is left of it


def _group_lives(group: int) -> bool:
    """Whether anybody is left of it, who is more than a zombie that nobody has waited for."""
    if psutil is not None:
        return any(_is_member(process, group) for process in psutil.process_iter())
    try:
        getattr(os, "killpg")(group, 0)  # noqa: B009
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_member(process: Any, group: int) -> bool:
    try:
        return bool(getattr(os, "getpgid")(process.pid) == group) and _runs(process)  # noqa: B009
    except ProcessLookupError:
        return False
