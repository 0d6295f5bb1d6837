"""Conda environments, by their own files: where they lie, their names, their variables.

``conda env list`` takes seconds; its answer is in ``~/.conda/environments.txt`` and the ``envs``
folders of the installations (https://docs.conda.io, "Managing environments").
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from .layout import read_small
from .variables import denied

__all__ = ["conda_name", "conda_prefixes", "conda_variables", "is_conda"]

# Where the installers put themselves, below the home directory and below /opt.
_ROOTS = ("anaconda3", "conda", "mambaforge", "micromamba", "miniconda3", "miniforge3", ".local/share/mamba")
_LIST_BYTES = 1_000_000
_STATE_BYTES = 100_000
MAX_FOUND = 1000


def is_conda(prefix: Path) -> bool:
    """Whether conda, mamba or pixi made that folder."""
    return (prefix / "conda-meta").is_dir()


def conda_prefixes(roots: Iterable[str] = (), source: Mapping[str, str] | None = None) -> list[Path]:
    """Return the conda environments of this user, without starting anything.

    Parameters
    ----------
    roots : iterable of str
        Installations besides the known ones.
    source : mapping, optional
        Instead of `os.environ`.
    """
    source = os.environ if source is None else source
    home = Path(source.get("HOME") or source.get("USERPROFILE") or os.path.expanduser("~"))
    found: dict[Path, None] = {}
    for prefix in _candidates(home, tuple(roots), source):
        if len(found) < MAX_FOUND and is_conda(prefix):
            found[Path(os.path.realpath(prefix))] = None
    return list(found)


def _candidates(home: Path, roots: tuple[str, ...], source: Mapping[str, str]) -> Iterator[Path]:
    yield from _listed(home / ".conda" / "environments.txt")
    for folder in _folders(home, roots, source):
        yield folder
        yield from _children(folder / "envs")
    for name in source.get("CONDA_ENVS_PATH", source.get("CONDA_ENVS_DIRS", "")).split(os.pathsep):
        if os.path.isabs(name):
            yield from _children(Path(name))


def _folders(home: Path, roots: tuple[str, ...], source: Mapping[str, str]) -> Iterator[Path]:
    named = [*roots, *(source.get(name, "") for name in ("MAMBA_ROOT_PREFIX", "CONDA_ROOT", "CONDA_PREFIX"))]
    if source.get("CONDA_EXE"):
        named.append(str(Path(source["CONDA_EXE"]).parent.parent))
    yield from (Path(name) for name in named if os.path.isabs(name))
    for name in _ROOTS:
        yield home / name
        yield Path("/opt") / name
    yield home / ".conda"


def _listed(file: Path) -> Iterator[Path]:
    lines = (read_small(file, _LIST_BYTES) or "").splitlines()
    yield from (Path(line) for line in lines[:MAX_FOUND] if os.path.isabs(line) and "\0" not in line)


def _children(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(MAX_FOUND), strict=False)]
    except OSError:
        return
    yield from (folder / name for name in sorted(names))


def conda_name(prefix: Path) -> str:
    """Return the name conda shows: ``base`` for an installation, else that of the folder."""
    return "base" if (prefix / "condabin").is_dir() or (prefix / "envs").is_dir() else prefix.name


def conda_variables(prefix: Path) -> dict[str, str]:
    """Return the variables activation sets besides PATH, short of those of its shell scripts."""
    named = prefix.parent.name == "envs" or conda_name(prefix) == "base"
    return {
        **_stored(prefix),
        "CONDA_PREFIX": str(prefix),
        "CONDA_DEFAULT_ENV": conda_name(prefix) if named else str(prefix),
        "CONDA_SHLVL": "1",
    }


def _stored(prefix: Path) -> dict[str, str]:
    """Read what ``conda env config vars set`` has stored, except what looks like a secret."""
    try:
        state = json.loads(read_small(prefix / "conda-meta" / "state", _STATE_BYTES) or "{}")
        items = state.get("env_vars", {}).items()
    except (ValueError, AttributeError, RecursionError):
        return {}
    return {
        name: value
        for name, value in items
        if isinstance(value, str) and "\0" not in name + value and name.isidentifier() and not denied(name)
    }
