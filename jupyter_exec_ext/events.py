"""Event types, and what a list of events adds up to: plain text and notebook outputs.

An event is one numbered thing that happened in an execution. Executors make them without a
number; the event log numbers them from 1 without gaps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from .escapes import without_escapes
from .models import Execution, Verdict, now

__all__ = ["Event", "EventType", "Outcome", "Transcript", "display_id"]

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
    truncated : bool
        Whether it tells that output was dropped. Not logged with the event: it becomes the Execution's.
    """

    type: EventType
    data: dict[str, Any]
    number: int = 0
    time: str = field(default_factory=now)
    truncated: bool = field(default=False, compare=False)

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
        for name in ("status", "exit_code", "verdict", "output_files"):
            setattr(execution, name, getattr(self, name))
        # An end that no executor told of knows none.
        execution.code_files = self.code_files or execution.code_files
        # Where the run was broken off, only the record knows.
        execution.truncated = bool(execution.truncated or self.truncated)
        if execution.truncated and "output" not in self.verdict.limits_hit:
            self.verdict.limits_hit.append("output")


class Transcript:
    """What was printed and shown, gathered from events one by one: as plain text, and as outputs.

    Text that both have is held once: a program may have printed a lot.

    Parameters
    ----------
    events : iterable of Event
    plain : bool
        Whether colour codes and their like are left out of the text, too, and not only of what is shown.
    """

    def __init__(self, events: Iterable[Event] = (), *, plain: bool = False) -> None:
        self._plain = plain
        self._outputs: list[dict[str, Any]] = []
        self._pieces: list[str] = []
        self._texts: list[str] = []
        self._displays: dict[str, list[dict[str, Any]]] = {}
        self._clears_next = False
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Take the next event; one that shows nothing is left out.

        What a program clears leaves the outputs, as it leaves the notebook; it stays in the text.
        """
        if event.type == "update_display_data":
            self._update(event)
        elif event.type == "clear_output":
            self._clears_next = bool(event.data.get("wait"))
            if not self._clears_next:
                self._clear()
        elif event.type in ("stream", "display_data", "execute_result", "error"):
            if self._clears_next:
                self._clear()
            if event.type == "stream":
                self._print(event.data["name"], str(event.data["text"]))
            else:
                self._show(event)

    def _show(self, event: Event) -> None:
        self._close()
        shown = {"output_type": event.type, **event.data}
        shown.pop("transient", None)
        identifier = display_id(event)
        if identifier is not None:
            self._displays.setdefault(identifier, []).append(shown)
        self._outputs.append(shown)
        self._texts.append(_text(event))

    def _update(self, event: Event) -> None:
        """Bring the displays of that name up to date, as the Jupyter protocol has it."""
        for shown in self._displays.get(display_id(event) or "", ()):
            shown.update(data=event.data.get("data", {}), metadata=event.data.get("metadata", {}))

    def _clear(self) -> None:
        self._close()
        self._outputs, self._displays, self._clears_next = [], {}, False

    def _print(self, name: str, text: str) -> None:
        if not (self._pieces and self._outputs[-1]["name"] == name):
            self._close()
            self._outputs.append({"output_type": "stream", "name": name, "text": ""})
        self._pieces.append(text)

    def _close(self) -> None:
        if self._pieces:
            text = self._outputs[-1]["text"] = "".join(self._pieces)
            self._texts.append(without_escapes(text) if self._plain else text)
            self._pieces.clear()

    @property
    def output(self) -> str:
        """Everything in order, as text; escapes in what was printed as they were, unless it is plain."""
        self._join()
        return self._texts[0] if self._texts else ""

    def _join(self) -> None:
        self._close()
        if len(self._texts) > 1:
            self._texts = ["".join(self._texts)]

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """As nbformat 4 outputs; neighbours of one stream are joined, as a notebook does."""
        self._close()
        return self._outputs


def display_id(event: Event) -> str | None:
    """The name by which a display can be updated, where it has one."""
    transient = event.data.get("transient")
    named = isinstance(transient, dict) and "display_id" in transient
    return str(transient["display_id"]) if named else None  # type: ignore[index]


def _text(event: Event) -> str:
    if event.type == "error":
        return without_escapes("\n".join(event.data.get("traceback", []))) + "\n"
    text = event.data.get("data", {}).get("text/plain", "")
    return without_escapes("".join(map(str, text)) if isinstance(text, list) else str(text)) + "\n"
