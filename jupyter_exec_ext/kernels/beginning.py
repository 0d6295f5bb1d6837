"""`begins`: a kernel that ends before it is ready has failed to start; nothing that ran is lost with it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from ..errors import EnvironmentFailed, KernelDied
from .watch import manner

__all__ = ["begins"]

P = ParamSpec("P")
R = TypeVar("R")


def begins(start: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Let what starts kernels raise `EnvironmentFailed`, and say how, where one ends by itself meanwhile."""

    @functools.wraps(start)
    async def begun(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return await start(*arguments, **options)
        except KernelDied as error:
            raise EnvironmentFailed(
                f"The kernel ended while it started{manner(error.code)}; the output of the server, or of "
                "the gateway, has what it printed."
            ) from error

    return begun
