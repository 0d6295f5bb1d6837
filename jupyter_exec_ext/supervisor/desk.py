"""File requests: a list, a file out, a file in, a removal; in pieces, between turns of the loop.

(Python 3.8, standard library only.)
"""

from __future__ import annotations

import os

from .frames import CHUNK, DATA, control, frame
from .paths import MAX_ENTRIES, FileRefused, parts_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

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
        def list(self) -> tuple[list[dict[str, Any]], bool]: ...


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
        self._reading: dict[int, int] = {}
        self._writing: dict[int, NewFile] = {}

    @property
    def busy(self) -> bool:
        """Whether a file is on its way out."""
        return bool(self._reading)

    @property
    def idle(self) -> bool:
        """Whether no file is on its way in or out."""
        return not self._reading and not self._writing

    def handle(self, channel: int, op: str, fields: dict[str, Any]) -> None:
        """Begin, or do, what a control frame asks."""
        if op == "abandon":
            self._abandon(channel)
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
        else:
            reason, text = "refused", f"{error.strerror}."
        self._send(control(channel, "refused", reason=reason, message=text))

    def _list(self, channel: int, path: str) -> None:
        entries, more = self._workspace.list()
        for start in range(0, len(entries), 1000):
            self._send(control(channel, "entries", entries=entries[start : start + 1000]))
        self._send(control(channel, "done", more=more, limit=MAX_ENTRIES))

    def _get(self, channel: int, path: str) -> None:
        descriptor, size = self._workspace.open(path)
        self._reading[channel] = descriptor
        self._send(control(channel, "size", size=size))

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
        """Send the next piece of each file that goes out."""
        for channel, descriptor in list(self._reading.items()):
            try:
                data = os.read(descriptor, CHUNK)
            except OSError as error:  # a disk or a network file system that failed
                self._abandon(channel)
                self._refuse(channel, error)
                continue
            if data:
                self._send(frame(DATA, channel, data))
            else:
                del self._reading[channel]
                os.close(descriptor)
                self._send(control(channel, "done"))

    def _abandon(self, channel: int) -> None:
        descriptor = self._reading.pop(channel, None)
        if descriptor is not None:
            os.close(descriptor)
        file = self._writing.pop(channel, None)
        if file is not None:
            file.discard()

    def close(self) -> None:
        """Leave no half-written file."""
        for channel in list(self._reading) + list(self._writing):
            self._abandon(channel)
