"""Why a supervisor's stream ended, in a sentence (the server's end)."""

from __future__ import annotations

import signal

from ..text import one_line

__all__ = ["STDERR_KEPT", "epitaph"]

#: Bytes of the supervisor's own standard error that are kept to explain its end.
STDERR_KEPT = 4096
#: Characters of the last line of it that are shown.
SHOWN = 300


def epitaph(code: int | None, printed: bytes, leaves: bool) -> str:
    """Say how a supervisor ended.

    Parameters
    ----------
    code : int or None
        Its exit code, negative for a signal; None where it has not ended.
    printed : bytes
        On standard error: by whatever program it is, so that it is made fit to be shown.
    leaves : bool
        Whether what it started may outlive it, should it have been killed.
    """
    how = "ended" if code is None else f"ended with exit code {code}" if code >= 0 else _killed(-code)
    if code is not None and code < 0 and leaves:
        how += "; programs that it had started may still run"
    text = printed[-STDERR_KEPT:].decode("utf-8", "replace").strip()
    said = f" It last printed: {one_line(text.splitlines()[-1][:SHOWN])}" if text else ""
    return f"The session's supervisor {how}.{said}"


def _killed(number: int) -> str:
    try:
        return f"was killed by {signal.Signals(number).name}"
    except ValueError:
        return f"was killed by signal {number}"
