"""How blocks print: as they go, and in UTF-8."""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["printing"]

#: The locales in which Python prints a file name that is not UTF-8 as the bytes it is (PEP 538 and 540).
_LENIENT = frozenset(("", "C", "POSIX", "C.UTF-8", "C.utf8", "UTF-8"))


def printing(variables: Mapping[str, str]) -> dict[str, str]:
    """Blocks print as they go and in UTF-8, whatever the server's locale; their own programs, too."""
    locale = next(filter(None, map(variables.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    lenient = os.name == "posix" and locale in _LENIENT
    return {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8:surrogateescape" if lenient else "utf-8"}
