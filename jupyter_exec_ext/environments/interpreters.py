"""Which languages a search path can run: looked up once, and again when one of its folders changes."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping
from functools import lru_cache

from ..languages import Language

__all__ = ["available"]

# A folder's time stamp may be as coarse as this (FAT); what is younger can still change unseen.
COARSE_NS = 2_000_000_000
MAX_PATHS = 2000

Stamps = tuple[tuple[str, int], ...]

# What was found on a path, with the time stamps its folders had then.
_found: dict[str, tuple[Mapping[str, Language], Stamps, dict[str, Language]]] = {}


def available(languages: Mapping[str, Language], path: str) -> dict[str, Language]:
    """Return the languages that need no interpreter, or have one on that search path.

    Their commands begin with the interpreter's absolute path then; ``{python}`` stays as it is,
    it is the environment's to say.
    """
    stamps = tuple(_stamp(folder) for folder in path.split(os.pathsep) if os.path.isabs(folder))
    known = _found.get(path)
    if known is not None and known[0] is languages and known[1] == stamps:
        return dict(known[2])
    found = {name: _resolved(language, stamps) for name, language in languages.items()}
    here = {name: language for name, language in found.items() if language is not None}
    if all(_settled(stamp) for _, stamp in stamps):
        if len(_found) >= MAX_PATHS:
            _found.clear()
        _found[path] = (languages, stamps, here)
    return dict(here)


def _stamp(folder: str) -> tuple[str, int]:
    try:
        return folder, os.stat(folder).st_mtime_ns
    except OSError:
        return folder, 0


def _resolved(language: Language, stamps: Stamps) -> Language | None:
    if language.policy != "run":
        return language
    for command in (language.command, *language.others):
        if command[:1] == ("{python}",):
            return language
        program = _which(command[0], stamps) if command else None
        if program is not None:
            return dataclasses.replace(language, command=(program, *command[1:]), others=())
    return None


def _which(program: str, stamps: Stamps) -> str | None:
    if os.path.isabs(program):
        return program if _runs(program) else None
    for folder, stamp in stamps:
        for name in _spellings(program) if stamp else ():
            file = os.path.join(folder, name)
            if _ran(file, stamp) if _settled(stamp) else _runs(file):
                return file
    return None


def _settled(stamp: int) -> bool:
    """Whether a folder cannot have changed any more without another stamp."""
    return time.time_ns() - stamp > COARSE_NS


@lru_cache(maxsize=50_000)
def _ran(file: str, _stamp: int) -> bool:
    return _runs(file)


def _spellings(program: str) -> tuple[str, ...]:
    if os.name != "nt":
        return (program,)
    suffixes = os.environ.get("PATHEXT", ".COM;.EXE;.BAT;.CMD").split(";")
    return tuple(program + suffix for suffix in suffixes)


def _runs(file: str) -> bool:
    return os.path.isfile(file) and os.access(file, os.X_OK)
