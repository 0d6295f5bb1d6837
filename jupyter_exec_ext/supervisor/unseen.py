"""What this supervisor has imported and a script has not: a fork takes it out of ``sys.modules``.

``import platform`` asks nobody where there is a ``platform`` in ``sys.modules``. In a fork it would
always be the one that was here before, whatever the block, or a module that it imports, has done to
``sys.path``. So a fork begins with the modules that a script begins with. The first import of another
one is looked at: while the path is what it was, and no file of that name has come to lie beside the
script, the module comes back with all that it has imported; else what was here before is forgotten
for good, and what is imported from then on is found and loaded as in a script.

The look is taken in importlib's own ``_get_module_lock``, which is called for each module that is
not there, and only for these. A finder in ``sys.meta_path``, or a ``sys.path`` that is not a list,
every program would see; and no frame of ours is below that of a module.
(CPython 3.8 or newer, standard library only.)
"""

from __future__ import annotations

import _frozen_importlib
import os
import sys
import time
from importlib.machinery import all_suffixes

from .shadows import TICK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType
    from typing import Any

    #: The name and the package of who imports, and what: a name, names within it, and the level.
    Import = tuple[str, str, str, tuple[str, ...], int]

#: Those modules, and which of them each has imported.
_modules: dict[str, ModuleType] = {}
_needs: dict[str, set[str]] = {}
#: Those that are an attribute of their package since somebody has imported them.
_parts: set[str] = set()
#: In a fork: those that have not been imported yet.
_unseen: dict[str, ModuleType] = {}
#: In a fork: what decides where a module is found, as it was when the script began.
_places: dict[str, list[Any]] = {}
#: And when the folder in which it looks first had last been changed, if that was a while ago.
_beside: list[int] = []
_ENDINGS = ["", *all_suffixes()]
_MISSING: Any = object()
_importlib: Any = _frozen_importlib
_real: Any = getattr(_importlib, "_get_module_lock", None)


def learn(at_start: frozenset[str], package: str, imports: Iterable[Import]) -> None:
    """Note what a fork is to take out.

    Parameters
    ----------
    at_start : frozenset of str
        The modules that a script begins with.
    package : str
        The name of our own package.
    imports : iterable
        Every import since then.
    """
    if not hasattr(_real, "__code__"):
        return  # an importlib that we do not know
    for function in (_get_module_lock, _meet, _with_needs, _same_places, _new_file, _same_modules):
        # For profilers and tracers, which would count ours among the script's functions.
        function.__code__ = function.__code__.replace(co_filename=_real.__code__.co_filename)
    # What is built in cannot be hidden by a file, and some of it holds what belongs to the process.
    stay = {*at_start, *sys.builtin_module_names, package}
    _modules.update((name, sys.modules[name]) for name in sys.modules if name.split(".")[0] not in stay)
    _needs.update((name, set()) for name in _modules)
    imported = _follow(imports)
    of_start = {id(sys.modules[name]) for name in at_start if name in sys.modules}
    for name, module in _modules.items():
        parent = name.rpartition(".")[0]
        if parent in _modules:
            _needs[name].add(parent)
            if name in imported and id(module) not in of_start:
                _parts.add(name)
            else:
                _needs[parent].add(name)  # the package itself has put it there


def _follow(imports: Iterable[Import]) -> set[str]:
    """Note what each module has imported; all of it."""
    found: set[str] = set()
    for importer, package, name, items, level in imports:
        base = _absolute(name, package, level)
        names = {base, *(f"{base}.{item}" for item in items)}.intersection(_modules)
        _needs.get(importer, set()).update(names)
        found |= names
    return found


def _absolute(name: str, package: str, level: int) -> str:
    if not level:
        return name
    parents = package.rsplit(".", level - 1)[0]
    return f"{parents}.{name}" if name else parents


def hide() -> None:
    """Take them out. Call this in a fork."""
    for name, module in _modules.items():
        if sys.modules.get(name) is module:
            _unseen[name] = sys.modules.pop(name)
    for name in _parts.intersection(_unseen):
        parent, _, part = name.rpartition(".")
        vars(_modules[parent]).pop(part, None)


def begin() -> None:
    """Look at imports from now on. Call this right before the script, once its path is made."""
    _places.update((name, list(getattr(sys, name))) for name in ("path", "meta_path", "path_hooks"))
    try:
        changed = os.stat(sys.path[0]).st_mtime_ns
    except OSError:
        changed = 0  # it is not there yet
    if time.time_ns() - changed > TICK:  # else another change would leave no trace
        _beside.append(changed)
    if _unseen:
        _importlib._get_module_lock = _get_module_lock


def _get_module_lock(name: str) -> Any:
    if name in _unseen:
        _meet(name)
    if not _unseen:
        _importlib._get_module_lock = _real
    return _real(name)


def _meet(name: str) -> None:
    """Have a module back that is imported for the first time; none of them where it may be another one."""
    group = _with_needs(name)
    if not (_same_places() and _same_modules(group)) or _new_file(group):
        _unseen.clear()  # `_modules` still holds them: what has been imported from them lives on
        return
    for one in group:
        if one in _unseen:
            sys.modules[one] = _modules[one]
            if one in _parts:
                parent, _, part = one.rpartition(".")
                setattr(_modules[parent], part, _modules[one])
            _unseen.pop(one, None)  # last, since other threads import, too


def _with_needs(name: str) -> list[str]:
    found, group = {name}, [name]
    for one in group:
        further = _needs[one] - found
        found |= further
        group += sorted(further)
    return group


def _same_places() -> bool:
    # What is added at the end is asked last, when a module that was here before has been found already.
    for name, before in _places.items():
        now = getattr(sys, name, None)
        if not isinstance(now, list) or now[: len(before)] != before:
            return False
    return True


def _new_file(names: Iterable[str]) -> bool:
    """Whether one of them may lie beside the script by now: when it was launched, none did."""
    try:
        if [os.stat(sys.path[0]).st_mtime_ns] == _beside:
            return False
    except (OSError, TypeError, ValueError, IndexError):
        return False  # there is nothing to import
    paths = (f"{sys.path[0]}/{name}{ending}" for name in names if "." not in name for ending in _ENDINGS)
    return any(map(os.path.lexists, paths))


def _same_modules(names: Iterable[str]) -> bool:
    """Whether nobody has put another module in the place of one of them, or has taken it away."""
    for name in names:
        unseen = name in _unseen
        now = sys.modules.get(name, _MISSING)
        if now is not _modules[name] and not (unseen and now is _MISSING):
            return False
    return True
