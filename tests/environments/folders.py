"""Folders that look like environments, made without running anything."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def make_venv(prefix: Path, python: str | None = None, config: str = "version = 3.11.4\n") -> Path:
    """A folder with the files by which a virtual environment is known, made without running anything."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "pyvenv.cfg").write_text(f"home = /usr/bin\n{config}")
    (prefix / "bin" / "python").symlink_to(python or sys.executable)
    return prefix


def make_conda(prefix: Path) -> Path:
    """A folder with the files by which a conda environment is known."""
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / "bin").mkdir()
    (prefix / "bin" / "python").symlink_to(sys.executable)
    return prefix


def make_old(folder: Path, seconds: float = 100.0) -> None:
    """Set back the time stamps of everything there, as if it had been made some time ago."""
    for parent, _, files in os.walk(folder):
        for path in (parent, *(os.path.join(parent, file) for file in files)):
            then = os.stat(path, follow_symlinks=False).st_mtime - seconds
            os.utime(path, (then, then), follow_symlinks=False)


def processes_with(text: str) -> list[int]:
    """The processes of this machine whose command line or working directory holds that text."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if text in command:
            found.append(int(entry.name))
    return found


def building(package: str) -> None:
    """Wait until the package of the fixture `slow` is being built."""
    deadline = time.monotonic() + 60
    while not os.path.exists(os.path.join(package, "begun")):
        assert time.monotonic() < deadline, "the package was not built"
        time.sleep(0.05)
