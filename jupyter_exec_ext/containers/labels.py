"""The labels by which what we made on an engine is told from what others made."""

from __future__ import annotations

import time

__all__ = ["DEADLINE", "SERVER", "SESSION", "labels", "server_filter"]

_PREFIX = "org.jupyter.exec."
#: Who made it: the id of one server, or of one program that uses this package.
SERVER = _PREFIX + "server"
#: Which session it belongs to.
SESSION = _PREFIX + "session"
#: Seconds since 1970 after which it may be removed whoever made it.
DEADLINE = _PREFIX + "deadline"


def labels(server: str, session: str = "", lifetime: float | None = None) -> dict[str, str]:
    """Return the labels of something made now.

    Parameters
    ----------
    server, session : str
    lifetime : float, optional
        Seconds it may live at most.
    """
    made = {SERVER: server}
    if session:
        made[SESSION] = session
    if lifetime is not None:
        made[DEADLINE] = str(int(time.time() + lifetime))
    return made


def server_filter(server: str) -> dict[str, list[str]]:
    """Return the engine's filter for what that server has made."""
    return {"label": [f"{SERVER}={server}"]}
