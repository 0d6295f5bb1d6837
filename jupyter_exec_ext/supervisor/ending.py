"""The end of a script that ended well, in a fork: what finalization would do for it, and no more.

Finalization also takes apart what was there before the script. In a fork that alone copies every
page of the interpreter, twice the time of all the rest (12 ms of 17). So where nothing unusual is
left, the script's own end is made here: ``atexit``, the script's modules cleared in CPython's
order (``__del__``, open files), C's own ``exit``. These are steps of `script.run`'s list, each a
callable of C's, so that a ``__del__`` or a ResourceWarning sees no frame of ours either. Where
something unusual is left, such as threads or another ``sys.stdout``, CPython finalizes.
(CPython 3.8 or newer, standard library only.)
"""

from __future__ import annotations

import _io
import _thread
import atexit
import builtins
import gc
import sys
import types
import weakref
from collections import deque
from functools import partial
from itertools import repeat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Steps = list[Callable[[], Any]]

#: What was there before the script: its modules, and how much else.
_modules: dict[str, types.ModuleType] = {}
_counts: dict[str, int] = {}
#: What `sys` loses first: from then on nothing can be imported.
_IMPORTING = ("path", "argv", "ps1", "ps2", "last_type", "last_value", "last_traceback", "path_hooks",
              "path_importer_cache", "meta_path", "__interactivehook__")  # fmt: skip
_STREAMS = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
_kept: list[object] = []


def freeze() -> None:
    """Call this right before a fork: what is there now is not the script's."""
    gc.disable()
    gc.freeze()
    _modules.clear()
    _modules.update(sys.modules)
    _counts.update(_count())


def thaw() -> None:
    """Call this in the fork: from here on it is."""
    if _modules:
        gc.enable()


def _count() -> dict[str, int]:
    return {
        "threads": _thread._count(),
        # Up to Python 3.9, what raises in there raises out of it.
        "callbacks": atexit._ncallbacks() if sys.version_info < (3, 10) else 0,
        "sys": len(vars(sys)),
        "builtins": len(vars(builtins)),
    }


def begin(steps: Steps, traces: list[Any], leave: Callable[[], Any]) -> None:
    """Add the steps that end the script, the last of them `leave`; or have CPython do all of it.

    `traces` are the script's trace and profile functions, which have been taken away for a moment.
    """
    if any(trace is not None for trace in traces):
        # An iterator that has come to its end holds nothing: what they refer to must not outlive them.
        steps += [partial(deque, map(sys.settrace, traces[:1]), 0)]
        steps += [partial(deque, map(sys.setprofile, traces[1:]), 0), partial(sys.exit, 0)]
        traces.clear()
        return
    if not _ordinary():
        raise SystemExit(0)
    threading: Any = sys.modules.get("threading")
    if threading is not None:
        steps.append(partial(threading._shutdown))
    steps.append(partial(atexit._run_exitfuncs))
    # What guards a `__del__` from here on; what has been taken from the module before does not know.
    steps.append(partial(vars(sys).__setitem__, "is_finalizing", partial(bool, 1)))
    steps.append(_collecting())
    steps.append(partial(_forget, steps, leave))


def _ordinary() -> bool:
    if not _modules:
        return False  # not a fork: nothing is shared, finalization costs what it costs
    now = _count()
    if now["threads"] != _counts["threads"] or now["callbacks"] != _counts["callbacks"]:
        return False
    return _unbuffered(sys.stdout, sys.__stdout__) and _unbuffered(sys.stderr, sys.__stderr__)


def _unbuffered(stream: Any, original: Any) -> bool:
    # What has a buffer can fail when it is flushed, and the exit code says so.
    try:
        return stream is original and bool(stream.write_through) and stream.buffer is not None
    except (AttributeError, ValueError):
        return False  # there is none, or it was detached


def _forget(steps: Steps, leave: Callable[[], Any]) -> None:
    # The order of CPython's Py_FinalizeEx and finalize_modules: what is cyclic (before this step), all
    # modules forgotten, what is cyclic now, and then, newest first, the modules somebody still holds.
    if not (_unbuffered(sys.stdout, sys.__stdout__) and _unbuffered(sys.stderr, sys.__stderr__)):
        raise SystemExit(0)  # an exit function has replaced it
    own: list[object] = [module for name, module in sys.modules.items() if _modules.get(name) is not module]
    left = [weakref.ref(module) for module in own if isinstance(module, types.ModuleType)]
    _kept.extend(vars(sys).get(name) for name in _IMPORTING)
    steps.append(_each(vars(sys).__setitem__, _IMPORTING))
    steps += [_each(sys.modules.__setitem__, list(sys.modules)), partial(sys.modules.clear)]
    steps.append(partial(deque, map(vars(builtins).pop, _later_builtins()), 0))
    steps.append(_collecting())
    steps.append(partial(_clear, steps, left, leave))


def _clear(steps: Steps, left: list[weakref.ref[types.ModuleType]], leave: Callable[[], Any]) -> None:
    for module in reversed([reference() for reference in left]):
        if module is not None:
            steps += _clearing(vars(module), list(vars(module)))
    _kept.extend(vars(sys)[name] for name in _STREAMS)
    steps += _clearing(vars(sys), [*_STREAMS, *list(vars(sys))[_counts["sys"] :]])
    steps += [_collecting(), partial(_flush_files), leave]


def _later_builtins() -> list[str]:
    # CPython goes back to the builtins it had before it could open files: `open`, `exit` and what follows.
    names = list(vars(builtins))
    return names[names.index("open") :] if "open" in names else names[_counts["builtins"] :]


def _clearing(place: dict[str, Any], names: list[str]) -> Steps:
    # _PyModule_Clear: names with one underscore first, then the rest, builtins last.
    private = [name for name in names if name[:1] == "_" and name[1:2] != "_"]
    rest = [name for name in names if name not in private and name != "__builtins__"]
    return [_each(place.__setitem__, private), _each(place.__setitem__, rest)]


def _each(set_item: Callable[[str, Any], None], names: Iterable[str]) -> Callable[[], Any]:
    """Setting each of these names to None, as a callable of C's that returns something false."""
    return partial(deque, map(set_item, names, repeat(None)), 0)


def _collecting() -> Callable[[], Any]:
    return partial(deque, map(gc.collect, (2,)), 0)


def _flush_files() -> None:
    # What the script left open where clearing does not reach: nothing written may be lost.
    for thing in gc.get_objects():
        if issubclass(type(thing), _io._IOBase):
            try:
                thing.flush()
            except Exception:  # noqa: S110
                pass  # closed, or cannot be written: nobody is left to be told
