"""File requests: a list, a file out, a file in, a removal; in pieces, between turns of the loop.

(Python 3.8, standard library only.)
"""

from __future__ import annotations

import errno
import os

from .frames import CHUNK, DATA, WINDOW, control, frame
from .paths import MAX_ENTRIES, FileRefused, parts_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from .listing import Listing

    class NewFile(Protocol):
        """A file while it is written."""

        def write(self, data: bytes) -> None: ...
        def commit(self) -> int: ...
        def discard(self) -> None: ...

    class Workspace(Protocol):
        """The files of a workspace: `files.Workspace`, or `portable.files.Workspace`."""

        def open(self, path: str) -> tuple[int, int]: ...
        def create(self, path: str) -> NewFile: ...
        def delete(self, path: str) -> None: ...
        def list(self) -> Listing: ...


#: Characters of a refusal: what is refused may itself be long.
MOST_SAID = 2000
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class Reading:
    """A file on its way out, and how many chunks of it are wanted now.

    No more than `size` bytes of it go out, which the server holds us to: of a file that grows, what was
    there when it was opened. Those in ``/proc`` have no size, and are read to their end.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor, self.wanted = descriptor, WINDOW
        self._left = size if size else None

    def read(self) -> bytes:
        """The next chunk; nothing at the end."""
        if self._left is None:
            return os.read(self.descriptor, CHUNK)
        data = os.read(self.descriptor, min(CHUNK, self._left))
        self._left -= len(data)
        return data


class Desk:
    """Answers file requests, each on its own channel.

    Parameters
    ----------
    workspace : Workspace
    send : callable
        Takes the bytes of a frame.
    """

    def __init__(self, workspace: Workspace, send: Callable[[bytes], None]) -> None:
        self._workspace, self._send = workspace, send
        self._reading: dict[int, Reading] = {}
        self._writing: dict[int, NewFile] = {}
        self._listing: dict[int, Listing] = {}

    @property
    def busy(self) -> bool:
        """Whether there is a piece of a file or of a list to send."""
        return bool(self._listing) or any(reading.wanted for reading in self._reading.values())

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way in or out."""
        return not (self._reading or self._listing or self._writing)

    def handle(self, channel: int, op: str, fields: dict[str, Any]) -> None:
        """Begin, or do, what a control frame asks."""
        if op == "abandon":
            self._abandon(channel)
            return
        if op == "more":
            self._more(channel, fields)
            return
        action = {"list": self._list, "get": self._get, "put": self._put, "delete": self._delete}.get(op)
        try:
            if action is None:
                raise FileRefused("invalid", f"This supervisor does not know {op[:40]!r}.")
            action(channel, str(fields.get("path", "")))
        except (FileRefused, OSError) as error:
            self._refuse(channel, error)

    def _refuse(self, channel: int, error: FileRefused | OSError) -> None:
        if isinstance(error, FileRefused):
            reason, text = error.reason, str(error)
        elif error.errno in _FULL:
            reason, text = "no_space", "There is no space left on the disk for this; remove something first."
        else:
            reason, text = "refused", f"{error.strerror}."
        self._send(control(channel, "refused", reason=reason, message=text[:MOST_SAID]))

    def _list(self, channel: int, path: str) -> None:
        self._listing[channel] = self._workspace.list()

    def _get(self, channel: int, path: str) -> None:
        descriptor, size = self._workspace.open(path)
        self._reading[channel] = Reading(descriptor, size)
        self._send(control(channel, "size", size=size))

    def _more(self, channel: int, fields: dict[str, Any]) -> None:
        reading = self._reading.get(channel)
        if reading is not None:
            reading.wanted += int(fields["chunks"])

    def _put(self, channel: int, path: str) -> None:
        parts_of(path)
        self._writing[channel] = self._workspace.create(path)
        self._send(control(channel, "go"))

    def _delete(self, channel: int, path: str) -> None:
        self._workspace.delete(path)
        self._send(control(channel, "done"))

    def data(self, channel: int, payload: bytes) -> None:
        """A piece of a file that comes in; an empty one ends it."""
        file = self._writing.get(channel)
        if file is None:
            return  # it was refused while the piece was on its way
        try:
            if payload:
                file.write(payload)
                return
            del self._writing[channel]
            os.close(file.commit())
            self._send(control(channel, "done"))
        except (OSError, FileRefused) as error:
            if self._writing.pop(channel, None) is not None:
                file.discard()
            self._refuse(channel, error)

    def proceed(self) -> None:
        """Send the next piece of each file that goes out, and of one list."""
        for channel, reading in list(self._reading.items()):
            try:
                self._read_on(channel, reading)
            except OSError as error:  # a disk or a network file system that failed
                self._abandon(channel)
                self._refuse(channel, error)
        # A slice of a list takes its time, so each turn has one: of that which has waited longest.
        for channel in list(self._listing)[:1]:
            try:
                self._list_on(channel, self._listing.pop(channel))
            except (OSError, FileRefused) as error:
                self._refuse(channel, error)

    def _read_on(self, channel: int, reading: Reading) -> None:
        if not reading.wanted:
            return
        data = reading.read()
        if data:
            reading.wanted -= 1
            self._send(frame(DATA, channel, data))
            return
        del self._reading[channel]
        os.close(reading.descriptor)
        self._send(control(channel, "done"))

    def _list_on(self, channel: int, listing: Listing) -> None:
        entries = listing.slice()
        if entries:
            self._send(control(channel, "entries", entries=entries))
        if listing.done:
            self._send(control(channel, "done", more=listing.more, limit=MAX_ENTRIES))
        else:
            self._listing[channel] = listing

    def _abandon(self, channel: int) -> None:
        reading = self._reading.pop(channel, None)
        if reading is not None:
            os.close(reading.descriptor)
        file = self._writing.pop(channel, None)
        if file is not None:
            file.discard()
        listing = self._listing.pop(channel, None)
        if listing is not None:
            listing.close()

    def close(self) -> None:
        """Leave no half-written file."""
        for channel in [*self._reading, *self._writing, *self._listing]:
            self._abandon(channel)
