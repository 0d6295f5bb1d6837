"""File requests: a list, a file out, a file in, a removal; in pieces, between turns of the loop.

(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import os

from .files import MAX_ENTRIES, FileRefused, Workspace, parts_of
from .frames import CHUNK, DATA, control, frame


class Desk:
    """Answers file requests, each on its own channel.

    Parameters
    ----------
    root : str
        The workspace.
    send : callable
        Takes the bytes of a frame.
    """

    def __init__(self, root, send):
        self._workspace, self._send = Workspace(root), send
        self._reading = {}
        self._writing = {}

    @property
    def busy(self):
        """Whether a file is on its way out."""
        return bool(self._reading)

    def handle(self, channel, op, fields):
        """Begin, or do, what a control frame asks."""
        if op == "abandon":
            self._abandon(channel)
            return
        action = {"list": self._list, "get": self._get, "put": self._put, "delete": self._delete}.get(op)
        try:
            if action is None:
                raise FileRefused("invalid", "This supervisor does not know %r." % op[:40])
            action(channel, str(fields.get("path", "")))
        except FileRefused as error:
            self._send(control(channel, "refused", reason=error.reason, message=str(error)))
        except OSError as error:
            self._send(control(channel, "refused", reason="refused", message="%s." % error.strerror))

    def _list(self, channel, path):
        entries, more = self._workspace.list()
        for start in range(0, len(entries), 1000):
            self._send(control(channel, "entries", entries=entries[start : start + 1000]))
        self._send(control(channel, "done", more=more, limit=MAX_ENTRIES))

    def _get(self, channel, path):
        descriptor, size = self._workspace.open(path)
        self._reading[channel] = descriptor
        self._send(control(channel, "size", size=size))

    def _put(self, channel, path):
        parts_of(path)
        self._writing[channel] = self._workspace.create(path)
        self._send(control(channel, "go"))

    def _delete(self, channel, path):
        self._workspace.delete(path)
        self._send(control(channel, "done"))

    def data(self, channel, payload):
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
            text = str(error) if isinstance(error, FileRefused) else "%s." % error.strerror
            self._send(control(channel, "refused", reason="refused", message=text))

    def proceed(self):
        """Send the next piece of each file that goes out."""
        for channel, descriptor in list(self._reading.items()):
            data = os.read(descriptor, CHUNK)
            if data:
                self._send(frame(DATA, channel, data))
            else:
                del self._reading[channel]
                os.close(descriptor)
                self._send(control(channel, "done"))

    def _abandon(self, channel):
        descriptor = self._reading.pop(channel, None)
        if descriptor is not None:
            os.close(descriptor)
        file = self._writing.pop(channel, None)
        if file is not None:
            file.discard()

    def close(self):
        """Leave no half-written file."""
        for channel in list(self._reading) + list(self._writing):
            self._abandon(channel)
