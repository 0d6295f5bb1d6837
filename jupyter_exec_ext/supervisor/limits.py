"""The supervisor's own limits, which a block can change (prlimit(2)): the next one must not feel it.

(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import resource

#: By what they are called for a person, each once.
KINDS = {
    name: kind
    for kind, name in {
        getattr(resource, name): name[len("RLIMIT_") :].lower()
        for name in sorted(dir(resource), reverse=True)
        if name.startswith("RLIMIT_")
    }.items()
}


class OwnLimits:
    """What they are now is what they should be."""

    def __init__(self) -> None:
        self._right = {name: resource.getrlimit(kind) for name, kind in KINDS.items()}

    def changed(self) -> list[str]:
        """Which of them are others now."""
        return [name for name, kind in KINDS.items() if resource.getrlimit(kind) != self._right[name]]

    def restore(self) -> bool:
        """Put them back; whether that was possible."""
        for name in self.changed():
            _set(KINDS[name], *self._right[name])
        return not self.changed()


def _set(kind: int, soft: int, hard: int) -> None:
    """Set a limit, or as much of it as can be had: the hard one goes down only."""
    most = resource.getrlimit(kind)[1]
    for limits in ((soft, hard), (soft, most), (most, most)):
        try:
            resource.setrlimit(kind, limits)
            return
        except (OSError, ValueError):
            pass


def same(pid: int) -> bool:
    """Whether a process has the limits of this one. Linux only; elsewhere it is not asked."""
    ask = getattr(resource, "prlimit", None)
    if ask is None:
        return True
    try:
        return all(ask(pid, kind) == resource.getrlimit(kind) for kind in KINDS.values())
    except OSError:
        return False
