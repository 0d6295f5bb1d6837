"""Which languages a search path can run: looked up once, and again when one of its folders changes."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping

from ..languages import Language

__all__ = ["available"]

# A folder's time stamp may be as coarse as this (FAT); what is younger can still change unseen.
COARSE_NS = 2_000_000_000
MAX_FOLDERS = 10_000

_folders: dict[str, tuple[int, dict[str, bool]]] = {}


def available(languages: Mapping[str, Language], path: str) -> dict[str, Language]:
    """Return the languages that need no interpreter, or have one on that search path.

    Their commands begin with the interpreter's absolute path then; ``{python}`` stays as it is,
    it is the environment's to say.
    """
    folders = [(folder, _names(folder)) for folder in path.split(os.pathsep) if os.path.isabs(folder)]
    found = {name: _resolved(language, folders) for name, language in languages.items()}
    return {name: language for name, language in found.items() if language is not None}


def _resolved(language: Language, folders: list[tuple[str, dict[str, bool]]]) -> Language | None:
    if language.policy != "run":
        return language
    for command in (language.command, *language.others):
        if command[:1] == ("{python}",):
            return language
        program = _which(command[0], folders) if command else None
        if program is not None:
            return dataclasses.replace(language, command=(program, *command[1:]), others=())
    return None


def _which(program: str, folders: list[tuple[str, dict[str, bool]]]) -> str | None:
    if os.path.isabs(program):
        return program if _runs(program) else None
    for folder, names in folders:
        for name in _spellings(program):
            if name not in names:
                names[name] = _runs(os.path.join(folder, name))
            if names[name]:
                return os.path.join(folder, name)
    return None


def _names(folder: str) -> dict[str, bool]:
    """Return what is known of that folder: empty when it has changed since."""
    try:
        stamp = os.stat(folder).st_mtime_ns
    except OSError:
        return {}
    known = _folders.get(folder)
    if known is not None and known[0] == stamp:
        return known[1]
    names: dict[str, bool] = {}
    if time.time_ns() - stamp > COARSE_NS:
        if len(_folders) >= MAX_FOLDERS:
            _folders.clear()
        _folders[folder] = (stamp, names)
    return names


def _spellings(program: str) -> tuple[str, ...]:
    if os.name != "nt":
        return (program,)
    suffixes = os.environ.get("PATHEXT", ".COM;.EXE;.BAT;.CMD").split(";")
    return tuple(program + suffix for suffix in suffixes)


def _runs(file: str) -> bool:
    return os.path.isfile(file) and os.access(file, os.X_OK)
