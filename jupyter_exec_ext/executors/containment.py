"""What keeps a local run together, so that stop can mean stop: probed once, the strongest wins."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys

from ..supervisor.portable import job

__all__ = ["Containment", "containment", "guarantee"]

#: How the command of a supervisor is prefixed so that it is process 1 of a PID namespace of its own.
_UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
_AS_USER = ("--user", "--map-current-user")
#: Has the kernel end `unshare`, and with it the namespace, when the server is no more, whatever a program
#: may have done to the supervisor. (Becoming another user's namespace takes that away again: credentials.)
_WITH_US = ("setpriv", "--pdeathsig", "KILL")


class Containment:
    """How to start a supervisor on this machine.

    Parameters
    ----------
    prefix : tuple of str
        What comes before its command.
    """

    def __init__(self, prefix: tuple[str, ...]) -> None:
        self.prefix = prefix

    @property
    def guard(self) -> bool:
        """Whether the supervisor needs a guard; a namespace dies with its process 1 anyway."""
        return not self.prefix and os.name == "posix"


_found: list[Containment] = []


async def containment(*, namespace: bool = True) -> Containment:
    """Return the strongest this machine offers, without namespaces where they are not wanted."""
    if not namespace:
        return Containment(())
    if not _found:
        _found.append(Containment(await _probe()))
    return _found[0]


async def guarantee(*, namespace: bool = True, portable: bool = False) -> str:
    """Return what stop can promise for a run on this machine, with these settings of the executor.

    ``pid_namespace`` and ``subreaper`` (Linux), ``process_group`` (other POSIX systems): see
    `supervisor.tree`; ``job_object`` (Windows), ``process_tree`` and ``process``: `supervisor.portable.job`.
    """
    if portable or os.name != "posix":
        return job.guarantee()
    if (await containment(namespace=namespace)).prefix:
        return "pid_namespace"
    return "subreaper" if sys.platform == "linux" else "process_group"


async def _probe() -> tuple[str, ...]:
    if sys.platform == "linux" and shutil.which(_UNSHARE[0]) is not None:
        # A user other than root may make a PID namespace only inside a user namespace.
        for prefix in ((*_WITH_US, *_UNSHARE), _UNSHARE) if os.geteuid() == 0 else ((*_UNSHARE, *_AS_USER),):
            if await _works((*prefix, "true")):
                return prefix
    return ()


async def _works(command: tuple[str, ...]) -> bool:
    nothing = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=nothing, stdout=nothing, stderr=nothing
        )
    except OSError:
        return False
    try:
        return await asyncio.wait_for(process.wait(), 5.0) == 0
    except BaseException as error:
        process.kill()
        await process.wait()
        if isinstance(error, asyncio.TimeoutError):
            return False
        raise
