"""Finding the environments that are there already: by their files alone, nothing is started.

A venv below the server's root is a folder with a ``pyvenv.cfg``. The walk is bounded in depth,
folders, entries and time, remembers every folder by its time stamp, and so costs one ``stat`` a
folder when nothing changed.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..text import blank, one_line, shown
from .conda import conda_name, conda_prefixes
from .interpreters import COARSE_NS
from .layout import CONFIG, interpreter, read_config

__all__ = ["Discovery", "Walk", "label_of", "title_of"]

# Large, and never with an environment for people in them.
SKIPPED = frozenset(
    {"node_modules", "site-packages", "__pycache__", "conda-meta", ".git", ".hg", ".svn", ".cache", ".tox",
     ".nox", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".Trash"}
)  # fmt: skip
# Names that say nothing: the project's folder names the environment then.
_GENERIC = frozenset({".venv", "venv", ".env", "env", "virtualenv", ".virtualenv"})
_LABEL_LENGTH = 64
_NUMBER = re.compile(r"-[0-9]+")


@dataclass(frozen=True)
class _Folder:
    stamp: int
    read_at: int
    kind: str  # "venv", "conda" or ""
    folders: tuple[str, ...]

    def holds(self, stamp: int) -> bool:
        """Whether what was read then is still so; a folder just written to may change unseen."""
        return self.stamp == stamp and self.read_at - stamp > COARSE_NS


class Walk:
    """A walk below one folder, which goes on where its last turn had to stop.

    Parameters
    ----------
    root : str
    depth : int
        How many levels below the root.
    max_folders, max_entries : int
        How many folders are looked into, and how many entries of one folder.
    skip : collection of str
        Absolute folders that are passed over.
    """

    def __init__(
        self,
        root: str,
        *,
        depth: int = 4,
        max_folders: int = 5000,
        max_entries: int = 5000,
        skip: Collection[str] = (),
    ) -> None:
        self.root = os.path.realpath(root)
        self.depth = depth
        self.max_folders = max_folders
        self.max_entries = max_entries
        self.skip = frozenset(os.path.realpath(folder) for folder in skip)
        self._known: dict[str, _Folder] = {}
        self._found: dict[str, str] = {}
        # A walk that has begun: what is still to be looked into, what was, and what was found.
        self._todo: deque[tuple[str, int]] = deque()
        self._walked: dict[str, _Folder] = {}
        self._seen: dict[str, str] = {}
        self._walking = threading.Lock()

    def turn(self, seconds: float) -> dict[str, str]:
        """Look again, for at most about that long; folders of environments and their kinds.

        What there was no time for is as it was the last time, and comes first the next time.
        Another thread may be walking: what it finds within that time is there, too.
        """
        deadline = time.monotonic() + seconds
        if not self._walking.acquire(timeout=seconds):
            return {**self._found, **self._seen}
        try:
            return self._walk(deadline)
        finally:
            self._walking.release()

    def _walk(self, deadline: float) -> dict[str, str]:
        if not self._todo:
            self._todo, self._walked, self._seen = deque([(self.root, 0)]), {}, {}
        while self._todo and len(self._walked) < self.max_folders:
            if time.monotonic() > deadline:
                self._found = {**self._found, **self._seen}
                return self._found
            self._step(*self._todo.popleft())
        self._todo.clear()
        self._known, self._found = self._walked, self._seen
        return self._found

    def _step(self, path: str, depth: int) -> None:
        folder = self._look(path)
        if folder is None:
            return
        self._walked[path] = folder
        if folder.kind:
            self._seen[path] = folder.kind
        elif depth < self.depth:
            self._todo.extend((path + os.sep + name, depth + 1) for name in folder.folders)

    def _look(self, path: str) -> _Folder | None:
        if path in self.skip:
            return None
        try:
            stamp = os.stat(path, follow_symlinks=False).st_mtime_ns
            known = self._known.get(path)
            return known if known is not None and known.holds(stamp) else self._read(path, stamp)
        except (OSError, ValueError):
            return None

    def _read(self, path: str, stamp: int) -> _Folder:
        """Read a folder's names; links are not followed, so that no loop and no other disk is entered."""
        now = time.time_ns()
        folders: list[str] = []
        kind = ""
        with os.scandir(path) as entries:
            for entry, _ in zip(entries, range(self.max_entries), strict=False):
                if entry.name == CONFIG:
                    kind = "venv"
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                    kind = kind or ("conda" if entry.name == "conda-meta" else "")
        return _Folder(stamp, now, kind, () if kind else tuple(sorted(set(folders) - SKIPPED)))


