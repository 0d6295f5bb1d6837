"""Whether somebody uses a kernel: what the pool has made ready may be picked from a list of kernels."""

from __future__ import annotations

import contextlib
from typing import Any

from .gateway import is_remote

__all__ = ["is_connected", "is_listed"]


def is_connected(multi: Any, kernel_id: str) -> bool:
    """Whether a notebook or console is connected to a kernel, as far as its manager counts them.

    Jupyter Server counts what comes through its own websockets, a gateway also our connection to it.
    """
    counted = getattr(multi, "_kernel_connections", {}).get(kernel_id, 0)
    return int(counted) > int(is_remote(multi))


async def is_listed(sessions: Any, kernel_id: str) -> bool:
    """Whether Jupyter Server has a session with that kernel."""
    if sessions is None:
        return False
    with contextlib.suppress(Exception):  # tornado's 404
        await sessions.get_session(kernel_id=kernel_id)
        return True
    return False
