"""Everything a run has started, and how to be sure that nothing of it is left.

Three guarantees, the strongest the machine offers (Linux pid_namespaces(7), prctl(2)):

``pid_namespace``
    The supervisor is process 1 of a PID namespace. ``kill(-1)`` reaches everything in it at once,
    and nothing can leave it.
``subreaper``
    Orphans, daemons included, come back to the supervisor. It kills and waits in a loop, and is
    done only when ``waitpid`` says there is nobody left: a snapshot of ``/proc`` is no proof, since
    a chain of processes that fork and exit for ever is never in it.
``process_group``
    Elsewhere (macOS): the group and the descendants that ``ps`` still shows. A process that left
    both before the kill is missed.

(Python 3.8, standard library only.)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import resource
    from typing import NoReturn

    Ended = tuple[int, int, resource.struct_rusage]

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_LINUX: bool = sys.platform.startswith("linux")


def _no_prctl(*arguments: int) -> int:
    return -1


try:
    import ctypes

    _prctl = getattr(ctypes.CDLL(None), "prctl", _no_prctl)
except (ImportError, OSError, AttributeError):
    _prctl = _no_prctl


def become_subreaper() -> bool:
    """Make this process the one orphans come back to; False where the kernel cannot."""
    return bool(_prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def die_with(parent: int, number: int) -> None:
    """Have the kernel send this process a signal when `parent`, which started it, ends (Linux only)."""
    if not _LINUX:
        return
    _prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)  # it ended before the kernel knew


def here() -> SubreaperTree:
    """The strongest tree this process can have."""
    if _LINUX and os.getpid() == 1:
        return NamespaceTree()
    if become_subreaper():
        return SubreaperTree()
    return GroupTree()


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # it has ended meanwhile, or it has become another user's


class SubreaperTree:
    """The descendants of this process, found through ``/proc``.

    Attributes
    ----------
    waiting : int or None
        A child that belongs to no run, but waits for the next block. A signal to the tree kills it.
    """

    guarantee = "subreaper"

    def __init__(self) -> None:
        self.waiting: int | None = None
        self._ended: list[Ended] = []
        self._anybody = True
        # Open for as long as we live: a program can leave us no descriptor for it (prlimit(2)).
        self._list = _opened(_children_of(os.getpid()))

    @property
    def tells_children(self) -> bool:
        """Whether the end of a run can be proved while a process waits for the next block."""
        return self._list >= 0

    def close(self) -> None:
        """Let go of what is open: for a fork that has a tree of its own."""
        if self._list >= 0:
            os.close(self._list)
            self._list = -1

    def _children(self) -> list[int]:
        """Our children, as the kernel lists them. Raises OSError for one without CONFIG_PROC_CHILDREN."""
        data = b""
        while True:
            piece = os.pread(self._list, 65536, len(data))
            if not piece:
                return [int(pid) for pid in data.split()]
            data += piece

    def reap(self) -> tuple[list[Ended], bool]:
        """Who has ended since the last call, as [(pid, wait status, usage)], and whether anybody is left."""
        self._wait()
        ended, self._ended = self._ended, []
        return ended, self._anybody

    def _wait(self) -> None:
        self._anybody = True
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self._anybody = False
                return
            if pid == 0:
                self._anybody = not self._only_waiting()
                return
            if pid == self.waiting:
                self.waiting = None  # somebody has killed it
            else:
                self._ended.append((pid, status, usage))

    def _only_waiting(self) -> bool:
        """Whether the process that waits is the only child there is, so that nothing of a run is left.

        This is as good a proof as ECHILD. A child leaves the kernel's list only when we wait for it, and a
        new one is added at its end. So when the reading comes to the end, and has met nobody else, then
        at that moment no process of a run is there: the topmost of its ancestors below us would be in it.
        """
        if self.waiting is None:
            return False
        try:
            return self._children() == [self.waiting]
        except OSError:
            return False  # a kernel without CONFIG_PROC_CHILDREN: the waiting process is killed, too

    def end(self, status: int) -> NoReturn:
        """Kill until nobody is left (or nothing helps, for 5 s), and leave."""
        until = time.monotonic() + 5
        while self.reap()[1] and time.monotonic() < until:
            self.kill()
            time.sleep(0.001)
        os._exit(status)

    def family(self, pid: int) -> list[int]:
        """A process and its descendants, as the kernel lists them: cheaper than `members`."""
        found = [pid]
        for member in found:
            try:
                with open(_children_of(member), "rb") as file:
                    found += [int(child) for child in file.read().split()[:64]]
            except OSError:
                pass  # it has ended
        return found[:256]

    def members(self) -> list[int]:
        """The pids of all descendants that can still run."""
        try:
            names = os.listdir("/proc")
        except OSError:  # we may open nothing: these will do, since the others become ours as they end
            return self._children()
        children: dict[int, list[int]] = {}
        dead = set()
        for name in names:
            if name.isdigit():
                parent, state = _stat(name)
                children.setdefault(parent, []).append(int(name))
                if state == "Z":
                    dead.add(int(name))
        return [pid for pid in _below(os.getpid(), children) if pid not in dead]

    def signal(self, number: int) -> None:
        """Send a signal to every member."""
        self._end_waiting()
        for pid in self.members():
            _kill(pid, number)

    def _end_waiting(self) -> None:
        # It would keep the signal for its block; and when all else has ended, `waitpid` has to say so.
        if self.waiting is not None:
            _kill(self.waiting, signal.SIGKILL)

    def kill(self) -> None:
        """One round of SIGKILL; call it until `reap` says that nobody is left."""
        self.signal(signal.SIGKILL)
        # A chain that forks and exits is never in a snapshot. Each link becomes our child for a
        # moment: be faster than it, on the kernel's own list of children.
        for _ in range(100):
            self._wait()
            if not self._anybody:
                return
            try:
                pids = self._children()
            except OSError:
                return  # a kernel without CONFIG_PROC_CHILDREN: the snapshots have to do
            for pid in pids:
                _kill(pid, signal.SIGKILL)


class NamespaceTree(SubreaperTree):
    """Everything in this PID namespace but its process 1, which is the supervisor."""

    guarantee = "pid_namespace"

    def signal(self, number: int) -> None:
        """Send a signal to everything in the namespace."""
        self._end_waiting()
        _kill(-1, number)

    def kill(self) -> None:
        """SIGKILL to everything in the namespace, in one call of the kernel."""
        _kill(-1, signal.SIGKILL)


class GroupTree(SubreaperTree):
    """The descendants that ``ps`` shows; no guarantee for daemons."""

    guarantee = "process_group"

    def members(self) -> list[int]:
        """The pids of all descendants that ``ps`` shows."""
        listing = subprocess.run(["ps", "-axo", "pid=,ppid=,stat="], stdout=subprocess.PIPE, check=False)
        children: dict[int, list[int]] = {}
        dead = set()
        for line in listing.stdout.decode("ascii", "replace").splitlines():
            pid, parent, state = line.split(None, 2)
            children.setdefault(int(parent), []).append(int(pid))
            if state.startswith("Z"):
                dead.add(int(pid))
        return [pid for pid in _below(os.getpid(), children) if pid not in dead]

    def kill(self) -> None:
        """One round of SIGKILL."""
        self.signal(signal.SIGKILL)


def _children_of(pid: int) -> str:
    return f"/proc/{pid}/task/{pid}/children"


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _stat(pid: str) -> tuple[int, str]:
    # The command name, in brackets, may itself hold brackets and spaces: count from the last one.
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rsplit(b")", 1)[1].split()
    except (OSError, IndexError):
        return -1, "Z"
    return int(fields[1]), fields[0].decode("ascii")


def _below(root: int, children: dict[int, list[int]]) -> list[int]:
    found: list[int] = []
    todo = [root]
    while todo:
        below = children.pop(todo.pop(), [])
        found += below
        todo += below
    return found


def signal_group(pid: int, number: int) -> None:
    """Signal a process and its group, or the process alone while it has not made its group."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, number)
            return
        except ProcessLookupError:
            pass  # it has not yet made its group, or it has ended
        except PermissionError:
            return  # it has become another user's
