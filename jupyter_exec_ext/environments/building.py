"""Making a virtual environment: with uv where it is found, else with venv and pip."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import EnvironmentFailed, InvalidRequest
from ..text import shown
from .base import Progress
from .layout import interpreter
from .tools import Tool

__all__ = ["Recipe", "build", "check_python"]

# `venv` and `pip` import from the current folder unless they are isolated from it.
_ISOLATED = "-I"


@dataclass(frozen=True)
class Recipe:
    """What a new virtual environment is made of.

    Parameters
    ----------
    python : str or None
        A version (``3.12``), a name on PATH, or an absolute path; None for the server's own.
    packages : tuple of str
        As one would name them to pip; none of them an option.
    requirements : str or None
        The text of a requirements file, options included.
    """

    python: str | None = None
    packages: tuple[str, ...] = ()
    requirements: str | None = None

    def __post_init__(self) -> None:
        for package in self.packages:
            _check("packages", package, "not a package; options belong into requirements")
        if self.python is not None:
            _check("python", self.python, "not a Python; give its version (3.12), name or absolute path")
        _check_text("requirements", self.requirements or "")

    @property
    def installs(self) -> bool:
        """Whether there is anything to install."""
        return bool(self.packages or (self.requirements or "").strip())


def _check(field: str, value: str, advice: str) -> None:
    _check_text(field, value)
    if not value.strip() or value.strip().startswith("-"):
        wrong = "an option" if value.strip() else "empty"
        raise InvalidRequest(f"{field}: {value[:80]!r} is {wrong}, {advice}.", field=field)
    if any(ord(character) < 32 for character in value):
        raise InvalidRequest(f"{field}: {value[:80]!r} holds a control character; remove it.", field=field)


def _check_text(field: str, text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest(f"{field} holds a lone surrogate, which is not text.", field=field) from None
    if "\0" in text:
        raise InvalidRequest(f"{field} holds a NUL character, which no requirement can have.", field=field)


def check_python(python: str | None) -> None:
    """Look at the file that a path names, without starting it; a name is looked for when it is needed.

    Raises `InvalidRequest` where it can be no Python. A folder may be an installation with one in it.
    """
    if python is None or not os.path.isabs(python):
        return
    file = interpreter(Path(python)) if os.path.isdir(python) else Path(python)
    try:
        runs = stat.S_ISREG(os.stat(file).st_mode) and os.access(file, os.X_OK)
    except (OSError, ValueError):
        runs = False
    if not runs:
        advice = "give a version (3.12), a name on PATH, or the absolute path of a Python"
        raise InvalidRequest(
            f"python: {python[:80]!r} is no program that can be started; {advice}.", field="python"
        )


async def build(prefix: Path, recipe: Recipe, tool: Tool, uv: str | None, progress: Progress) -> None:
    """Make the environment at `prefix`, step by step.

    Raises `EnvironmentFailed` with the tool's last lines; removing what is half-made is the
    caller's.
    """
    with _asked_for(recipe.python):
        steps = _uv_steps(prefix, recipe, uv) if uv else _pip_steps(prefix, recipe)
    for number, (label, command) in enumerate(steps):
        progress(label, number, len(steps))
        with _asked_for(None if number else recipe.python):
            await tool.run(command, _teller(progress, number, len(steps)))
    if not os.access(interpreter(prefix), os.X_OK):
        raise EnvironmentFailed(f"{steps[0][1][0]} ended well, yet {shown(interpreter(prefix))} is not there")
    progress("Ready", len(steps), len(steps))


@contextmanager
def _asked_for(python: str | None) -> Iterator[None]:
    """Name the Python in what goes wrong with it, where one was asked for."""
    try:
        yield
    except EnvironmentFailed as error:
        if python is None:
            raise
        raise EnvironmentFailed(f"the python {python[:80]!r} could not be used: {error.message}") from error


def _teller(progress: Progress, number: int, total: int) -> Callable[[str], None]:
    return lambda line: progress(line, number, total)


Steps = list[tuple[str, list[str]]]


def _uv_steps(prefix: Path, recipe: Recipe, uv: str) -> Steps:
    # --seed: without a pip of its own, `pip install` in a block would find the server's.
    python = recipe.python or sys.executable
    make = [uv, "venv", "--seed", "--no-project", "--allow-existing", "--python", python, str(prefix)]
    install = [uv, "pip", "install", "--python", str(interpreter(prefix))]
    return _steps(prefix, recipe, "uv", make, install)


def _pip_steps(prefix: Path, recipe: Recipe) -> Steps:
    make = [_find_python(recipe.python), _ISOLATED, "-m", "venv", str(prefix)]
    install = [str(interpreter(prefix)), _ISOLATED, "-m", "pip", "install", "--progress-bar", "off"]
    return _steps(prefix, recipe, "venv", make, install)


def _steps(prefix: Path, recipe: Recipe, with_what: str, make: list[str], install: list[str]) -> Steps:
    steps = [(f"Creating the virtual environment with {with_what}", make)]
    if recipe.installs:
        file = requirements_file(prefix)
        wanted = ["-r", str(file)] if (recipe.requirements or "").strip() else []
        steps.append(("Installing the packages", [*install, *wanted, *recipe.packages]))
    return steps


def requirements_file(prefix: Path) -> Path:
    """Return where the requirements of the environment at `prefix` are kept: beside it."""
    return prefix.with_name(prefix.name + ".requirements.txt")


def _find_python(python: str | None) -> str:
    if python is None:
        return sys.executable
    name = f"python{python}" if python[:1].isdigit() else python
    found = shutil.which(name)
    if found is None:
        raise EnvironmentFailed(f"there is no {name} on PATH, and without uv none can be fetched.")
    return found
