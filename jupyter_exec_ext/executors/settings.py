"""Which settings the executors take: what `CodeExecutorFactory` passes on, by name."""

from __future__ import annotations

import inspect

from .factory import CodeExecutorFactory

__all__ = ["setting_names"]

#: Arguments that the manager gives, and nobody else.
_GIVEN = frozenset({"environment", "workspace", "private", "session"})


def setting_names(factory: CodeExecutorFactory) -> set[str]:
    """Return the names of the settings that at least one executor of that factory takes.

    An executor of another package that cannot be loaded takes none: its use says why.
    """
    names: set[str] = set()
    for executor in factory.names():
        try:
            names |= inspect.signature(factory._class(executor)).parameters.keys()
        except Exception:  # noqa: S112 - whatever another package raises, the others can be used
            continue
    return names - _GIVEN
