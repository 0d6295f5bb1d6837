"""`KernelSpecs`: which kernels can be started here, known without asking anybody slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .gateway import explain

if TYPE_CHECKING:
    from .client import JupyterClient
    from .connection import Logger

__all__ = ["KernelSpecs"]

#: Seconds for which what was found is good: those on disk, and those a gateway told of.
FRESH_LOCAL, FRESH_REMOTE = 1.0, 10.0
#: Seconds for a gateway to answer, and until one that did not is asked again.
ANSWER, AGAIN = 10.0, 3.0
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
        self._trouble: str | None = None
        self._asking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ask, where it takes a while."""
        if self._client.remote:
            self.found()

    async def stop(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def found(self) -> Mapping[str, Mapping[str, Any]]:
        """What there is: by name, each with its ``spec``, where its ``icon`` is, and what else is to say."""
        if not self._client.remote:
            if time.monotonic() - self._looked > FRESH_LOCAL:
                self._looked = time.monotonic()
                self._take(self._client.spec_manager.get_all_specs())
        elif time.monotonic() - self._looked > FRESH_REMOTE and (self._asking is None or self._asking.done()):
            self._asking = asyncio.ensure_future(self._ask())
        return self._found

    async def _ask(self) -> None:
        """Ask a gateway until it answers."""
        while True:
            try:
                specs = await asyncio.wait_for(self._client.specs(), ANSWER)
            except Exception as error:
                self._mark(explain(error))
                await asyncio.sleep(AGAIN)
            else:
                break
        self._mark(None)
        self._take(specs)
        self._looked = time.monotonic()

    def _mark(self, trouble: str | None) -> None:
        """Say that what is known cannot be used, or can again."""
        if trouble != self._trouble:
            text = "The kernels of the gateway cannot be used: %s." if trouble else "The gateway is back.%s"
            self._logger.warning(text, trouble or "")
        self._trouble = trouble
        reason = trouble and f"Its kernels run in a gateway, and {trouble}."
        self._found = {name: {**found, "reason": reason} for name, found in self._found.items()}

    def _take(self, specs: Mapping[str, Mapping[str, Any]]) -> None:
        remote = self._client.remote
        self._found = {
            name: {
                "spec": dict(found.get("spec") or {}),
                "icon": _icon(name, found),
                "gateway": remote,
                "reason": None,
            }
            for name, found in specs.items()
        }


def _icon(name: str, found: Mapping[str, Any]) -> str | None:
    resources = found.get("resources")
    if isinstance(resources, Mapping):  # a gateway's, whose files are not here, but served from here
        there = {str(path).rpartition("/")[2] for path in resources.values()}
    else:
        folder = Path(str(found.get("resource_dir") or ""))
        there = {logo for logo in _LOGOS if (folder / logo).is_file()}
    return next((f"kernelspecs/{name}/{logo}" for logo in _LOGOS if logo in there), None)
