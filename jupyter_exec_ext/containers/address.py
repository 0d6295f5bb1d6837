"""Where container engines are looked for, in the order in which Docker's own command does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Address", "addresses"]


@dataclass(frozen=True)
class Address:
    """An engine's address.

    Parameters
    ----------
    url : str
        As ``DOCKER_HOST`` has it: ``unix://``, ``tcp://``, ``ssh://``, ``npipe://``.
    tls : docker.TLSConfig or bool
        What makes it TLS; False for none.
    """

    url: str
    tls: Any = False


def addresses() -> Iterator[Address]:
    """Yield the engine that the variables name, else that of the current context, else those that are here.

    The variables are ``DOCKER_HOST``, ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH``; then come Docker's
    socket, that of a rootless one, and Podman's.
    """
    import docker.utils

    if os.environ.get("DOCKER_HOST"):
        given = docker.utils.kwargs_from_env()
        yield Address(given["base_url"], given.get("tls") or False)
        return
    chosen = _context()
    if chosen is not None:
        yield chosen
        return
    for socket in _sockets():
        if socket.exists():
            yield Address(f"unix://{socket}")
    if os.name == "nt":
        yield Address("npipe:////./pipe/docker_engine")


def _context() -> Address | None:
    """The context that ``docker context use`` has chosen; None where that is the default one."""
    from docker.context import ContextAPI

    context = ContextAPI.get_current_context()
    if context is None or context.Name == "default" or not context.Host:
        return None
    return Address(context.Host, context.TLSConfig or False)


def _sockets() -> Iterator[Path]:
    own = os.environ.get("XDG_RUNTIME_DIR")
    yield Path("/var/run/docker.sock")
    if own:
        yield Path(own, "docker.sock")
    yield Path("/run/podman/podman.sock")
    if own:
        yield Path(own, "podman", "podman.sock")
