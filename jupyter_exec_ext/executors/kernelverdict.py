"""From what a kernel says, or that it is gone, to what a person reads: status, exit code and cause."""

from __future__ import annotations

import re
import signal
from typing import Any

from ..errors import KernelDied
from ..text import one_line
from .verdict import Judgement

__all__ = ["judge_death", "judge_reply"]

#: What IPython's script magics raise says the program's own exit code.
_EXIT_STATUS = re.compile(r"returned non-zero exit status (\d+)")


def judge_death(error: KernelDied) -> Judgement:
    """Say how a cell ended whose kernel died."""
    code, name = error.code, None
    if code is not None and code < 0:
        code, name = 128 - code, _signal_name(-code)
    return Judgement("failed", code, error.message, name)


def judge_reply(reply: dict[str, Any]) -> Judgement:
    """Say how a cell ended, by the ``execute_reply``."""
    status = reply.get("status")
    if status == "ok":
        return Judgement("ok", 0)
    if status == "error":
        name, value = str(reply.get("ename", "")), str(reply.get("evalue", ""))
        code = _code_of(name, value)
        text = f"exit code {code}" if not name and value == str(code) else f"{name}: {value}".strip(": ")
        text = one_line(text)[:500].rstrip(".") or "an error"
        return Judgement("failed", code, f"It ended with {text}.") if code else Judgement("ok", 0)
    if status == "abort":  # bash_kernel and its like; "aborted" is another thing
        return Judgement("failed", 130, "It was interrupted.")
    return Judgement(
        "failed", 1, "The kernel did not run it, since something before it failed; run it again."
    )


def _code_of(name: str, value: str) -> int:
    """The exit code that a script which ended so would have."""
    if name == "SystemExit":
        return int(value) & 0xFF if re.fullmatch(r"-?[0-9]{1,18}", value) else int(value not in ("", "None"))
    if not name and re.fullmatch(r"[0-9]{1,3}", value):  # all that bash_kernel says of an error
        return int(value) & 0xFF or 1
    status = _EXIT_STATUS.search(value) if name == "CalledProcessError" else None
    return int(status[1]) & 0xFF or 1 if status else 1


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
