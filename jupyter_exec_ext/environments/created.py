"""`CreatedEnvironments`: what was made here, by its files; it outlives the server.

::

    <data_dir>/<label>/environment.json        what it is and whether it is ready
    <data_dir>/<label>/venv/                   the environment
    <data_dir>/.making/<label>/                a `Lease`, held while it is being made or removed
    <data_dir>/.using/<label>/                 who uses it: see `Usage`
    <data_dir>/.removing-*/                    what is being removed

Another server of the same user sees the same files; a record that says ``preparing`` and has no
live lease was left by a server that was killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import secrets
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import Conflict, Unavailable
from ..fields import LABEL
from ..folders import Folder
from ..lease import Lease
from ..models import now
from ..pathfolder import open_folder
from ..supervisor.portable.files import is_link
from ..text import shown
from .building import Recipe
from .layout import read_small
from .venv import MARKER, REMOVING, remove_whole

__all__ = ["CreatedEnvironments", "Record"]

_RECORD = "environment.json"
_RECORD_BYTES = 2_000_000
_MAKING = ".making"
_CLAIM_SECONDS = 0.5
_LABEL = re.compile(LABEL)


@dataclass(frozen=True)
class Record:
    """What is kept of an environment that was made here.

    Parameters
    ----------
    name : str
    status : {"preparing", "ready", "failed"}
    reason : str or None
        Why it failed.
    display_name, python : str or None
        As they were asked for.
    packages, preload : list of str
    requirements : str or None
    created_at : str
    """

    name: str
    status: str = "preparing"
    reason: str | None = None
    display_name: str | None = None
    python: str | None = None
    packages: list[str] = field(default_factory=list)
    requirements: str | None = None
    preload: list[str] = field(default_factory=list)
    created_at: str = field(default_factory=now)

    @property
    def recipe(self) -> Recipe:
        """What it is made of. Raises `InvalidRequest` where that cannot be right."""
        return Recipe(self.python, tuple(self.packages), self.requirements)

    @property
    def label(self) -> str:
        """The part of the name that is its folder's."""
        return self.name.partition(":")[2]


