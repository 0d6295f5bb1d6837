"""Where things lie in a Python installation: the one place that knows Windows from the others."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ..text import shown

__all__ = ["CONFIG", "bin_folders", "interpreter", "problem_with", "read_config", "read_small"]

_WINDOWS = os.name == "nt"
#: What makes a folder a virtual environment.
CONFIG = "pyvenv.cfg"
_CONFIG_BYTES = 16_384
_VALUE_LENGTH = 200


def interpreter(prefix: Path, *, conda: bool = False) -> Path:
    """Return where the interpreter of a virtual or conda environment is."""
    if _WINDOWS:
        return prefix / "python.exe" if conda else prefix / "Scripts" / "python.exe"
    return prefix / "bin" / "python"


def bin_folders(prefix: Path, *, conda: bool = False) -> tuple[str, ...]:
    """Return the folders which activation puts first on PATH."""
    if not _WINDOWS:
        return (str(prefix / "bin"),)
    if not conda:
        return (str(prefix / "Scripts"),)
    names = ("", "Library/mingw-w64/bin", "Library/usr/bin", "Library/bin", "Scripts", "bin")
    return tuple(str(prefix / name) for name in names)


def problem_with(python: Path) -> str | None:
    """Say why that interpreter cannot start, without starting it; None where it can."""
    try:
        mode = os.stat(python).st_mode
    except OSError as error:
        return _missing(python, error)
    if not stat.S_ISREG(mode):
        return f"Its interpreter {shown(python)} is not a file; make the environment anew."
    if not os.access(python, os.X_OK):
        return f"Its interpreter {shown(python)} may not be executed; check its permissions."
    return None


def _missing(python: Path, error: OSError) -> str:
    which = f"Its interpreter {shown(python)}"
    if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
        return f"{which} cannot be looked at ({error.strerror}); check its permissions."
    try:
        target = shown(os.path.join(python.parent, os.readlink(python)))
    except OSError:  # no link, or gone meanwhile
        return f"{which} is not there; make the environment anew."
    return f"{which} points to {target}, which is not there; make the environment anew."


def read_small(file: Path, limit: int) -> str | None:
    """Read at most `limit` bytes of a regular file; None where it is none or cannot be read.

    Files below a user's directory may be anything: a FIFO would block for ever, a device might do
    something.
    """
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            return None
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError):
        return None
    with open(descriptor, "rb") as opened:
        try:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            return opened.read(limit).decode("utf-8", "replace") if regular else None
        except OSError:
            return None


def read_config(prefix: Path) -> dict[str, str]:
    """Return what ``pyvenv.cfg`` says: ``version``, ``home``, ``prompt`` and more; empty where unreadable."""
    found: dict[str, str] = {}
    for line in (read_small(prefix / CONFIG, _CONFIG_BYTES) or "").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            found[key.strip().lower()] = value.strip().strip("'\"")[:_VALUE_LENGTH]
    version = found.get("version") or found.get("version_info")
    if version:
        found["version"] = version
    return found
