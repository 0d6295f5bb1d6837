"""`DockerPythonEnvironment`: containers of one image, on Docker's engine or Podman's."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar

from ..containers.engine import Engine
from ..containers.images import Image, look_into
from ..containers.program import ProgramVolume
from ..containers.settings import ContainerSettings
from ..errors import EnvironmentFailed, ExecError, NotFound
from ..languages import Language
from ..models import Isolation, Kind
from .base import EnvironmentStatus, Progress, PythonEnvironment
from .variables import allowed_variables

__all__ = ["DockerPythonEnvironment"]


class DockerPythonEnvironment(PythonEnvironment):
    """An image; each session runs in a container of its own.

    Parameters
    ----------
    image : str
        Its name on the engine, or its id.
    name : str
        ``docker:`` and a label.
    engine : Engine, optional
        Else the one that is found as Docker's command finds it.
    settings : ContainerSettings, optional
        What its containers may do.
    program : ProgramVolume, optional
        The supervisor on that engine, which environments of one server share.
    options
        As `PythonEnvironment`. `env_allow` names variables of the server that blocks get; without it they
        get none of them.
    """

    kind: ClassVar[Kind] = "docker"
    isolation: ClassVar[Isolation] = "container"

    def __init__(
        self,
        image: str = "python:3-slim",
        name: str = "docker:python",
        *,
        engine: Engine | None = None,
        settings: ContainerSettings | None = None,
        program: ProgramVolume | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        self.image_name = image
        self.engine = engine or Engine()
        self.settings = settings or ContainerSettings()
        self.program = program or ProgramVolume(self.engine)
        self._image: Image | None = None
        #: Why it cannot be used; empty before anybody has looked.
        self._reason: str | None = ""
        #: Containers that are still to be removed.
        self.left: set[str] = set()

    async def prepare(self, progress: Progress | None = None) -> None:
        """Find out what the image offers. Raises `EnvironmentFailed` where it or the engine is not there."""
        if progress is not None:
            progress(f"looking into the image {self.image_name}", 0, 1)
        await self.look()

    async def look(self) -> Image:
        """Find out whether the image is there, and, where it is another than last time, what it offers.

        Raises `EnvironmentFailed` with the reason, which `reason` then is, too.
        """
        try:
            image = await look_into(self.engine, self.image_name, self._table, self._image)
        except ExecError as error:
            self._reason = error.message
            raise
        self._image, self._reason = image, None
        await self._clear()
        return image

    async def discard(self, container: str) -> None:
        """Remove a container, and what could not be removed before; where the engine is away, later."""
        self.left.add(container)
        with contextlib.suppress(EnvironmentFailed):
            await self._clear()

    async def _clear(self) -> None:
        for container in self.left.copy():
            with contextlib.suppress(NotFound):
                await self._remove(container)
            self.left.discard(container)

    async def _remove(self, container: str) -> None:
        await self.engine.call(lambda client: client.remove_container(container, v=True, force=True))

    async def image(self) -> Image:
        """Return what the image offers, found out once. Raises `EnvironmentFailed`."""
        return self._image or await self.look()

    @property
    def status(self) -> EnvironmentStatus:
        """``preparing`` until somebody has looked; then whether the last look has found it."""
        return "preparing" if self._reason == "" else super().status

    @property
    def reason(self) -> str | None:
        """Why it cannot run anything, as far as it is known."""
        return self._reason or None

    @property
    def spec(self) -> dict[str, Any]:
        """The image, what its containers may do, and what is known of it."""
        spec: dict[str, Any] = {"image": self.image_name, "guarantee": "pid_namespace"}
        for name in ("user", "network", "memory_bytes", "cpus", "pids"):
            spec[name] = getattr(self.settings, name)
        if self._image is not None:
            spec.update(image_id=self._image.id, architecture=self._image.architecture)
        return spec

    def get_executable(self) -> str:
        """Return the path of the image's Python."""
        if self._image is None:
            raise self._unknown()
        if self._image.python is None:
            raise EnvironmentFailed(f"The image {self.image_name} has no Python, which runs the blocks.")
        return self._image.python

    def languages(self) -> dict[str, Language]:
        """Return the languages whose interpreters are in the image."""
        return dict(self._image.languages) if self._image is not None else {}

    def language(self, name: str) -> Language:
        """As `PythonEnvironment`; raises `EnvironmentFailed` before anybody has looked into the image."""
        if self._image is None:
            raise self._unknown()
        return super().language(name)

    def _unknown(self) -> EnvironmentFailed:
        return EnvironmentFailed(self._reason or f"Nobody has looked into the image {self.image_name} yet.")

    def variables(self) -> dict[str, str]:
        """Return the image's own variables, those that name the user, and those the administrator allows."""
        own: Mapping[str, str] = self._image.variables if self._image is not None else {}
        given = allowed_variables(self.env_allow, base=())
        return {"LANG": "C.UTF-8", **own, **given, **self.settings.variables()}