class CreatedEnvironments:
    """The folder of what was made here.

    Parameters
    ----------
    folder : Path
        Made, with mode 0700, when the first environment is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._records: dict[str, tuple[tuple[int, ...], Record | None]] = {}

    @property
    def obstacle(self) -> str | None:
        """Why nothing in the folder is used, nor made or removed; None where it is a directory, or not there.

        A block could put a link in its place, and what that leads to is not ours.
        """
        try:
            status = os.lstat(self.folder)
        except OSError:
            return None
        if stat.S_ISDIR(status.st_mode) and not is_link(status):
            return None
        what = "a link, and links are not followed" if is_link(status) else "no directory"
        return (
            f"the directory of created environments {shown(self.folder)} is {what}; remove it, or name "
            "another one (EnvironmentRegistry.data_dir)."
        )

    def prefix(self, record: Record) -> Path:
        """Return where the environment itself is."""
        return self.folder / record.label / "venv"

    def records(self) -> dict[str, Record]:
        """Return what there is, by name, without what a killed server left half-made."""
        found: dict[str, tuple[tuple[int, ...], Record | None]] = {}
        for label in self._labels():
            entry = self._entry(label)
            if entry is not None:
                found[label] = entry
        self._records = found
        kept = [record for _, record in found.values() if record is not None]
        return {record.name: record for record in kept if not self._abandoned(record)}

    def claim(self, label: str) -> Lease:
        """Take the right to make or remove the environment of that label, until it is released.

        Raises `Conflict` where another server is at it, and `Unavailable` where there is an `obstacle`.
        """
        obstacle = self.obstacle
        if obstacle is not None:
            raise Unavailable(f"venv:{label} could not be created or removed: {obstacle}")
        for folder in (*reversed(self.folder.parents), self.folder):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
        lease = self._lease(label)
        deadline = time.monotonic() + _CLAIM_SECONDS
        while True:
            try:
                lease.acquire()
                return lease
            except Conflict:
                if time.monotonic() > deadline:
                    raise Conflict(
                        f"venv:{label} is being made or removed already; wait until that has ended."
                    ) from None
                time.sleep(0.02)

    def begin(self, record: Record) -> None:
        """Make the environment's folder and record; the label is claimed.

        Raises `Conflict` where it is there, unless it failed, was never finished, or has lost its record.
        """
        label, folder = record.label, self.folder / record.label
        old = self._read(label)
        others = (folder / "venv").exists() and not self._is_ours(label)
        if old.status == "ready" if old is not None else others:
            raise Conflict(f"{record.name} is there already; delete it first, or choose another name.")
        self.discard(label)
        folder.mkdir(mode=0o700)
        self.write(record)

    def write(self, record: Record) -> None:
        """Write the record; a reader sees the old one or the new one, whole."""
        file = self.folder / record.label / _RECORD
        draft = file.with_name(f".{_RECORD}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as opened:
            json.dump(dataclasses.asdict(record), opened)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(draft, file)

    def discard(self, label: str) -> None:
        """Remove the environment and its record; the label is claimed."""
        with contextlib.suppress(FileNotFoundError), self._open() as folder:
            remove_whole(folder, label)

    def sweep(self) -> list[str]:
        """Remove what killed servers left half-made or half-removed; the labels of it."""
        self._lease(None).sweep()
        for name in self._names():
            if name.startswith(REMOVING):
                with contextlib.suppress(OSError), self._open() as folder:  # another server is at it
                    folder.remove(name)
        return [label for label in self._labels() if self._sweep(label)]

    def _sweep(self, label: str) -> bool:
        record = self._read(label)
        if record is None or not self._abandoned(record):
            return False
        try:
            with self.claim(label):
                # Its server may have finished it, and given it up, since we looked.
                record = self._read(label)
                if record is None or record.status != "preparing":
                    return False
                self.discard(label)
        except Conflict:
            return False
        return True

    def _abandoned(self, record: Record) -> bool:
        if record.status != "preparing" or self._lease("probe").alive(record.label):
            return False
        # The record is written before the lease is given up: it may be another one by now.
        again = self._read(record.label)
        return again is not None and again.status == "preparing"

    def _names(self) -> list[str]:
        try:
            with self._open() as folder:
                return sorted(name for name in folder.names() if _is_directory(folder, name))
        except OSError:
            return []

    def _open(self) -> Folder:
        """The folder itself. Raises `NotADirectoryError` where a link is in its place."""
        with open_folder(self.folder.parent) as above:
            return above.child(self.folder.name)

    def _lease(self, server: str | None) -> Lease:
        return Lease(server, self.folder / _MAKING, below=self.folder.parent)

    def _labels(self) -> list[str]:
        return [name for name in self._names() if not name.startswith(".")]

    def _entry(self, label: str) -> tuple[tuple[int, ...], Record | None] | None:
        try:
            found = os.stat(self.folder / label / _RECORD, follow_symlinks=False)
        except OSError:
            damaged = self._damaged(label)
            return None if damaged is None else ((), damaged)
        # A record is replaced as a whole: another one is another file.
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        known = self._records.get(label)
        if known is not None and known[0] == stamp:
            return known
        return stamp, self._read(label) or self._damaged(label)

    def _damaged(self, label: str) -> Record | None:
        """What stands for an environment without a record that can be read; None while it is being made."""
        if not _LABEL.fullmatch(label) or not self._is_ours(label):
            return None
        if self._lease("probe").alive(label):
            return None
        record = shown(self.folder / label / _RECORD)
        reason = f"Its record {record} is missing or damaged; delete it, or create it anew."
        return Record(f"venv:{label}", "failed", reason, created_at="")

    def _is_ours(self, label: str) -> bool:
        return os.path.lexists(self.folder / label / "venv" / MARKER)

    def _read(self, label: str) -> Record | None:
        text = read_small(self.folder / label / _RECORD, _RECORD_BYTES)
        try:
            record = _record_of(json.loads(text)) if text else None
        except (ValueError, TypeError, AttributeError, RecursionError):
            return None
        return record if record is not None and record.label == label else None


def _is_directory(folder: Folder, name: str) -> bool:
    with contextlib.suppress(FileNotFoundError):  # it has gone meanwhile
        return folder.is_directory(name)
    return False


def _record_of(given: dict[str, Any]) -> Record:
    """Make a record of what a file says; a later version's fields are passed over."""
    names = {item.name for item in dataclasses.fields(Record)}
    record = Record(**{key: value for key, value in given.items() if key in names})
    texts = [record.name, record.status, *record.packages, *record.preload]
    may_lack = [record.reason, record.display_name, record.python, record.requirements]
    if not all(isinstance(item, str) for item in [*texts, *(item for item in may_lack if item is not None)]):
        raise ValueError("a record's values are text")
    _ = record.recipe
    return record
