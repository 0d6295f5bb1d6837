"""Text from outside, made fit to be shown: names and paths may hold what nobody can see.

The panel does the same with whatever it gets (``src/text.ts``).
"""

from __future__ import annotations

import os
import re
import unicodedata

__all__ = ["blank", "invisible", "one_line", "shown"]

# What stands for a byte that is not UTF-8 in a path (PEP 383): it has no form in JSON.
_SURROGATES = re.compile(r"[\ud800-\udfff]")
# Controls, line ends and what turns the direction of text. The two joiners (U+200C, U+200D) are a
# part of many a name.
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path, or text with paths in it, as text: U+FFFD for each byte that is not UTF-8."""
    return _SURROGATES.sub("\ufffd", os.fspath(path))


def one_line(text: str) -> str:
    """Return a name as it can be shown: U+FFFD for each character that cannot be seen."""
    return _INVISIBLE.sub("\ufffd", shown(text))


def invisible(text: str) -> str | None:
    """Return the first character that a name must not have, as ``U+202E``; None where there is none."""
    found = _INVISIBLE.search(text)
    return None if found is None else f"U+{ord(found[0]):04X}"


def blank(text: str) -> bool:
    """Whether nothing of that text can be seen."""
    return all(unicodedata.category(character) in _UNSEEN for character in text)
