"""The errors of jupyter_exec_ext.

Every message is one sentence for the person who sees it: what happened, why, what to do.
Only `handlers` knows which HTTP status belongs to which error.

::

    ExecError
    ├── InvalidRequest          the request itself is wrong; names the field (400)
    │   ├── UnknownEnvironment  no environment of that name (422)
    │   └── UnknownLanguage     the environment has no such language (422)
    ├── Refused                 policy forbids it (403)
    ├── NotFound                no session, execution or file of that name (404)
    ├── Conflict                not possible in the present state (409)
    ├── TooLarge                over a limit, which is named (413)
    ├── NoSpace                 the disk is full (507)
    ├── QueueFull               as many are queued as the server allows (429)
    ├── Unavailable             this server is stopping, or the log cannot be used (503)
    └── EnvironmentFailed       the environment could not run it (an execution's ``env_error``)
        ├── ProtocolError       a supervisor sent something that is not a frame
        └── SessionLost         the session went away under the run (an execution's ``lost``)
            ├── KernelDied      by itself: that is the code's own doing (an execution's ``failed``)
            └── OutOfMemory     with all that ran in it, for want of memory (an execution's ``oom``)
"""

from __future__ import annotations

import errno

__all__ = [
    "Conflict",
    "EnvironmentFailed",
    "ExecError",
    "InvalidRequest",
    "KernelDied",
    "NoSpace",
    "NotFound",
    "OutOfMemory",
    "ProtocolError",
    "QueueFull",
    "Refused",
    "SessionLost",
    "TooLarge",
    "Unavailable",
    "UnknownEnvironment",
    "UnknownLanguage",
    "by_system",
]

#: What says that this machine, or this server's share of it, is used up for now.
_USED_UP = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})


class ExecError(Exception):
    """The root of the tree.

    Parameters
    ----------
    message : str
        One sentence for a person.
    field : str, optional
        The name of the request's field that is at fault.
    """

    reason = "error"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidRequest(ExecError, ValueError):
    """The request is wrong in itself."""

    reason = "invalid"


class UnknownEnvironment(InvalidRequest):
    """There is no environment of that name."""

    reason = "unknown_environment"


class UnknownLanguage(InvalidRequest):
    """The environment offers no such language."""

    reason = "unknown_language"


class Refused(ExecError):
    """A policy of the server forbids it."""

    reason = "refused"


class NotFound(ExecError):
    """There is nothing of that name here."""

    reason = "not_found"


class Conflict(ExecError):
    """It cannot be done in the present state."""

    reason = "conflict"


class TooLarge(ExecError):
    """It is over a limit, which the message names."""

    reason = "too_large"


class NoSpace(ExecError):
    """The disk, or the user's part of it, is full."""

    reason = "no_space"


class QueueFull(ExecError):
    """As many executions are queued as the server allows."""

    reason = "queue_full"


class Unavailable(ExecError):
    """The server is stopping, or something it needs is away."""

    reason = "unavailable"


class EnvironmentFailed(ExecError):
    """The environment could not run the block."""

    reason = "env_error"


class ProtocolError(EnvironmentFailed):
    """A supervisor sent bytes that are not a valid frame."""

    reason = "protocol_error"


class SessionLost(EnvironmentFailed):
    """The session's supervisor or kernel went away."""

    reason = "lost"


class KernelDied(SessionLost):
    """The kernel ended by itself while it ran something.

    Parameters
    ----------
    code : int or None
        The exit code of its process where it is known; below 0 the signal that ended it.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class OutOfMemory(SessionLost):
    """The session ended because what ran in it wanted more memory than all of it may have."""


def by_system(what: str, error: OSError) -> ExecError:
    """The error for what the system has refused: `Unavailable` where it may not refuse it later."""
    why = error.strerror or str(error)
    if error.errno in _USED_UP:
        return Unavailable(f"{what}: {why}; end something, or try again later.")
    where = f" ({str(error.filename)[:200]!r})" if error.filename is not None else ""
    return EnvironmentFailed(f"{what}: {why}{where}.")
