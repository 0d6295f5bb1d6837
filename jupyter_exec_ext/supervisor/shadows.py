"""Modules of the workspace that have the name of one which is loaded already.

``python FILE`` looks beside the file first, so that a ``platform.py`` there is what ``import platform``
gives. A fork of an interpreter that has loaded ``platform`` would not look. Such a block is spawned.
(Python 3.8, standard library only.)
"""

from __future__ import annotations

import os
import sys
import time
from importlib.machinery import all_suffixes
from itertools import islice

#: Entries of a directory that are read; where there are more, each name is looked for by itself.
MOST = 2000
#: Nanoseconds after a change within which a file system may give another one the same time.
TICK = 50_000_000


class Shadows:
    """Remembers of one directory whether it hides loaded modules, until the directory changes.

    What may come to hide one without such a change, within a folder or behind a link, is not remembered.
    """

    def __init__(self) -> None:
        self._suffixes = tuple(all_suffixes())
        self._known: tuple[str, int] | None = None
        self._hidden = self._may_come = False

    def hidden(self, folder: str) -> bool:
        """Whether a module or package in that directory has the name of one that is loaded."""
        try:
            changed = os.stat(folder).st_mtime_ns
            if self._known != (folder, changed):
                self._hidden = self._look(folder)
                # A change in the same tick would leave no trace.
                settled = not self._may_come and time.time_ns() - changed > TICK
                self._known = (folder, changed) if settled else None
        except OSError:
            return False  # there is nothing to import
        return self._hidden

    def _look(self, folder: str) -> bool:
        loaded = {name for name in sys.modules if "." not in name} - set(sys.builtin_module_names)
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, MOST + 1)]
        if len(names) > MOST:
            names = [name + suffix for name in loaded for suffix in ("", *self._suffixes)]
        # Of the many names of a usual directory none is left, so that the rest costs nothing.
        paths = [os.path.join(folder, name) for name in names if self._is_of(name, loaded)]
        self._may_come = any(os.path.islink(path) or os.path.isdir(path) for path in paths)
        return any(map(self._hides, paths))

    def _is_of(self, name: str, loaded: set[str]) -> bool:
        module, dot, _ = name.partition(".")
        return module in loaded and (not dot or name.endswith(self._suffixes))

    def _hides(self, path: str) -> bool:
        if path.endswith(self._suffixes):
            return os.path.isfile(path)
        return any(os.path.isfile(os.path.join(path, "__init__" + suffix)) for suffix in self._suffixes)
