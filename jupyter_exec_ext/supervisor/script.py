"""Run a file in this interpreter so that it cannot tell it from ``python FILE``.

A forked block must see a fresh ``__main__``, its own ``sys.argv`` and ``sys.path[0]``, and no frame
of ours: not in a traceback, not in ``traceback.print_stack()``, not in a warning's stacklevel. And
it must end as a script ends: threads joined, ``atexit``, files closed by finalization, exit codes,
``SystemExit("text")``, death by SIGINT after an unhandled KeyboardInterrupt.

All of this CPython does itself, in ``PyRun_SimpleFileExFlags`` and ``Py_RunMain``, if only our own
frames are gone by then. So `run` raises an exception that nobody catches. When it has unwound
every frame, the interpreter calls ``sys.excepthook(type, value, traceback)`` from C; the hook is
``functools.reduce``, which iterates over the value: that takes one step after the other from a
list, each of them a callable of C's, until one returns something true. The first tidy up, the next
is ``PyRun_SimpleFileExFlags`` itself, called through ctypes. No Python function is below the script.
If it ends with an exception, the traceback has been printed by then, the hook returns, and the
interpreter finalizes and ends with status 1 as it does after any unhandled exception.

If the script ends well, the further steps (see `ending`) do what finalization would do for it.
(CPython 3.8 or newer, standard library only; works with fork and in a fresh interpreter alike.)
"""

from __future__ import annotations

import builtins
import io
import itertools
import operator
import os
import signal
import sys
import types
from collections import deque
from functools import partial, reduce

from . import ending, unseen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

try:
    import ctypes

    _libc = ctypes.CDLL(None)
    _fopen = _libc.fopen
    _fopen.restype = ctypes.c_void_p
    _fopen.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    _exit = ctypes.PyDLL(None).exit
    _run_file = ctypes.pythonapi.PyRun_SimpleFileExFlags
    _run_file.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
    # Unlike `signal.pthread_sigmask`, the call itself does not run a handler: the script does.
    _unblock = partial(_libc.pthread_sigmask, int(signal.SIG_SETMASK), ctypes.create_string_buffer(128), None)
    AVAILABLE = sys.implementation.name == "cpython"
except (ImportError, OSError, AttributeError, TypeError):
    AVAILABLE = False  # no ctypes in this interpreter: every block is spawned


_kept: list[types.ModuleType] = []


class _Carrier(BaseException):
    """Unwinds our frames; its iterator is what runs then (see the module's text)."""


def prepare(package: str, at_start: frozenset[str] | None = None) -> None:
    """Do what can be done before the script is known: a fresh ``__main__``, and our own modules gone.

    Parameters
    ----------
    package : str
        The name of our own package.
    at_start : frozenset of str, optional
        The modules that stay, in an interpreter that is made for this script alone: one that we have
        imported may have its namesake beside the file.
    """
    _new_main()
    for name in list(sys.modules):
        if name.split(".")[0] == package or (at_start is not None and name not in at_start):
            _kept.append(sys.modules.pop(name))
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()  # nothing random may repeat; `random` reseeds itself after a fork
    threading: Any = sys.modules.get("threading")
    if threading is not None and hasattr(threading.main_thread(), "_set_native_id"):
        threading.main_thread()._set_native_id()  # CPython leaves it that of the parent
    unseen.hide()
    ending.thaw()


def open_file(path: str) -> int:
    """Open a file for `run`. Raises OSError."""
    stream = _fopen(os.fsencode(path), b"rb")
    if not stream:
        raise OSError(f"the file {path} cannot be read")
    return int(stream)


def run(stream: int, path: str, first: str, leave: Callable[[], Any] | None = None) -> NoReturn:
    """Raise what makes this interpreter, after `prepare`, run a file as its main program.

    Parameters
    ----------
    stream : int
        From `open_file`; it is closed before the first line runs.
    path : str
        The file, absolute: its ``__file__`` and ``sys.argv[0]``.
    first : str
        The directory that is ``sys.path[0]``.
    leave : callable, optional
        Ends the process after a script that ended well; C's ``exit(0)`` else.
    """
    sys.argv = [path]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv = [sys.executable, "-u", path]
    if not getattr(sys.flags, "safe_path", False) and not sys.flags.isolated:
        sys.path.insert(0, first)
    _refresh()
    unseen.begin()
    call: Any = partial.__call__
    steps: list[Callable[[], Any]] = [
        partial(_tidy, sys.excepthook),
        partial(_die_if_interrupted),
        _unblock,
        partial(_run_file, stream, os.fsencode(path), 1, None),
    ]
    # A trace function must see none of our functions either.
    traces: list[Any] = []
    steps += [
        partial(deque, map(traces.append, map(call, (partial(sys.gettrace), partial(sys.getprofile)))), 0)
    ]
    steps += [partial(sys.settrace, None), partial(sys.setprofile, None)]
    steps.append(partial(ending.begin, steps, traces, leave or partial(_exit, 0)))
    work: Any = itertools.takewhile(operator.not_, map(call, steps))
    _Carrier.__iter__ = staticmethod(partial(iter, work))  # type: ignore[attr-defined]
    sys.excepthook = reduce  # type: ignore[assignment]
    raise _Carrier()


def reopen_stdin() -> None:
    """Make ``sys.stdin`` anew: it remembers of its descriptor 0 what was there when Python started."""
    old = sys.stdin
    if old is None:
        return
    raw: Any = io.FileIO(0, closefd=False)
    raw.name = "<stdin>"
    through = getattr(old, "write_through", False)
    stdin: Any = io.TextIOWrapper(
        io.BufferedReader(raw), old.encoding, old.errors, "\n", write_through=through
    )
    stdin.mode = "r"
    sys.stdin = sys.__stdin__ = stdin  # type: ignore[misc]


def _new_main() -> None:
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    sys.modules["__main__"] = main
    if "__mp_main__" in sys.modules:
        sys.modules["__mp_main__"] = main  # what `multiprocessing` calls it, too, once it is imported


def _refresh() -> None:
    # What an earlier block installed must be found. Not through importlib.invalidate_caches, which
    # imports importlib.metadata for it.
    for finder in sys.path_importer_cache.values():
        if finder is not None and hasattr(finder, "invalidate_caches"):
            finder.invalidate_caches()
    process: Any = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.ORIGINAL_DIR = os.getcwd()


def _tidy(excepthook: Any) -> None:
    # The interpreter has just noted our carrier as its last exception.
    sys.excepthook = excepthook
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)


def _die_if_interrupted() -> None:
    # Between here and its first line the script could not see the interrupt, and we would.
    if signal.SIGINT in signal.sigpending():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
