"""From what a supervisor reports to what a person reads: status, exit code and cause of a run."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, field

from ..environments.base import Limits
from ..supervisor.reports import Report
from ..text import one_line
from .evidence import ran_out_of_memory

__all__ = ["CANCELLED", "TIMED_OUT", "Judgement", "container_full", "judge", "killed_for_memory"]

#: The exit code of a run that was stopped at its timeout (as ``timeout(1)`` and ag2 0.14 have it).
TIMED_OUT = 124
#: The exit code of a run that was cancelled (128 + SIGINT).
CANCELLED = 130
#: 128 + SIGKILL: what a run ends with that went over its memory.
OUT_OF_MEMORY = 137

_TOO_LARGE = re.compile(r"File too large|EFBIG|[Ff]ile size limit exceeded")
_TOO_MANY = re.compile(r"Too many open files|EMFILE")


@dataclass
class Judgement:
    """How one block ended."""

    status: str
    exit_code: int | None
    cause: str | None = None
    signal: str | None = None
    limits_hit: list[str] = field(default_factory=list)


def judge(
    report: Report,
    *,
    limits: Limits,
    timeout: float | None,
    printed: str,
    language: str = "",
    container_bytes: int | None = None,
) -> Judgement:
    """Say how a block ended.

    Parameters
    ----------
    report : Report
        From the supervisor.
    limits : Limits
        Those in force; a limit is named only where there is one.
    timeout : float or None
        The execution's, in seconds, for the text.
    printed : str
        The end of the standard error: where a limit makes a system call fail, only the program
        itself knows, and says so there.
    language : str
        Its name: some words are evidence only in the mouth of that language's interpreter.
    container_bytes : int, optional
        The memory of the container it ran in; None where it ran in none.
    """
    name = _name(report.signal)
    if report.problem:
        return Judgement(
            "env_error", None, f"The program could not be started: {one_line(report.problem)[:1000]}."
        )
    if report.stopped == "timeout":
        return Judgement(
            "timeout", TIMED_OUT, f"Timeout: it ran longer than {timeout:g} s and was stopped.", name
        )
    if report.stopped is not None:
        return Judgement("cancelled", CANCELLED, "It was cancelled.", name)
    code = 128 + report.signal if report.signal is not None else report.exit or 0
    limit = limits.memory_bytes
    if code and limit and ran_out_of_memory(code, report.rss, limit, printed, language):
        return _out_of_memory(limit)
    if report.signal is not None:
        return _by_signal(report, name or "", limits, container_bytes)
    return _by_exit(code, limits, printed) if code else Judgement("ok", 0)


def _by_signal(report: Report, name: str, limits: Limits, container_bytes: int | None) -> Judgement:
    code = 128 + (report.signal or 0)
    if name == "SIGKILL" and report.oom_kills:
        return _killed_for_memory(container_bytes)
    if limits.cpu_seconds and _used_up(name, report.cpu, limits.cpu_seconds):
        cause = f"It used the {limits.cpu_seconds} s of processor time it may use (limit cpu_seconds)."
        return Judgement("failed", code, cause, name, ["cpu_seconds"])
    if name == "SIGXFSZ" and limits.file_bytes:
        return Judgement("failed", code, _file_cause(limits.file_bytes), name, ["file_bytes"])
    return Judgement("failed", code, f"It was ended by {name} ({_meaning(report.signal)}).", name)


def _used_up(name: str, cpu: float, limit: int) -> bool:
    """Whether the limit on processor time has ended it: one that ignores the first signal gets SIGKILL."""
    return name == "SIGXCPU" or (name == "SIGKILL" and cpu >= limit)


def _by_exit(code: int, limits: Limits, printed: str) -> Judgement:
    judgement = Judgement("failed", code, f"It ended with exit code {code}.")
    if limits.file_bytes and _TOO_LARGE.search(printed):
        judgement.limits_hit.append("file_bytes")
        judgement.cause = _file_cause(limits.file_bytes)
    elif limits.open_files and _TOO_MANY.search(printed):
        judgement.limits_hit.append("open_files")
        judgement.cause = f"It had the {limits.open_files} files open that it may have (limit open_files)."
    elif limits.cpu_seconds and code == 128 + int(getattr(signal, "SIGXCPU", 24)):
        judgement.limits_hit.append("cpu_seconds")  # a shell reports so what became of its child
    return judgement


def _out_of_memory(limit: int) -> Judgement:
    cause = f"It wanted more memory than the {limit:,} bytes it may use (limit memory_bytes)."
    return Judgement("oom", OUT_OF_MEMORY, cause, None, ["memory_bytes"])


def _killed_for_memory(container_bytes: int | None) -> Judgement:
    if container_bytes is not None:
        return killed_for_memory(container_full(container_bytes))
    cause = "The system ran out of memory and killed it (out-of-memory killer); use less, or add memory."
    return Judgement("oom", OUT_OF_MEMORY, cause, "SIGKILL", ["system memory"])


def killed_for_memory(cause: str) -> Judgement:
    """Say that a block ended since all that runs in its container wanted more memory than that may have."""
    return Judgement("oom", OUT_OF_MEMORY, cause, "SIGKILL", ["container memory"])


def container_full(size: int) -> str:
    """Say that a container had no more memory than so many bytes."""
    return (
        f"What runs in the container wanted more memory than its {size:,} bytes, files below /tmp and in the "
        "workspace included, and the system killed it (out-of-memory killer)."
    )


def _file_cause(limit: int) -> str:
    return f"It wrote a file of more than the {limit:,} bytes a file may have (limit file_bytes)."


def _name(number: int | None) -> str | None:
    if number is None:
        return None
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _meaning(number: int | None) -> str:
    text = signal.strsignal(number) if number is not None else None
    return (text or "no description").lower()
