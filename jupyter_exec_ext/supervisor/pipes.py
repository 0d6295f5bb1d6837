"""A process with its pipes: our ends and the program's.

(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import errno
import os
import sys

from . import arrival, child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Ours = dict[str, int | None]

PACKAGE = __name__.split(".", 1)[0]


class StartFailed(Exception):
    """The run could not begin; the text says why."""


def start(
    fields: dict[str, Any], argv: list[str] | None, settings: dict[str, Any], job: int | None
) -> tuple[int, Ours]:
    """Make the pipes and the process: its pid and our ends. Raises `StartFailed`.

    Parameters
    ----------
    fields : dict
        Of the ``run`` request: ``stdin`` and ``live``.
    argv, job
        See `child.Launch`.
    settings : dict
        Further fields of `child.Launch`.
    """
    ours: Ours = {"stdin": None}
    theirs: Ours = {"job": job}
    try:
        _pipes(fields, ours, theirs)
        pid = child.start(child.Launch(argv=argv, package=PACKAGE, plain=plain(fields), **theirs, **settings))
    except (OSError, ValueError) as error:  # a NUL in a variable is a ValueError
        close([*ours.values(), *theirs.values()])
        why = getattr(error, "strerror", None) or str(error)
        if getattr(error, "errno", None) == errno.E2BIG:
            why += " (the variables in env are more, or longer, than this system hands to a program)"
        raise StartFailed(f"No process could be started: {why}.") from None
    close(theirs.values())
    return pid, ours


def plain(fields: dict[str, Any]) -> bool:
    """Whether the program gets nothing to read."""
    return fields.get("stdin") is None and not fields.get("live")


def close(descriptors: Iterable[int | None]) -> None:
    """Close all of these that are there."""
    for descriptor in descriptors:
        if descriptor is not None:
            os.close(descriptor)


def _pipes(fields: dict[str, Any], ours: Ours, theirs: Ours) -> None:
    for name in ("stdout", "stderr", "problems"):
        ours[name], theirs[name] = os.pipe()
    ours["arrival"] = arrival.watch(ours["stdout"] or 0, ours["stderr"] or 0)
    if fields.get("live"):
        theirs["stdin"], writer = os.pipe()
        os.set_blocking(writer, False)
        ours["stdin"] = writer
    elif fields.get("stdin") is not None:
        theirs["stdin"] = _text_file(fields["stdin"])
    else:
        theirs["stdin"] = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def _text_file(text: str) -> int:
    # A pipe would take 64 KiB and then need us; a file without a name needs nobody.
    if sys.platform == "linux" and hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
    else:
        import tempfile

        descriptor = os.dup(tempfile.TemporaryFile().fileno())
    view = memoryview(text.encode("utf-8", "surrogatepass"))
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
