"""The list of a workspace's entries: breadth first, in slices, and bounded in every direction.

A program can make a tree that takes minutes to walk and gigabytes to name. So it is walked a
slice at a time, between turns of the loop, and no further than anybody could use it.
(Python 3.8, standard library only.)
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections import deque

from .frames import CHUNK
from .paths import MAX_DEPTH, MAX_ENTRIES, MAX_LISTED, MAX_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    Entry = dict[str, Any]
    Found = Generator[os.DirEntry[str], None, None]

#: Seconds that a slice may take: as long does whatever else the loop has to do wait for it.
SLICE = 0.002

# What a directory that was there a moment ago may be by now: removed, replaced, or made unreadable.
_CHANGED = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES))


class Listing:
    """A listing that goes on.

    Parameters
    ----------
    scan : callable
        Takes a directory's path in the workspace, and yields what is in it.
    describe : callable
        Takes a path and its entry, and returns what the list says of it.

    Attributes
    ----------
    more : bool
        Whether there is, or may be, more than was named.
    done : bool
        Whether the last slice has been taken.
    """

    def __init__(
        self, scan: Callable[[str], Found], describe: Callable[[str, os.DirEntry[str]], Entry]
    ) -> None:
        self._scan, self._describe = scan, describe
        self._seen = self._size = 0
        self._todo = deque([""])
        self._steps = self._walk()
        self.more = self.done = False

    def slice(self) -> list[Entry]:
        """The next entries, perhaps none yet: what `SLICE` seconds find and one frame holds."""
        entries, until, size = [], time.monotonic() + SLICE, self._size + CHUNK
        for entry in self._steps:
            if entry is not None:
                entries.append(entry)
            if self._size >= size or time.monotonic() >= until:
                return entries
        self.done = True
        return entries

    def close(self) -> None:
        """Let go of the directory that is being read."""
        self._steps.close()

    @property
    def _full(self) -> bool:
        return self._seen >= MAX_ENTRIES or self._size >= MAX_LISTED

    def _walk(self) -> Generator[Entry | None, None, None]:
        """Each step is one entry, or nothing to name: but another moment to stop at."""
        while self._todo:
            folder = self._todo.popleft()
            yield None  # it takes one step for each part to open it
            found = self._scan(folder)
            try:
                for entry in found:
                    if self._full:
                        self.more = True
                        return
                    yield self._take(f"{folder}/{entry.name}" if folder else entry.name, entry)
            except OSError as error:
                self.more = self.more or error.errno not in _CHANGED
            finally:
                found.close()

    def _take(self, path: str, entry: os.DirEntry[str]) -> Entry | None:
        self._seen += 1
        if len(os.fsencode(path)) > MAX_PATH:
            self.more = True  # nobody could ask for it
            return None
        described = self._describe(path, entry)
        self._size += len(json.dumps(described))
        if described["type"] == "directory":
            self._enter_later(path)
        return described

    def _enter_later(self, path: str) -> None:
        if path.count("/") + 1 < MAX_DEPTH:
            self._todo.append(path)
        else:
            self.more = True
