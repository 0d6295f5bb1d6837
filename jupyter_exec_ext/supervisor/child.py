"""The first steps of a run's own process: what it inherits, and then the program itself.

(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

# Without the enumerations, whose lookups would take longer than the calls.
import _signal  # type: ignore[import-not-found]
import json
import os
import resource
import signal
from functools import partial

from . import ending, pages, script
from .tree import die_with

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What the request calls a limit, and the kernel's name for it. RLIMIT_DATA counts what a process
#: can write (Linux 4.7 and newer), so that programs which reserve much more than they use, as
#: node does, still start; elsewhere the address space is the nearest there is.
LIMITS: dict[str, int | None] = {
    "memory_bytes": getattr(resource, "RLIMIT_DATA", None)
    if os.uname().sysname == "Linux"
    else getattr(resource, "RLIMIT_AS", None),
    "cpu_seconds": resource.RLIMIT_CPU,
    "file_bytes": resource.RLIMIT_FSIZE,
    "open_files": resource.RLIMIT_NOFILE,
}
_EVERY = set(map(int, signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))


class Launch:
    """What a new process is given before it knows its program.

    Parameters
    ----------
    argv : list of str or None
        The program; None for a fork of this interpreter that waits for its job.
    job : int or None
        Where such a fork reads its job: the JSON of `Job`'s fields, to the end of the stream.
    mark : bytes
        What the job begins with; what is in front of that, somebody else has written.
    stdin, stdout, stderr, problems : int
        Descriptors that become 0, 1 and 2; and where the process says why it could not start.
    plain : bool
        Whether stdin is /dev/null, as that of this interpreter.
    package : str
        The name of our own package.
    cwd : str
    extra : dict
        Environment variables on top of our own.
    limits : dict
        By the names of `LIMITS`. These three are for a program; a job brings its own.
    pages : list of (int, int)
        For a fork that waits: see `pages.copy`.
    """

    argv: list[str] | None
    job: int | None
    mark: bytes
    stdin: int
    stdout: int
    stderr: int
    problems: int
    plain: bool
    package: str
    cwd: str
    extra: dict[str, str]
    limits: dict[str, int]
    pages: pages.Ranges

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


def start(launch: Launch) -> int:
    """Start the process. Returns its pid.

    Where a forked child cannot become the program, it writes why to ``problems`` and exits 127.
    Raises OSError where there is no process at all.
    """
    if launch.argv is not None and not launch.limits and "PATH" not in launch.extra:
        try:
            return _posix_spawn(launch.argv, launch)
        except (AttributeError, NotImplementedError):
            pass  # this system cannot, or not with setsid
    return _fork(launch)


def _posix_spawn(argv: list[str], launch: Launch) -> int:
    # Four times as fast as fork and exec from an interpreter of this size (vfork(2)), but nothing can
    # be done between the two, such as setting a limit.
    targets = (launch.stdin, launch.stdout, launch.stderr)
    return os.posix_spawnp(
        argv[0],
        argv,
        {**os.environ, **launch.extra},
        file_actions=[(os.POSIX_SPAWN_DUP2, target, number) for number, target in enumerate(targets)],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD],
    )


def _fork(launch: Launch) -> int:
    blocked = _signal.pthread_sigmask(_signal.SIG_BLOCK, _EVERY)
    if launch.argv is None:
        ending.freeze()
    parent, pid = os.getpid(), os.fork()
    if pid:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked)
        return pid
    try:
        # A block that kills whatever it may kill kills all who could end it; this is what remains.
        die_with(parent, signal.SIGKILL)
        _become(launch)
    except Exception as error:
        try:
            _explain(launch, error)
        finally:  # whatever happens, none of our frames goes on, or is printed where the block prints
            os._exit(127)
    os._exit(127)


def _explain(launch: Launch, error: Exception) -> None:
    text = getattr(error, "strerror", None) or str(error)
    try:
        os.write(launch.problems, text.encode("utf-8", "replace")[:2000])
    except OSError:
        pass  # nobody reads it any more


def _become(launch: Launch) -> None:
    os.setsid()
    _descriptors(launch)
    _signals()
    if launch.argv is None:
        _wait_for_job(launch, launch.job or 0)
        return
    for number in (_signal.SIGINT, _signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])
    _place(launch.cwd, launch.limits)
    os.execvpe(launch.argv[0], launch.argv, {**os.environ, **launch.extra})


def _wait_for_job(launch: Launch, source: int) -> None:
    # All that can be done before the job is known is done before: it is what a block then waits for.
    script.prepare(launch.package)
    if not launch.plain:
        script.reopen_stdin()
    # Signals stay blocked until the script runs: no interrupt may end in a frame of ours.
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    pages.copy(launch.pages)
    data = b""
    while True:
        piece = os.read(source, 65536)
        if not piece:
            break
        data += piece
    data = data.partition(launch.mark)[2]
    if not data:
        os._exit(0)
    job = json.loads(data)
    os.close(source)
    _place(job["cwd"], job["limits"])
    os.environ.update(job["extra"])
    stream = script.open_file(job["path"])
    os.close(launch.problems)
    script.run(stream, job["path"], job["first"], partial(pages.tell, 1) if "tell" in job else None)


def no_core_dumps() -> None:
    """Let no program below this process write one."""
    _lower(resource.RLIMIT_CORE, 0)


def _place(cwd: str, limits: dict[str, int]) -> None:
    os.chdir(cwd)
    for name, value in limits.items():
        kind = LIMITS.get(name)
        if kind is not None:
            _lower(kind, value)


def _descriptors(launch: Launch) -> None:
    for number, target in enumerate((launch.stdin, launch.stdout, launch.stderr)):
        os.dup2(target, number)
    keep = {0, 1, 2, launch.problems, launch.job}
    for name in os.listdir("/dev/fd"):
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass  # the one that listed the directory


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    top = value
    if kind == resource.RLIMIT_CPU and (hard == resource.RLIM_INFINITY or value < hard):
        top = value + 1  # a second before the kernel's SIGKILL, so that SIGXCPU is what ends it
    resource.setrlimit(kind, (value, top))


def _signals() -> None:
    # What the supervisor has set.
    _signal.set_wakeup_fd(-1)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
