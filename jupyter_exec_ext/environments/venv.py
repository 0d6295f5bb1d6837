"""`VenvPythonEnvironment`: a Python virtual environment, or a conda environment, by its folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from ..errors import Conflict, EnvironmentFailed
from ..folders import Folder
from ..models import Kind
from ..pathfolder import open_folder
from ..text import one_line, shown
from .base import EnvironmentStatus, Progress, PythonEnvironment
from .building import Recipe, build, requirements_file
from .conda import conda_variables, is_conda
from .layout import CONFIG, bin_folders, interpreter, problem_with, read_config, read_small
from .tools import Tool, find_uv, installer_variables
from .variables import prepended

__all__ = [
    "REMOVING",
    "VenvPythonEnvironment",
    "finish",
    "remove_whole",
]

T = TypeVar("T")

REMOVING = ".removing-"
MARKER = ".jupyter_exec_ext"
HALF_MADE, WHOLE = "preparing\n", "ready\n"
#: The oldest Python that the supervisor runs on.
LEAST_VERSION = (3, 8)
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})")


class VenvPythonEnvironment(PythonEnvironment):
    """A virtual environment at `prefix`: one that is there, or one that `prepare` makes there.

    Nothing in it is executed to describe it: the folder may be anybody's.

    Parameters
    ----------
    name : str
        ``venv:`` and a label.
    prefix : Path
        Its absolute folder.
    recipe : Recipe, optional
        What `prepare` makes it of; None for an environment that is not ours.
    installer : {"auto", "uv", "pip"}
        What makes it; ``auto`` is uv where it is found.
    installer_memory : int
        Bytes of memory that each process of that may have; 0 for no limit.
    folder : Path, optional
        Where relative paths in the requirements begin; else the folder that `prefix` is in.
    **options
        As for `PythonEnvironment`.
    """

    kind: ClassVar[Kind] = "venv"

    def __init__(
        self,
        name: str,
        prefix: Path,
        *,
        recipe: Recipe | None = None,
        installer: Literal["auto", "uv", "pip"] = "auto",
        installer_memory: int = 0,
        folder: Path | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        self.prefix = prefix
        self.recipe = recipe
        self.installer, self.installer_memory = installer, installer_memory
        self.folder = folder or prefix.parent
        self.conda = recipe is None and is_conda(prefix)
        self._interpreter = interpreter(prefix, conda=self.conda)
        self._version: tuple[int, str | None] = (0, None)
        #: Descriptors that stay open until the last process of the preparation is gone.
        self.keep: tuple[int, ...] = ()
        #: Whether somebody prepares it, or is about to.
        self.preparing = False
        #: Why the last preparation failed.
        self.failure: str | None = None
        self._building = False
        self._place: Folder | None = None

    def get_executable(self) -> str:
        """Return the environment's interpreter; raises `EnvironmentFailed` where it is gone."""
        reason = self.reason
        if reason is not None:
            named = reason == self.failure  # that one begins with its name
            raise EnvironmentFailed(reason if named else f"{self.name} cannot be used: {reason}")
        return str(self._interpreter)

    @property
    def _marker(self) -> Path:
        """A file in what we make, which says whether it is whole; also after we were killed."""
        return self.prefix / MARKER

    @property
    def status(self) -> EnvironmentStatus:
        """Whether it is there, whole."""
        return "preparing" if self.preparing else super().status

    @property
    def reason(self) -> str | None:
        """Why it cannot be used, in a sentence; None where it can."""
        if self.preparing:
            return "It is being prepared; wait until it is ready."
        if self.failure is not None:
            return self.failure
        if self.recipe is not None and read_small(self._marker, 100) == HALF_MADE:
            return "Its preparation was broken off; delete it and create it again."
        return problem_with(self._interpreter) or self._too_old()

    def _too_old(self) -> str | None:
        version = self._python_version() or ""
        found = _VERSION.match(version)
        if found is None or tuple(map(int, found.groups())) >= LEAST_VERSION:
            return None
        least = ".".join(map(str, LEAST_VERSION))
        return f"It has Python {version}, and {least} or newer is needed; make it anew with that."

    @property
    def spec(self) -> dict[str, Any]:
        """Its folder and Python version, and what it was made of where we made it."""
        made = self.recipe
        found: dict[str, Any] = {
            "origin": "conda" if self.conda else "created" if made else "found",
            "path": shown(self.prefix),
            "python": self._python_version(),
        }
        if made is not None:
            found.update(packages=list(made.packages), requirements=bool((made.requirements or "").strip()))
        return found

    def _python_version(self) -> str | None:
        """Return what ``pyvenv.cfg`` says, read again when the file is another."""
        try:
            stamp = os.stat(self.prefix / CONFIG).st_mtime_ns
        except OSError:
            return None
        if self._version[0] != stamp:
            version = read_config(self.prefix).get("version")
            self._version = (stamp, version and one_line(version))
        return self._version[1]

    def variables(self) -> dict[str, str]:
        """Return the allowed variables and those that activation sets."""
        variables = super().variables()
        if not self.conda:
            return {**variables, "VIRTUAL_ENV": str(self.prefix)}
        variables.pop("VIRTUAL_ENV", None)
        return {**variables, **conda_variables(self.prefix)}

    def search_path(self) -> str:
        """Return the server's PATH, with this environment first."""
        return prepended(super().search_path(), *bin_folders(self.prefix, conda=self.conda))

    async def prepare(self, progress: Progress | None = None) -> None:
        """Make the environment; nothing where it is ready.

        Raises
        ------
        EnvironmentFailed
            With the last lines of the tool that failed. As when it is cancelled, no process and
            no file is left.
        Conflict
            Where its folder holds something else.
        """
        if self.recipe is None or self.reason is None:
            return
        if self._building:
            raise Conflict(f"{self.name} is being prepared already; wait until it is ready.")
        self._check_free()
        self._building = self.preparing = True
        try:
            await finish(self._begin)
            await self._build(self.recipe, progress or _silent)
            _write_private(self._marker, WHOLE)
        except BaseException as error:
            await finish(self._clear)
            if isinstance(error, OSError):
                raise EnvironmentFailed(f"{self.name} could not be made: {error}.") from error
            raise
        finally:
            self._building = self.preparing = False
            self._leave()

    def _check_free(self) -> None:
        if os.path.lexists(self.prefix) and not self._marker.is_file():
            raise Conflict(
                f"{self.name} cannot be made: {shown(self.prefix)} is there already; remove it first."
            )

    def _begin(self) -> None:
        self.prefix.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._place = open_folder(self.prefix.parent)
        for folder in (self.prefix, self._temporary):
            remove_whole(self._place, folder.name)
            folder.mkdir(mode=0o700)
        _write_private(self._marker, HALF_MADE)
        if self.recipe is not None and self.recipe.requirements is not None:
            _write_private(requirements_file(self.prefix), self.recipe.requirements)

    async def _build(self, recipe: Recipe, progress: Progress) -> None:
        uv = find_uv() if self.installer != "pip" else None
        if uv is None and self.installer == "uv":
            raise EnvironmentFailed(f"{self.name} could not be made: uv is not installed; install it first.")
        # What an installer that is broken off leaves in its temporary directory goes with it.
        places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self._temporary))
        variables = {**installer_variables(self.env_allow), **places}
        tool = Tool(self.folder, variables, self.keep, self.installer_memory)
        try:
            await build(self.prefix, recipe, tool, uv, progress)
        except EnvironmentFailed as error:
            raise EnvironmentFailed(f"{self.name} could not be made: {error.message}") from error
        if self._place is not None:
            await finish(partial(remove_whole, self._place, self._temporary.name))

    @property
    def _temporary(self) -> Path:
        return self.prefix.with_name(self.prefix.name + ".tmp")

    async def remove(self) -> None:
        """Remove what `prepare` made. Raises `Conflict` where the environment is not ours."""
        if self.recipe is None or not self._marker.is_file():
            await super().remove()
        await finish(self._clear)

    def _clear(self) -> None:
        # Where it was made: a block may have put something else at that path meanwhile.
        with contextlib.suppress(FileNotFoundError):
            self._place = self._place or open_folder(self.prefix.parent)
            for path in (self._temporary, self.prefix, requirements_file(self.prefix)):
                remove_whole(self._place, path.name)
        self._leave()

    def _leave(self) -> None:
        if self._place is not None:
            self._place.close()
            self._place = None


def _silent(label: str, current: int, total: int) -> None:
    """Tell nobody."""


async def finish(work: Callable[[], T]) -> T:
    """Do that in a thread and wait until it is done, however often we are cancelled meanwhile."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    cancelled: asyncio.CancelledError | None = None
    while not working.done():
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:
            break  # it is the work's own, and raised below
    if cancelled is not None and working.exception() is None:
        raise cancelled
    return working.result()


def _write_private(file: Path, text: str) -> None:
    # Not into what is there: a block may have put a link to another file in its place.
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
        os.replace(draft, file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def remove_whole(folder: Folder, name: str) -> None:
    """Remove what has that name in a folder, with all that is in it; no link is followed.

    It takes another name first (one that begins with `REMOVING`), so that nothing half-removed
    ever looks whole. Nothing happens where there is nothing.
    """
    doomed = f"{REMOVING}{secrets.token_hex(8)}"
    with contextlib.suppress(FileNotFoundError):
        folder.rename(name, doomed)
        folder.remove(doomed)
