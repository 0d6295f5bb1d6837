"""Event types, and what a list of events adds up to: plain text and notebook outputs.

An event is one numbered thing that happened in an execution. Executors make them without a
number; the event log numbers them from 1 without gaps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from .models import Execution, Verdict, now

__all__ = ["Event", "EventType", "Outcome", "outputs_of", "text_of"]

EventType = Literal[
    "status",
    "block",
    "stream",
    "display_data",
    "execute_result",
    "update_display_data",
    "clear_output",
    "error",
    "input_request",
    "progress",
    "end",
]

# CSI and OSC sequences, and the two-character escapes (ECMA-48).
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


@dataclass(frozen=True)
class Event:
    """One thing that happened in an execution.

    Parameters
    ----------
    type : EventType
    data : dict
        What can be written as JSON, without ``time``.
    number : int
        From 1 in the order of the log; 0 while it is not logged.
    time : str
        RFC 3339, UTC.
    """

    type: EventType
    data: dict[str, Any]
    number: int = 0
    time: str = field(default_factory=now)

    @classmethod
    def stream(cls, name: str, text: str) -> Event:
        """A piece of standard output or standard error."""
        return cls("stream", {"name": name, "text": text})


@dataclass
class Outcome:
    """How a run of blocks ended: what an executor knows at its end.

    ``Event("end", {"outcome": Outcome})`` is the last event of `CodeExecutor.run`; the manager
    makes the Execution of it.
    """

    status: str
    exit_code: int | None
    verdict: Verdict
    code_files: list[str] = field(default_factory=list)
    output_files: list[str] = field(default_factory=list)
    truncated: bool = False

    def apply(self, execution: Execution) -> None:
        """Write this outcome into an execution's record."""
        for name in ("status", "exit_code", "verdict", "code_files", "output_files", "truncated"):
            setattr(execution, name, getattr(self, name))


def text_of(events: Iterable[Event]) -> str:
    """Everything that was printed, in order, as plain text (the escapes as they were)."""
    return "".join(_text(event) for event in events)


def _text(event: Event) -> str:
    data = event.data
    if event.type == "stream":
        return str(data["text"])
    if event.type == "error":
        return _ESCAPES.sub("", "\n".join(data.get("traceback", []))) + "\n"
    if event.type in ("display_data", "execute_result"):
        return str(data.get("data", {}).get("text/plain", "")) + "\n"
    return ""


def outputs_of(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The events as nbformat 4 outputs; neighbours of one stream are joined, as a notebook does."""
    outputs: list[dict[str, Any]] = []
    chunks: list[str] = []
    for event in events:
        if event.type == "stream":
            if not (chunks and outputs[-1].get("name") == event.data["name"]):
                _close(outputs, chunks)
                chunks = []
                outputs.append({"output_type": "stream", "name": event.data["name"], "text": ""})
            chunks.append(event.data["text"])
        elif event.type in ("display_data", "execute_result", "error"):
            _close(outputs, chunks)
            chunks = []
            outputs.append({"output_type": event.type, **event.data})
    _close(outputs, chunks)
    return outputs


def _close(outputs: list[dict[str, Any]], chunks: list[str]) -> None:
    if chunks:
        outputs[-1]["text"] = "".join(chunks)
