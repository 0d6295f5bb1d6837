"""`OutputFiles`: the images and the HTML that an execution shows, as files in a directory."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InvalidRequest
from ..kernels.wire import Message
from ..models import new_id
from ..pathfolder import KIND
from ..text import shown

__all__ = ["OutputFiles", "checked_directory"]

#: How many files one execution may make, and of how many bytes together.
MAX_FILES, MAX_BYTES = 200, 64 * 1024 * 1024
#: What is saved, by its suffix: of one display each of these forms, the richest first.
#: Not from `mimetypes`, whose table is the system's and may have another suffix, or none.
_SUFFIXES = {
    "text/html": ".html",
    "image/svg+xml": ".svg",
    "application/pdf": ".pdf",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/x-icon": ".ico",
}
#: Any other image by the name of its type: image/bmp, image/avif, image/x-tga.
_IMAGE = re.compile(r"image/(?:x-)?([a-z0-9]{1,12})")
_FULL = f"Some displays were not saved: {MAX_FILES} files of {MAX_BYTES >> 20} MiB together are the limit."
_TEXT = frozenset({"text/html", "image/svg+xml"})
_SHOWN = frozenset({"display_data", "execute_result"})


class _Item(NamedTuple):
    type: str
    text: str


def checked_directory(path: str | os.PathLike[str] | None) -> Path | None:
    """The directory of that path, absolute; None for None.

    Raises
    ------
    InvalidRequest
        There is none (a ValueError, too).
    """
    if path is None:
        return None
    found = Path(path).expanduser().resolve()
    if not found.is_dir():
        raise InvalidRequest(
            f"There is no directory {shown(path)} for output files; make it, or name another one.",
            field="output_dir",
        )
    return found


class OutputFiles:
    """Saves what one execution shows.

    A thread does the work beside the run. A display that is updated is saved as it was first, and as it was
    last. What cannot be saved is told of in `finish`, and never ends the run.

    Parameters
    ----------
    directory : Path or None
        Absolute and without links: one that takes the place of a part of it later is not followed. None:
        nothing is saved.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        #: The files, in the order in which they were shown.
        self.paths: list[str] = []
        self._notes: list[str] = []
        self._waiting: deque[_Item] = deque()
        self._updates: dict[tuple[str, str], _Item] = {}
        self._work: asyncio.Task[None] | None = None
        self._name, self._number = f"output-{new_id()[:12]}", 0
        self._bytes = self._tried = self._written = 0
        self._over = False

    def take(self, message: Message) -> None:
        """Take a message of the execution; one that shows nothing to save is left out."""
        if self._directory is None or self._over:
            return
        if message.huge and (message.type in _SHOWN or message.type == "update_display_data"):
            size = f"{message.size:,} bytes"
            self._note(f"A display of {size} was not saved: it is over the limit of one message.")
        elif message.type in _SHOWN:
            for item in _items(message.content.get("data")):
                self._put(item)
        elif message.type == "update_display_data":
            self._update(message.content)

    def _update(self, content: dict[str, Any]) -> None:
        transient = content.get("transient")
        name = transient.get("display_id") if isinstance(transient, dict) else None
        for item in _items(content.get("data")) if isinstance(name, (str, int)) else ():
            # An animation is one file, not thousands.
            self._updates[str(name), item.type] = item
            while len(self._updates) > MAX_FILES:
                self._put(self._updates.pop(next(iter(self._updates))))

    def _put(self, item: _Item) -> None:
        """Have it saved, where there is room; a thread that is busy goes on with it afterwards."""
        size = len(item.text) if item.type in _TEXT else len(item.text) // 4 * 3
        if self._number >= MAX_FILES or self._bytes + size > MAX_BYTES:
            self._note(_FULL)
            return
        self._number += 1
        self._bytes += size
        self._waiting.append(item)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(asyncio.to_thread(self._save_all))

    async def finish(self) -> list[str]:
        """Wait until all is saved, and return a note on each thing that is not."""
        self._over = True
        for item in self._updates.values():
            self._put(item)
        self._updates.clear()
        while self._work is not None and (self._waiting or not self._work.done()):
            await asyncio.shield(self._work)
            if self._waiting:  # put there when the thread was about to end
                self._work = asyncio.create_task(asyncio.to_thread(self._save_all))
        return self._notes

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)

    # -- in a thread -----------------------------------------------------------------------------------

    def _save_all(self) -> None:
        while self._waiting:
            item = self._waiting.popleft()
            try:
                self._save(item)
            except binascii.Error:
                self._note(f"A display of {item.type} was not saved: it is not base64.")
            except Exception as error:
                why = getattr(error, "strerror", None) or type(error).__name__
                self._note(
                    f"A display of {item.type} was not saved in {shown(self._directory or '')}: {why}."
                )

    def _save(self, item: _Item) -> None:
        contents = _contents(item)
        if self._directory is None:
            return
        if self._written + len(contents) > MAX_BYTES:  # text that is not ASCII
            self._note(_FULL)
            return
        self._tried += 1
        name = f"{self._name}-{self._tried:03}{_suffix(item.type)}"
        with KIND.strictly_at(self._directory) as folder:
            descriptor = folder.open_file(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY)
            try:
                with open(descriptor, "wb") as file:
                    file.write(contents)
            except OSError:
                folder.remove(name)  # the disk is full
                raise
        self._written += len(contents)
        self.paths.append(str(self._directory / name))


_BINARY = getattr(os, "O_BINARY", 0)


def _items(data: object) -> list[_Item]:
    return [_Item(kind, text) for kind, text in _texts(data)] if isinstance(data, dict) else []


def _texts(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The forms that can be saved, the richest first."""
    for kind in dict.fromkeys((*_SUFFIXES, *filter(_IMAGE.fullmatch, data))):
        value = data.get(kind)
        if isinstance(value, list) and all(isinstance(line, str) for line in value):
            value = "".join(value)  # as nbformat has it
        if isinstance(value, str) and value:
            yield kind, value


def _suffix(kind: str) -> str:
    named = _IMAGE.fullmatch(kind)
    return _SUFFIXES.get(kind) or (f".{named[1]}" if named else "")


def _contents(item: _Item) -> bytes:
    if item.type in _TEXT:
        return shown(item.text).encode("utf-8")
    try:
        return base64.b64decode("".join(item.text.split()), validate=True)
    except ValueError as error:  # also of what is not ASCII
        raise binascii.Error(str(error)) from None
