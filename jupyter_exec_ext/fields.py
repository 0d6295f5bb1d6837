"""What the fields of requests may hold; what they may not is refused in words, not with a pattern."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from .text import blank, invisible

__all__ = [
    "LABEL",
    "NAME",
    "Module",
    "Name",
    "NewName",
    "Path",
    "Seconds",
    "Title",
    "Variables",
    "no_nul",
    "utf8",
]

LABEL = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
NAME = rf"^(kernel|local|venv|sandbox|docker|slurm)(:{LABEL})?$"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_MODULE = r"[A-Za-z_][\w.]*"


def utf8(text: str) -> str:
    """Refuse text that has no UTF-8 form (a lone surrogate): it could be neither stored nor run."""
    if text.isascii():
        return text  # at no cost: code can be long
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"holds a lone surrogate at character {error.start}, which is not text") from None
    return text


def no_nul(text: str) -> str:
    """Refuse text that no path, name or variable can have."""
    if "\0" in text:
        raise ValueError("holds a NUL character, which no path, name or variable can have")
    return utf8(text)


def _title(text: str) -> str:
    """Refuse a name that cannot be seen as it is: it would look like another, or like nothing."""
    character = invisible(text)
    if character is not None:
        raise ValueError(f"holds {character}, a character that cannot be seen; leave it out")
    if blank(text):
        raise ValueError("is blank; give at least one character that can be seen, or leave it out")
    return text


def _like(pattern: str, words: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError(f"{text[:80]!a} is not {words}")
        return text

    return AfterValidator(check)


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_title)]
Path = Annotated[str, StringConstraints(max_length=4096)]
Module = Annotated[
    str, StringConstraints(max_length=200), _like(_MODULE, "the name of a module, for example numpy")
]
Variable = Annotated[
    str,
    StringConstraints(max_length=256),
    _like(_VARIABLE, "a variable: letters, digits and underscores, not a digit first"),
]
Variables = Annotated[dict[Variable, str], Field(max_length=1000)]
#: The name of an environment that should be there.
Name = Annotated[
    str,
    StringConstraints(max_length=80),
    _like(NAME, "the name of an environment, for example local or venv:analysis"),
]
#: The name of an environment that is to be made.
NewName = Annotated[
    str,
    StringConstraints(max_length=80),
    _like(
        NAME,
        "a kind, a colon and a label of letters, digits, dots, hyphens and underscores, e.g. venv:analysis",
    ),
]
