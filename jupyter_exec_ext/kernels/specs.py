"""`KernelSpecs`: which kernels can be started here, known without asking anybody slow."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async

if TYPE_CHECKING:
    from .client import JupyterClient
    from .connection import Logger

__all__ = ["KernelSpecs"]

#: Seconds for which what was found is good: those on disk, and those a gateway told of.
FRESH_LOCAL, FRESH_REMOTE = 1.0, 30.0
_LOGOS = ("logo-svg.svg", "logo-64x64.png", "logo-32x32.png")


class KernelSpecs:
    """The kernelspecs of a server.

    They are read from disk, which takes a millisecond for each; a gateway is asked beside whoever wants to
    know, who gets what it said last.

    Parameters
    ----------
    client : JupyterClient
    logger : logging.Logger
    """

    def __init__(self, client: JupyterClient, logger: Logger) -> None:
        self._client, self._logger = client, logger
        self._found: dict[str, dict[str, Any]] = {}
        self._looked = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    def found(self) -> Mapping[str, Mapping[str, Any]]:
        """What there is: by name, each with its ``spec``, and where its ``icon`` is."""
        if time.monotonic() - self._looked > (FRESH_REMOTE if self._remote else FRESH_LOCAL):
            self._looked = time.monotonic()
            if self._remote:
                self._asking = asyncio.ensure_future(self.ask())
            else:
                self._take(self._client.spec_manager.get_all_specs())
        return self._found

    @property
    def _remote(self) -> bool:
        return inspect.iscoroutinefunction(self._client.spec_manager.get_all_specs)

    async def ask(self) -> None:
        """Look now, wherever they are."""
        try:
            self._take(await ensure_async(self._client.spec_manager.get_all_specs()))
        except Exception as error:
            self._logger.warning("The kernels that can be started could not be listed: %s", error)
        self._looked = time.monotonic()

    def _take(self, specs: Mapping[str, Mapping[str, Any]]) -> None:
        self._found = {
            name: {"spec": dict(found.get("spec") or {}), "icon": _icon(name, found)}
            for name, found in specs.items()
        }


def _icon(name: str, found: Mapping[str, Any]) -> str | None:
    resources = found.get("resources")
    if isinstance(resources, Mapping):  # a gateway's, whose files are not here
        return next((str(path) for key, path in resources.items() if "logo" in key), None)
    folder = Path(str(found.get("resource_dir") or ""))
    return next((f"kernelspecs/{name}/{logo}" for logo in _LOGOS if (folder / logo).is_file()), None)
