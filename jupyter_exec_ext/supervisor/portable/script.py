"""Run a file in a fresh interpreter as ``python FILE`` would, in plain Python.

`script.py` of the other loop does it without a trace, by means of CPython's own C functions. Here
a traceback shows no frame of ours, either; only a program that walks its own stack (as
``traceback.print_stack`` does), or prints tracebacks itself, sees that it was called.
(Python 3.8, standard library only.)
"""

from __future__ import annotations

import builtins
import signal
import sys
import types
from importlib.machinery import SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


def run(path: str, first: str, package: str) -> None:
    """Run the file as the main program; returns when it has come to its end.

    Parameters
    ----------
    path : str
        The file, absolute: its ``__file__`` and ``sys.argv[0]``.
    first : str
        The directory that is ``sys.path[0]``.
    package : str
        The name of our own package, which the file must not find.
    """
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]
    sys.argv = [path]
    if sys.version_info >= (3, 10):
        sys.orig_argv = [sys.executable, "-u", path]
    sys.path.insert(0, first)
    main = sys.modules["__main__"] = _new_main(path)
    _interruptible()
    sys.excepthook = _print_exception
    with open(path, "rb") as file:
        source = file.read()
    exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)  # noqa: S102


def _new_main(path: str) -> types.ModuleType:
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __file__=path, __cached__=None)
    main.__loader__ = SourceFileLoader("__main__", path)
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    return main


def _interruptible() -> None:
    # A process of its own group on Windows gets no Ctrl-C, only Ctrl-Break, which would end it
    # without a word; the block is to see what Ctrl-C means to it.
    if sys.platform == "win32":
        signal.signal(signal.SIGBREAK, signal.default_int_handler)


def _print_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    # Our frames are the outermost ones: main.py, and `run` here. A file that does not compile has
    # no other, and then only its own line is shown.
    main = sys.modules["__main__"].__dict__
    while trace is not None and trace.tb_frame.f_globals is not main:
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)
