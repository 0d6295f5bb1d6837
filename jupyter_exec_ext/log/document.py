"""An execution as JSON, in parts: what it printed goes out as the bytes it is stored as.

A record holds what was printed twice (``output`` and ``outputs``). As one text of JSON, made from
text that was made from the events, 8 MiB of output would take 60 MiB of memory for each answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pydantic_core import to_json

from ..escapes import EscapeFilter
from ..events import Event, Transcript, display_id
from ..models import Execution
from .entry import LOST, Entry, encode

__all__ = ["Part", "Parts", "document"]

Part = bytes | memoryview


class Parts(list[Part]):
    """Pieces of JSON in UTF-8, to be sent one after the other; the first and the last are bytes."""

    __slots__ = ("__weakref__",)


def document(execution: Execution, entries: Iterable[Entry], code: Part | None = None) -> Parts:
    """Write an execution with what its entries show: ``output`` and ``outputs`` come last.

    `code` are its code blocks, where there is their JSON already.
    """
    body = _Body(plain=execution.plain)
    for entry in entries:
        if entry.type != "end":
            body.add(entry)
    head = to_json(execution, exclude={"code_blocks", "output", "outputs"})
    blocks = to_json(execution.code_blocks) if code is None else code
    outputs = list(body.finished())
    output = [b',"output":"', *body.output, b'","outputs":[', *outputs, b"]}"]
    return Parts([head[:-1], b',"code_blocks":', blocks, *output])


class _Body:
    """The two forms of what was printed and shown; they share the bytes of it.

    It does with bytes what `Transcript` does with events.
    """

    def __init__(self, *, plain: bool) -> None:
        self.output: list[Part] = []
        self._plain = EscapeFilter() if plain else None
        self._outputs: list[list[Part]] = []
        self._stream: str | None = None
        self._displays: dict[str, list[tuple[list[Part], Event]]] = {}
        self._clears_next = False

    def add(self, entry: Entry) -> None:
        if entry.type == "update_display_data":
            self._update(entry.event())
        elif entry.type == "clear_output":
            self._clears_next = bool(entry.event().data.get("wait"))
            if not self._clears_next:
                self._clear()
        elif entry.type in ("stream", "display_data", "execute_result", "error"):
            if self._clears_next:
                self._clear()
            self._print(entry) if entry.type == "stream" else self._show(entry.event())

    def _print(self, entry: Entry) -> None:
        name, text = _printed(entry)
        if name != self._stream:
            self._close()
            self._outputs.append([b'{"output_type":"stream","name":%b,"text":"' % encode_text(name)])
            self._stream = name
        self._outputs[-1].append(text)
        self.output.append(text if self._plain is None else self._filtered(self._plain, text))

    def _filtered(self, plain: EscapeFilter, text: bytes) -> bytes:
        """The same without escape sequences; as it is stored where there is none, nor a part of one."""
        if plain.empty and rb"\u001b" not in text:
            return text
        return encode_text(plain.feed(json.loads(b'"%b"' % text)))[1:-1]

    def _show(self, event: Event) -> None:
        self._close()
        shown = Transcript([event])
        parts: list[Part] = [encode(output) for output in shown.outputs]
        self._outputs.append(parts)
        self.output.append(encode_text(shown.output)[1:-1])
        identifier = display_id(event)
        if identifier is not None:
            self._displays.setdefault(identifier, []).append((parts, event))

    def _update(self, update: Event) -> None:
        for parts, event in self._displays.get(display_id(update) or "", ()):
            new = {name: update.data.get(name, {}) for name in ("data", "metadata")}
            data = {**event.data, **new}
            parts[:] = [encode(output) for output in Transcript([replace(event, data=data)]).outputs]

    def _clear(self) -> None:
        self._close()
        self._outputs, self._displays = [], {}
        self._stream, self._clears_next = None, False

    def _close(self) -> None:
        """Close the stream that is open."""
        if self._stream is not None:
            self._outputs[-1].append(b'"}')
            self._stream = None
            if self._plain is not None:
                self.output.append(encode_text(self._plain.finish())[1:-1])

    def finished(self) -> Iterator[Part]:
        self._close()
        for index, parts in enumerate(self._outputs):
            if index:
                yield b","
            yield from parts


def encode_text(text: str) -> bytes:
    """A text as JSON."""
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")


def _printed(entry: Entry) -> tuple[str, bytes]:
    """The stream's name, and the text as it is between its quotation marks in JSON."""
    # Read it to know that it is JSON: SQLite has no checksums, and one damaged text must not spoil all.
    data = entry.event().data
    start, end = b'{"name":%b,"text":"' % encode_text(data["name"]), entry.json.rfind(b'","time":"')
    if data != LOST and entry.json.startswith(start) and end >= len(start):
        return data["name"], entry.json[len(start) : end]
    return data["name"], encode_text(data["text"])[1:-1]
