"""Run a file in this interpreter so that it cannot tell it from ``python FILE``.

A forked block must see a fresh ``__main__``, its own ``sys.argv`` and ``sys.path[0]``, and no frame
of ours: not in a traceback, not in ``traceback.print_stack()``, not in a warning's stacklevel. And
it must end as a script ends: threads joined, ``atexit``, files closed by finalization, exit codes,
``SystemExit("text")``, death by SIGINT after an unhandled KeyboardInterrupt.

All of this CPython does itself, in ``PyRun_SimpleFileExFlags`` and ``Py_RunMain``, if only our own
frames are gone by then. So `run` raises an exception that nobody catches. When it has unwound
every frame, the interpreter calls ``sys.excepthook(type, value, traceback)`` from C; the hook is
``functools.reduce``, which iterates over the value: the first step tidies up, the second is
``PyRun_SimpleFileExFlags`` itself, called through ctypes. No Python function is below the script.
If it ends with an exception, the traceback has been printed by then, the hook returns, and the
interpreter finalizes and ends with status 1 as it does after any unhandled exception.

If the script ends well, `_Carrier.__new__`, which reduce calls with the result, calls `_leave`. It
does what finalization would do for the script: join threads, ``atexit``, the script's modules
cleared in their order (``__del__``, open files), C's own ``exit``. It does not take apart what was
there before the script: in a fork that alone copies every page of the interpreter, twice the time
of all the rest (12 ms of 17).
(CPython 3.8 or newer, standard library only; works with fork and in a fresh interpreter alike.)
"""

import atexit
import builtins
import functools
import gc
import io
import os
import sys
import types
import weakref

try:
    import ctypes

    _libc = ctypes.CDLL(None)
    _fopen = _libc.fopen
    _fopen.restype = ctypes.c_void_p
    _fopen.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    _exit = ctypes.PyDLL(None).exit
    _run_file = ctypes.pythonapi.PyRun_SimpleFileExFlags
    _run_file.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
    AVAILABLE = sys.implementation.name == "cpython"
except (ImportError, OSError, AttributeError, TypeError):
    AVAILABLE = False  # no ctypes in this interpreter: every block is spawned


_before = {}


class _Carrier(BaseException):
    """Unwinds our frames; its iterator is what runs then (see the module's text)."""

    def __new__(cls, *results):
        if len(results) == 2 and results[1] == 0:
            _leave()
        return BaseException.__new__(cls)

    def __init__(self, *results):
        BaseException.__init__(self)


def prepare(package):
    """Do what can be done before the script is known: a fresh ``__main__``, and our own modules gone.

    Parameters
    ----------
    package : str
        The name of our own package.
    """
    _new_main()
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()  # nothing random may repeat; `random` reseeds itself after a fork
    if gc.get_freeze_count():
        gc.enable()


def run(path, first):
    """Raise what makes this interpreter, after `prepare`, run a file as its main program.

    Parameters
    ----------
    path : str
        The file, absolute: its ``__file__`` and ``sys.argv[0]``.
    first : str
        The directory that is ``sys.path[0]``.
    """
    stream = _fopen(os.fsencode(path), b"rb")
    if not stream:
        raise OSError(f"The file {path} cannot be read.")
    sys.argv = [path]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv = [sys.executable, "-u", path]
    sys.path.insert(0, first)
    _refresh()
    steps = [functools.partial(_tidy), functools.partial(_run_file, stream, os.fsencode(path), 1, None)]
    _Carrier.__iter__ = staticmethod(functools.partial(map, functools.partial.__call__, steps))
    sys.excepthook = functools.reduce
    raise _Carrier()


def _new_main():
    main = types.ModuleType("__main__")
    main.__builtins__ = builtins
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    sys.modules["__main__"] = main


def _refresh():
    # What an earlier block installed must be found. Not through importlib.invalidate_caches, which
    # imports importlib.metadata for it.
    for finder in sys.path_importer_cache.values():
        if hasattr(finder, "invalidate_caches"):
            finder.invalidate_caches()
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.ORIGINAL_DIR = os.getcwd()


def freeze():
    """Call this right before a fork: what is there now is not the script's."""
    gc.disable()
    gc.freeze()
    _before.clear()
    _before.update(sys.modules)


def _leave():
    """End a script that ended well; see the module's text."""
    if not _before:
        raise SystemExit(0)  # not a fork: nothing is shared, finalization costs what it costs
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()
    try:
        atexit._run_exitfuncs()
    except BaseException:  # noqa: S110
        pass  # Python 3.8 and 3.9 raise the last of what they have printed
    _clear_modules()
    _flush_files()
    _exit(0)


def _clear_modules():
    # The order of CPython's finalize_modules: all forgotten, then what is cyclic, then, newest first,
    # what somebody still holds.
    own = [module for name, module in sys.modules.items() if _before.get(name) is not module]
    for name in [name for name in sys.modules if _before.get(name) is not sys.modules[name]]:
        sys.modules[name] = None
    left = [weakref.ref(module) for module in own if isinstance(module, types.ModuleType)]
    del own
    gc.collect()
    for module in reversed([reference() for reference in left]):
        if module is not None:
            _clear(module.__dict__)
    gc.collect()


def _clear(names):
    # _PyModule_Clear: names with one underscore first, then the rest, builtins last.
    for private in (True, False):
        for name in list(names):
            if (name[:1] == "_" and name[1:2] != "_") is private and name != "__builtins__":
                names[name] = None


def _flush_files():
    # What the script left open where clearing does not reach: nothing written may be lost.
    for thing in gc.get_objects():
        if isinstance(thing, io.IOBase):
            try:
                thing.flush()
            except Exception:  # noqa: S110
                pass  # closed, or cannot be written: nobody is left to be told


def _tidy():
    # The interpreter has just noted our carrier as its last exception.
    sys.excepthook = sys.__excepthook__
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)
    return 1
