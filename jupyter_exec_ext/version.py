"""The version: that of ``package.json``, from which the build writes ``_version.py``."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

__all__ = ["__version__"]


def _read() -> str:
    try:
        return str(import_module("._version", __package__).__version__)
    except ModuleNotFoundError:
        return _read_checkout()


def _read_checkout() -> str:
    """The version of a checkout that nothing has been built from."""
    try:
        text = Path(__file__).parents[1].joinpath("package.json").read_text(encoding="utf-8")
        return str(json.loads(text)["version"])
    except (OSError, ValueError, KeyError):
        return "0.0.0"


__version__ = _read()
