"""`PrivateFolder`: the directory of a session in which the files of its blocks are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import weakref
from pathlib import Path

from ..errors import EnvironmentFailed, by_system
from ..pathfolder import fresh, real_above, remove_path, set_aside
from ..text import shown

__all__ = ["PrivateFolder"]


class PrivateFolder:
    """A directory that each supervisor of a session finds as new.

    Blocks can write there, and what they have put where the next one's file would be, or in the place of
    the directory itself, must not outlive their supervisor.

    Parameters
    ----------
    given : path, optional
        A temporary directory else, which goes with `remove`, and with the process at the latest. Where
        there is something in it before the first supervisor, it is left as it is.

    Attributes
    ----------
    path : Path or None
        Absolute; None while there is none.
    """

    def __init__(self, given: str | os.PathLike[str] | None) -> None:
        self.path = real_above(given) if given is not None else None
        self._given = self.path
        #: Whether all that is in it is the session's; not known before the first supervisor.
        self._ours: bool | None = None
        self._finalizer: weakref.finalize[[Path, int], PrivateFolder] | None = None

    async def renew(self) -> Path:
        """Make it for a new supervisor. Raises `EnvironmentFailed`."""
        await self.remove()
        old = None
        if self._given is None:
            self.path = real_above(tempfile.mkdtemp(prefix="jupyter-exec-"))
            self._finalizer = weakref.finalize(self, _remove, self.path, os.getpid())
        elif self._ours:
            with contextlib.suppress(OSError):
                old = set_aside(self._given)
        path = self._make()
        if old is not None:
            await _removed(old)
        return path

    @property
    def _what(self) -> str:
        return f"The session's private directory {shown(self.path or '')} cannot be used"

    def _make(self) -> Path:
        assert self.path is not None  # noqa: S101
        try:
            # What an earlier block put in its place is not followed: code would be written there and run.
            # Not in a thread, which would go on, and make it, after we are cancelled and it is removed.
            fresh(self.path)
            if self._ours is None:
                self._ours = not os.listdir(self.path)
        except NotADirectoryError as error:
            raise EnvironmentFailed(
                f"{self._what}: a link or a file has the place of one above it; put that back."
            ) from error
        except OSError as error:
            raise by_system(self._what, error) from error
        return self.path

    async def remove(self) -> None:
        """Remove it, unless it was given."""
        if self._given is None and self.path is not None:
            path, self.path = self.path, None
            if self._finalizer is not None:
                self._finalizer.detach()
            await _removed(path)


async def _removed(path: Path) -> None:
    with contextlib.suppress(OSError):
        await asyncio.to_thread(remove_path, path)


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # a fork of it ends, too
        with contextlib.suppress(OSError):
            remove_path(path)
