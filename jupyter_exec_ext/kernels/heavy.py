"""What is read, and what is kept, of a message that is large: what says how a cell ended always is."""

from __future__ import annotations

from typing import Any

__all__ = ["HEAVY", "HUGE", "TEXT", "is_read", "shortened", "trimmed"]

#: Bytes of a message that are unpacked in a thread: a megabyte takes some 10 ms.
HEAVY = 256 * 1024
#: Bytes of a message that only shows something whose content is not unpacked at all: it is far more than is
#: kept of one execution.
HUGE = 32 * 1024 * 1024
#: Characters that are kept of each text of a reply: what is shown of an error is in a message of its own.
TEXT = 100_000

#: What only shows something. Of all else the content may decide, so that it is read whatever its size.
_SHOWS = frozenset(
    {
        "stream",
        "display_data",
        "execute_result",
        "update_display_data",
        "execute_input",
        "comm_open",
        "comm_msg",
        "comm_close",
    }
)
#: What is used of a reply. It may hold a page, too; whoever shows that sees to its size.
_REPLY = ("status", "ename", "evalue", "payload")


def is_read(kind: str, size: int) -> bool:
    """Whether the content of such a message is read."""
    return size <= HUGE or kind not in _SHOWS


def trimmed(kind: str, content: Any) -> Any:
    """What is kept of a large message: a reply is remembered as long as its request, its text need not be."""
    if kind != "execute_reply" or not isinstance(content, dict):
        return content
    kept = {name: content[name] for name in _REPLY if name in content}
    return {name: shortened(value, TEXT) if isinstance(value, str) else value for name, value in kept.items()}


def shortened(text: str, length: int) -> str:
    """The beginning and the end of a text that is longer than that: an error may say the main thing last."""
    if len(text) <= length:
        return text
    half = max(1, (length - 50) // 2)  # the note has its place
    return f"{text[:half]}[… {len(text) - 2 * half:,} characters were left out …]{text[-half:]}"