class Discovery:
    """The environments of this user that nobody here made, by name.

    Parameters
    ----------
    walk : Walk or None
        Below the server's root; None to look for conda environments alone.
    conda_roots : iterable of str
        Conda installations besides the known ones.
    """

    #: Seconds for which the list of conda environments is kept: it lies in some twenty folders.
    conda_seconds = 2.0

    def __init__(self, walk: Walk | None, conda_roots: Iterable[str] = ()) -> None:
        self._walk = walk
        self._conda_roots = tuple(conda_roots)
        self._conda: list[Path] = []
        self._conda_at = float("-inf")
        self._names: dict[str, str] = {}

    def look(self, taken: Collection[str], seconds: float) -> dict[str, Path]:
        """Return the environments by name; `taken` are the names of others.

        A folder keeps its name as long as this object lives. Of two that want the same name the
        older gets it, the other a number: the same after a restart.
        """
        found = {str(path): path for path in self._prefixes(seconds)}
        held = {name: path for name, path in self._names.items() if path in found and name not in taken}
        named = set(held.values())
        for path in sorted(found.keys() - named, key=_age):
            held[_free_name(_name_of(found[path]), {*held, *taken})] = path
        self._names = held
        return {name: found[path] for name, path in held.items()}

    def look_around(self, seconds: float) -> None:
        """Walk for so long; may run in another thread than `look`, which waits no longer than it may walk."""
        if self._walk is not None:
            self._walk.turn(seconds)

    def _prefixes(self, seconds: float) -> list[Path]:
        ours = os.path.realpath(sys.prefix)
        below = [Path(path) for path in self._walk.turn(seconds)] if self._walk is not None else []
        if time.monotonic() - self._conda_at > self.conda_seconds:
            self._conda = [prefix for prefix in conda_prefixes(self._conda_roots) if _has_python(prefix)]
            self._conda_at = time.monotonic()
        return [prefix for prefix in (*below, *self._conda) if str(prefix) != ours]


def _name_of(prefix: Path) -> str:
    """Return what people call that environment, in whatever script."""
    if not os.path.exists(prefix / CONFIG):
        return shown(conda_name(prefix))
    if prefix.name not in _GENERIC:
        return shown(prefix.name)
    return read_config(prefix).get("prompt") or shown(prefix.parent.name)


def title_of(name: str, prefix: Path) -> str:
    """Return the name to show of the environment that `Discovery.look` found there and named so.

    It is the folder's own, with the number that the name may have got.
    """
    text = _name_of(prefix)
    if blank(text):
        return name.partition(":")[2]
    number = name.removeprefix(f"venv:{label_of(text)}")
    return one_line(text) + (number if _NUMBER.fullmatch(number) else "")


def _has_python(prefix: Path) -> bool:
    return os.path.lexists(interpreter(prefix, conda=True))


def _age(path: str) -> tuple[int, str]:
    for name in (CONFIG, "conda-meta"):
        try:
            return os.stat(os.path.join(path, name)).st_mtime_ns, path
        except OSError:
            continue
    return 0, path


def label_of(text: str) -> str:
    """Make a label of any text: letters, digits, dots, hyphens and underscores of ASCII alone.

    Where letters of another script are lost, a short hash of the text tells it from others, and
    is the same wherever and whenever the label is made.
    """
    whole = unicodedata.normalize("NFKD", text)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", whole.encode("ascii", "ignore").decode())
    label = plain.lstrip("._-").rstrip("-")[:_LABEL_LENGTH] or "environment"
    if not any(character.isalnum() and not character.isascii() for character in whole):
        return label
    mark = "-" + hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return label[: _LABEL_LENGTH - len(mark)] + mark


def _free_name(text: str, taken: Collection[str]) -> str:
    label = label_of(text)
    name, number = f"venv:{label}", 1
    while name in taken:
        number += 1
        suffix = f"-{number}"
        name = f"venv:{label[: _LABEL_LENGTH - len(suffix)]}{suffix}"
    return name
