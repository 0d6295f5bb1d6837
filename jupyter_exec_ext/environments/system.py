"""`SystemPythonEnvironment`: the command line of the machine the server runs on."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any, ClassVar

from ..errors import EnvironmentFailed
from ..models import Kind
from ..text import shown
from .base import PythonEnvironment
from .conda import conda_variables, is_conda
from .layout import bin_folders, problem_with
from .variables import prepended

__all__ = ["SystemPythonEnvironment"]


class SystemPythonEnvironment(PythonEnvironment):
    """The server's own interpreter and PATH, with the rights of the server's user: not isolated.

    Where the server runs in a virtual or conda environment, that environment's commands come
    first, so that ``python`` and ``pip`` in a shell block are those of the Python blocks.
    """

    kind: ClassVar[Kind] = "local"

    def __init__(self, name: str = "local", **options: Any) -> None:
        options["display_name"] = options.get("display_name") or "Local command line"
        super().__init__(name, **options)

    def get_executable(self) -> str:
        """Return the server's interpreter."""
        if self.reason is not None:
            raise EnvironmentFailed(self.reason)
        return sys.executable

    @property
    def reason(self) -> str | None:
        """Why the server's interpreter cannot be started again; None where it can."""
        if not sys.executable:
            return "The server does not know its own interpreter; name one in an environment of its own."
        return problem_with(Path(sys.executable))

    @property
    def spec(self) -> dict[str, Any]:
        """The interpreter and its version."""
        return {"origin": "server", "executable": shown(sys.executable), "python": platform.python_version()}

    def variables(self) -> dict[str, str]:
        """Return the allowed variables, and those that activate the server's own environment."""
        if self._in_venv:
            return {**super().variables(), "VIRTUAL_ENV": sys.prefix}
        return {**super().variables(), **(conda_variables(Path(sys.prefix)) if self._in_conda else {})}

    def search_path(self) -> str:
        """Return the server's PATH, with its own environment first."""
        if not self._in_venv and not self._in_conda:
            return super().search_path()
        return prepended(super().search_path(), *bin_folders(Path(sys.prefix), conda=self._in_conda))

    @property
    def _in_venv(self) -> bool:
        return sys.prefix != sys.base_prefix

    @property
    def _in_conda(self) -> bool:
        return not self._in_venv and is_conda(Path(sys.prefix))
