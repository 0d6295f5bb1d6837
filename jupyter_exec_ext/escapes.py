"""Escape sequences of terminals, taken out of text: colours, titles, links, and what moves the cursor."""

from __future__ import annotations

import re

__all__ = ["EscapeFilter", "without_escapes"]

# CSI and OSC sequences, and the two-character escapes (ECMA-48).
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
#: The beginning of one at the end of a text; a longer one than this is taken for text.
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?)?\Z")
LONGEST = 4096


def without_escapes(text: str) -> str:
    """Return the text that a terminal would show, as far as it is text."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text


class EscapeFilter:
    """The same for text that comes in pieces, which may end within a sequence."""

    def __init__(self) -> None:
        self._held = ""

    @property
    def empty(self) -> bool:
        """Whether nothing waits for what follows it."""
        return not self._held

    def feed(self, text: str) -> str:
        """Return what is certain to be text, of what has come until now and was not returned yet."""
        text = self._held + text
        begun = _BEGUN.search(text, max(0, len(text) - LONGEST)) if "\x1b" in text else None
        cut = len(text) if begun is None else begun.start()
        self._held = text[cut:]
        return without_escapes(text[:cut])

    def finish(self) -> str:
        """Return what is left at the end."""
        rest, self._held = self._held, ""
        return without_escapes(rest)
