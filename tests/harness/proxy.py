"""A proxy in front of an engine's socket that does what networks and overloaded engines do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

__all__ = ["FaultyProxy"]

_PIECE = 65536
_ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 21\r\nConnection: close\r\n\r\n"
_BODY = b'{"message":"disk full"'


class FaultyProxy:
    """Passes everything on, until it is told otherwise.

    Parameters
    ----------
    path : Path
        Where it listens.
    target : Path
        The engine's own socket.
    """

    def __init__(self, path: Path, target: Path) -> None:
        self.address = f"unix://{path}"
        self._target = str(target)
        self.hangs = False  #: Whether new connections are taken and never answered.
        self.fails = False  #: Whether each request is answered with 500.
        self._open: set[socket.socket] = set()
        self._hanging: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._start(self._accept)

    def drop(self) -> None:
        """Break every connection that there is."""
        for sock in list(self._open):
            self._end(sock)
            if sock in self._hanging:
                sock.close()

    def close(self) -> None:
        """End it."""
        self._end(self._listener)
        self._listener.close()
        self.drop()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(client)
            if self.hangs:
                self._hanging.add(client)
                continue
            self._start(self._refuse if self.fails else self._connect, client)

    def _refuse(self, client: socket.socket) -> None:
        with client:
            client.recv(_PIECE)
            client.sendall(_ERROR.replace(b"21", b"%d" % (len(_BODY) + 1)) + _BODY + b"}")
        self._open.discard(client)

    def _connect(self, client: socket.socket) -> None:
        engine = socket.socket(socket.AF_UNIX)
        engine.connect(self._target)
        self._open.add(engine)
        with client, engine:
            there = self._start(self._pass_on, client, engine)
            self._pass_on(engine, client)
            there.join()
        self._open -= {client, engine}

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        """Until the source ends; then the sink is told so, and the other half goes on."""
        try:
            while data := source.recv(_PIECE):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._end(source)
            self._end(sink)

    @staticmethod
    def _end(sock: socket.socket) -> None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended

    @staticmethod
    def _start(work: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        return thread
