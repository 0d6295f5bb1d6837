"""From what a kernel says, or that it is gone, to what a person reads: status, exit code and cause."""

from __future__ import annotations

import re
from typing import Any

from ..errors import KernelDied
from ..kernels.watch import signal_name
from ..text import one_line
from .kernelshown import as_text
from .verdict import Judgement

__all__ = ["judge_death", "judge_reply"]

NOT_RUN = "The kernel did not run it, since something before it failed; run it again."
NO_REPLY = (
    "The kernel gave no reply that says how it ended, so that nobody knows whether it ran; "
    "restart the kernel if that happens again."
)

_NUMBER = re.compile(r"-?[0-9]{1,18}")
#: What IPython's script magics raise says how the program ended.
_EXIT_STATUS = re.compile(r"returned non-zero exit status (\d+)\.?$")
_SIGNAL = re.compile(r"died with (?:<Signals\.\w+: |unknown signal )(\d+)>?\.?$")


def judge_death(error: KernelDied) -> Judgement:
    """Say how a cell ended whose kernel died.

    A kernel that ends well has not ended its cell well; the cell has no exit code then.
    """
    code, name = error.code or None, None
    if code is not None and code < 0:
        code, name = 128 - code, signal_name(-code)
    return Judgement("failed", code, error.message, name)


def judge_reply(reply: dict[str, Any], *, script: bool = False) -> Judgement:
    """Say how a cell ended, by the ``execute_reply``.

    Parameters
    ----------
    reply : dict
        Empty where the kernel gave none.
    script : bool
        Whether a cell magic ran it as a program of another language.
    """
    status = reply.get("status")
    if status == "ok":
        return Judgement("ok", 0)
    if status == "error":
        name, value = as_text(reply.get("ename")), as_text(reply.get("evalue"))
        ended = _of_script(value) if script and name == "CalledProcessError" else None
        return ended or _by_error(name, value)
    if status == "abort":  # bash_kernel and its like; "aborted" is another thing
        return Judgement("failed", 130, "It was interrupted.")
    if status == "aborted":
        return Judgement("failed", 1, NOT_RUN)
    return Judgement("failed", 1, NO_REPLY)


def _of_script(value: str) -> Judgement | None:
    """How a program ended, by what its cell magic raised; None where that does not say."""
    if found := _EXIT_STATUS.search(value):
        code = int(found[1]) & 0xFF or 1
        return Judgement("failed", code, f"It ended with exit code {code}.")
    if found := _SIGNAL.search(value):
        name = signal_name(int(found[1]))
        return Judgement("failed", 128 + int(found[1]), f"It was ended by {name}.", name)
    return None


def _by_error(name: str, value: str) -> Judgement:
    code = _code_of(name, value)
    if not code:
        return Judgement("ok", 0)
    if name in ("", "SystemExit") and _NUMBER.fullmatch(value):
        return Judgement("failed", code, f"It ended with exit code {code}.")
    text = one_line(f"{name}: {value}".strip(": "))[:500].rstrip(".") or "an error"
    return Judgement("failed", code, f"It ended with {text}.")


def _code_of(name: str, value: str) -> int:
    """The exit code that a script which ended so would have."""
    if name == "SystemExit":
        return int(value) & 0xFF if _NUMBER.fullmatch(value) else int(value not in ("", "None"))
    if not name and _NUMBER.fullmatch(value):  # all that bash_kernel says of an error
        return int(value) & 0xFF or 1
    return 1
