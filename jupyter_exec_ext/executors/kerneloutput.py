"""`KernelOutput`: what a kernel shows, as events: bounded, in order, head and tail kept."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from ..events import Event, EventType
from ..kernels.wire import Message
from .kernelshown import as_text, error_of, note_of, shown_of, size_of, within

__all__ = ["KernelOutput"]

#: What an event counts for besides its text, so that a flood of empty ones is bounded, too.
OVERHEAD = 256
#: Bytes of one display that are kept; a larger one becomes a placeholder that says so.
DISPLAY_LIMIT = 4 * 1024 * 1024
#: Characters of the texts of an error below which it is not cut any further.
SHORTEST = 200
#: What Jupyter's servers write to stderr when they drop output.
_DROPPED = re.compile(r"\s*IOPub (?:message|data) rate exceeded\.")
_SHOWN = frozenset({"display_data", "execute_result", "update_display_data"})


class KernelOutput:
    """Takes messages and keeps what becomes of them until somebody fetches it.

    Parameters
    ----------
    limit : int
        Bytes that are kept of the whole execution; half of it head, half of it tail.
    wake : callable
        Is called when there is something to fetch.
    remote : bool
        Whether it comes through a gateway, which drops what is too much for it, and says so among it.
    """

    def __init__(self, limit: int, wake: Callable[[], None], *, remote: bool = False) -> None:
        self._remote = remote
        self._head, self._limit, self._wake = limit // 2, limit - limit // 2, wake
        self._room = self._head
        #: Characters of the pieces that the tail is kept in: whole ones are dropped.
        self._grain = max(1, min(16384, self._limit // 16))
        self._ready: list[Event] = []
        #: What the last one of them counts for, where it is no text.
        self._last_size = 0
        self._tail: deque[tuple[Event, int]] = deque()
        self._tail_size = 0
        self._texts: list[str] = []
        self._name = ""
        self.dropped = 0
        self.total = 0
        #: Whether something was dropped, also a display that was too large by itself.
        self.truncated = False

    def take(self, message: Message) -> None:
        """Take a message, whatever is in it; one that shows nothing is left out."""
        if message.huge or message.deep:
            self._leave_out(message)
        elif message.type == "stream":
            text = as_text(message.content.get("text"))
            self.truncated |= self._remote and _DROPPED.match(text) is not None
            if text:
                self._print("stderr" if message.content.get("name") == "stderr" else "stdout", text)
        elif message.type in _SHOWN:
            self._show(message.type, message.content, message.size)
        elif message.type == "clear_output":
            self._add(Event("clear_output", {"wait": bool(message.content.get("wait"))}), 0)
        elif message.type == "error":
            self._fail(message.content)

    def show(self, data: object) -> None:
        """Show something that came by another way than a display: its forms, or text; else nothing."""
        content = {"data": {"text/plain": data} if isinstance(data, str) else data}
        self._show("display_data", content, None)

    def _show(self, kind: str, content: dict[str, Any], size: int | None) -> None:
        shown, cut = shown_of(kind, content)
        if shown is None:
            return
        self.truncated = self.truncated or cut
        size, limit = size_of(shown) if size is None else size, min(DISPLAY_LIMIT, self._limit)
        if size > limit:
            shown = within(shown, limit)
            size = size_of(shown)
            self.truncated = True
        self._add(Event(cast(EventType, kind), shown), size)

    def _leave_out(self, message: Message) -> None:
        why = "it is nested too deep" if message.deep else "it is over the limit"
        note = f"[a {message.type} message of {message.size:,} bytes was left out, since {why}]"
        if message.type == "stream":
            self._add(Event.stream("stderr", f"\n{note}\n"), 0)
        else:
            self._add(Event("display_data", note_of(note)), 0)
        self.truncated = True

    def _fail(self, content: dict[str, Any]) -> None:
        """Show an error, whatever its size: it is cut to what a display may be at most."""
        limit = length = min(DISPLAY_LIMIT, self._limit)
        data, cut = error_of(content, length)
        while (size := size_of(data)) > limit - OVERHEAD and length > SHORTEST:
            length //= 4
            data, cut = error_of(content, length)
        self.truncated = self.truncated or cut
        self._add(Event("error", data), size)

    # -- bounds ----------------------------------------------------------------------------------------

    def _print(self, name: str, text: str) -> None:
        size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
        self.total += size
        if self._tail or size > self._room:
            if not self._tail and self._room > 0:
                # Where a character may take four bytes: at most the room, never more.
                cut = self._room if text.isascii() else self._room // 4
                self._put_text(name, text[:cut])
                text = text[cut:]
            self._room = 0
            for begin in range(0, len(text), self._grain):
                piece = text[begin : begin + self._grain]
                self._keep(Event.stream(name, piece), len(piece.encode("utf-8", "replace")))
            return
        self._room -= size
        self._put_text(name, text)

    def _add(self, event: Event, size: int) -> None:
        size += OVERHEAD
        if event.type == "update_display_data":
            self._take_back(event)
        self.total += size
        if self._tail or size > self._room:
            self._keep(event, size)
            return
        self._room -= size
        self._last_size = size
        self._put(event)

    def _take_back(self, update: Event) -> None:
        """Of several updates of one display that nobody has fetched yet, only the last counts."""
        if self._tail:
            if _same_display(self._tail[-1][0], update):
                _, size = self._tail.pop()
                self._tail_size -= size
                self.total -= size
        elif self._ready and not self._texts and _same_display(self._ready[-1], update):
            self._ready.pop()
            self._room += self._last_size
            self.total -= self._last_size

    def _keep(self, event: Event, size: int) -> None:
        self._tail.append((event, size))
        self._tail_size += size
        while self._tail_size > self._limit:
            _, size = self._tail.popleft()
            self._tail_size -= size
            self.dropped += size
            self.truncated = True

    def _put(self, event: Event) -> None:
        if event.type == "stream":
            self._put_text(event.data["name"], event.data["text"])
            return
        self._join()
        self._ready.append(event)
        self._wake()

    def _put_text(self, name: str, text: str) -> None:
        if text and name != self._name:
            self._join()
            self._name = name
        if text:
            self._texts.append(text)
        self._wake()

    def _join(self) -> None:
        if self._texts:
            self._ready.append(Event.stream(self._name, "".join(self._texts)))
            self._texts = []
        self._name = ""

    @property
    def full(self) -> bool:
        """Whether the head is full, so that what comes next is kept for the end, or not at all."""
        return bool(self._tail)

    # -- out -------------------------------------------------------------------------------------------

    def fetch(self) -> list[Event]:
        """What has come since the last time."""
        self._join()
        ready, self._ready = self._ready, []
        return ready

    def finish(self) -> list[Event]:
        """What is left at the end: the tail, after a line that counts what is missing before it."""
        if self.dropped:
            note = (
                f"\n[{self.dropped:,} of {self.total:,} bytes of output were dropped here; "
                f"the first {self._head:,} and the last {self._limit:,} are kept]\n"
            )
            self._put(Event("stream", {"name": "stderr", "text": note}, truncated=True))
        for event, _ in self._tail:
            self._put(event)
        self._tail.clear()
        return self.fetch()


def _same_display(last: Event, update: Event) -> bool:
    return last.type == update.type and last.data.get("transient") == update.data.get("transient")
