"""Large buffers go back to the system when they are freed: a setting of glibc's allocator.

glibc raises its threshold for memory that is mapped, and so unmapped again, to the largest buffer that was
ever freed (``mallopt(3)``, "dynamic mmap threshold"), up to 32 MiB. From then on such buffers come from the
heap, of which each thread has one of its own, and stay there. A few blocks of 5 MB of code made a server
grow by 67 MiB for good, of which it used 25 at a time; with a threshold that stays it is those 25, for as
long as they are used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["return_large_buffers", "trim"]

#: In bytes. Below it are all buffers of everyday requests, which a heap has faster.
_MAPPED_FROM = 1024 * 1024
#: By which an administrator chooses.
_CHOICES = frozenset({"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"})
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def return_large_buffers(environ: Mapping[str, str] = os.environ) -> bool:
    """Have glibc always map what is larger than 1 MiB; False where it was chosen otherwise, or is not glibc.

    It concerns the whole process. ``MALLOC_MMAP_THRESHOLD_`` and ``MALLOC_TRIM_THRESHOLD_`` in its
    environment, or ``glibc.malloc`` in ``GLIBC_TUNABLES``, are an administrator's own choice, and stay.
    """
    tuned = "glibc.malloc." in environ.get("GLIBC_TUNABLES", "")
    if tuned or not _CHOICES.isdisjoint(environ) or not _is_glibc():
        return False
    import ctypes

    mallopt = ctypes.CDLL(None).mallopt
    # As glibc itself does it: what is free at a heap's end is kept up to twice the threshold.
    return bool(mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM) and mallopt(_M_TRIM_THRESHOLD, 2 * _MAPPED_FROM))


def trim() -> bool:
    """Give the system back what is free in the heaps, also in their middle; False where it is not glibc.

    For what was held in many buffers of some 64 KiB, which a thread's heap keeps once they are freed. It
    takes some milliseconds, without the interpreter's lock.
    """
    if not _is_glibc():
        return False
    import ctypes

    return bool(ctypes.CDLL(None).malloc_trim(0))


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):
        return False  # Windows, macOS, musl
