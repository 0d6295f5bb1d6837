"""A disk whose writes do not return: the system call by which SQLite writes is one that waits."""

from __future__ import annotations

import _sqlite3
import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, c_char_p, c_int, c_int64, c_size_t, c_ssize_t, c_void_p
from pathlib import Path

__all__ = ["hung"]

_METHODS = (
    "Open Delete Access FullPathname DlOpen DlError DlSym DlClose Randomness Sleep CurrentTime GetLastError"
)
_CALL = CFUNCTYPE(c_ssize_t, c_int, c_void_p, c_size_t, c_int64)


class _FileSystem(ctypes.Structure):
    """``sqlite3_vfs``, https://sqlite.org/c3ref/vfs.html."""

    _fields_ = (
        *((name, c_int) for name in ("version", "size", "longest")),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        *((name, c_void_p) for name in (*_METHODS.split(), "CurrentTimeInt64")),
        ("set_call", CFUNCTYPE(c_int, c_void_p, c_char_p, c_void_p)),
        ("get_call", CFUNCTYPE(c_void_p, c_void_p, c_char_p)),
    )


@contextmanager
def hung(path: Path) -> Iterator[threading.Event]:
    """While it is entered, no write to a database or its companions returns; setting the event frees it."""
    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = c_void_p
    system = _FileSystem.from_address(library.sqlite3_vfs_find(None))
    address, free = ctypes.addressof(system), threading.Event()
    name = next(name for name in (b"pwrite64", b"pwrite") if system.get_call(address, name))
    real = system.get_call(address, name)
    write = _CALL(real)

    @_CALL
    def waiting(descriptor: int, data: int, size: int, offset: int) -> int:
        if os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(path)):
            free.wait()
        return int(write(descriptor, data, size, offset))

    _kept.append(waiting)  # a write may be in it for as long as the process lives
    system.set_call(address, name, ctypes.cast(waiting, c_void_p))
    try:
        yield free
    finally:
        system.set_call(address, name, real)
        free.set()


_kept: list[object] = []
