"""What an image offers, found out without running anything of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import EnvironmentFailed, NotFound
from ..languages import Language
from .engine import Engine

__all__ = ["Image", "look_into"]

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHONS = ("python3", "python")
_FILE, _LINK = 0, 1 << 27  # Go's file mode, which is what the engine sends: nothing, or a symbolic link
_EXECUTABLE = 0o111


@dataclass(frozen=True)
class Image:
    """An image that is on the engine.

    Parameters
    ----------
    id : str
        By content: ``sha256:...``.
    architecture : str
        As the engine names it, ``amd64`` for example.
    variables : mapping
        The environment variables it sets.
    python : str or None
        Its interpreter's path; None where it has none.
    languages : mapping
        Those of the table that run in it, with the interpreters' paths.
    volumes : tuple of str
        Where it wants volumes.
    """

    id: str
    architecture: str
    variables: Mapping[str, str]
    python: str | None
    languages: Mapping[str, Language]
    volumes: tuple[str, ...]


async def look_into(
    engine: Engine, name: str, table: Mapping[str, Language], known: Image | None = None
) -> Image:
    """Find out what an image offers; it is never pulled. `known` is returned where it is still that one.

    Raises
    ------
    EnvironmentFailed
        The image is not there, or the engine is away.
    """
    try:
        return await engine.call(lambda client: _look(client, name, table, known), deadline=30.0)
    except NotFound:
        raise EnvironmentFailed(
            f"The image {name} is not on the container engine; prepare the environment, or pull the image."
        ) from None


def _look(client: Any, name: str, table: Mapping[str, Language], known: Image | None) -> Image:
    found = client.inspect_image(name)
    if known is not None and known.id == found["Id"]:
        return known
    config = found.get("Config") or {}
    variables = dict(entry.partition("=")[::2] for entry in config.get("Env") or [])
    # A container that is never started: the engine looks through its files for us.
    container = client.create_container(found["Id"], command=["-"], entrypoint="", network_disabled=True)[
        "Id"
    ]
    try:
        files = _Files(client, container, variables.get("PATH", _PATH))
        python = next(filter(None, map(files.which, _PYTHONS)), None)
        languages = {key: _resolved(language, files, python) for key, language in table.items()}
    finally:
        client.remove_container(container, v=True, force=True)
    here = {key: language for key, language in languages.items() if language is not None}
    volumes = tuple(config.get("Volumes") or ())
    return Image(found["Id"], found.get("Architecture", ""), variables, python, here, volumes)


def _resolved(language: Language, files: _Files, python: str | None) -> Language | None:
    if language.policy != "run":
        return language
    for command in (language.command, *language.others):
        if command[:1] == ("{python}",):
            if python is None:
                continue
            return language
        program = files.which(command[0]) if command else None
        if program is not None:
            return dataclasses.replace(language, command=(program, *command[1:]), others=())
    return None


class _Files:
    """The programs of an image."""

    def __init__(self, client: Any, container: str, path: str) -> None:
        self._client, self._container = client, container
        self._folders = [folder for folder in path.split(":") if folder.startswith("/")]

    def which(self, program: str) -> str | None:
        """Return the path of a program; None where it has none."""
        if program.startswith("/"):
            return program if self._runs(program) else None
        return next(filter(self._runs, (f"{folder}/{program}" for folder in self._folders)), None)

    def _runs(self, path: str) -> bool:
        import docker.errors

        try:
            stream, stat = self._client.get_archive(self._container, path)
        except docker.errors.NotFound:
            return False
        stream.close()
        mode = int(stat["mode"])
        return bool(mode & _LINK) or not mode >> 9 and bool(mode & _EXECUTABLE)
