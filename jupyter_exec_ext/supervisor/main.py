"""Start here: ``python -u main.py CONFIG`` inside the environment.

CONFIG is JSON: ``workspace`` and ``private`` (directories), ``preload`` (modules to import before
the first block), ``guard`` (whether to put a second process around this one that ends what is
left should this one be killed), ``burst`` (see `standby.Standby`), ``portable`` (whether to use the loop
that needs no fork; without fork it is used anyway), ``stream`` (descriptors, after a renewal; else 0 and 1).
``main.py --script FILE FIRST`` runs one file in a fresh interpreter as ``python FILE`` would, with
FIRST as ``sys.path[0]``.
``main.py --plain FILE FIRST`` does so in plain Python, where the C functions cannot be had.
(Python 3.8, standard library only.)
"""

from __future__ import annotations

import builtins
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_PACKAGE = "_jupyter_exec_supervisor"
#: What every script finds imported.
_AT_START = frozenset(sys.modules) - {"__future__"}


class _Recorder:
    """Notes who imports what while it has the place of ``__import__`` (see `unseen`)."""

    def __init__(self) -> None:
        self.imports: list[tuple[str, str, str, tuple[str, ...], int]] = []
        self._import: Any = builtins.__import__
        builtins.__import__ = self

    def __call__(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        importer, package = ((globals or {}).get(key) or "" for key in ("__name__", "__package__"))
        self.imports.append((importer, package, name, tuple(fromlist or ()), level))
        return self._import(name, globals, locals, fromlist, level)

    def stop(self) -> list[tuple[str, str, str, tuple[str, ...], int]]:
        """Leave that place; what there was to note."""
        builtins.__import__ = self._import
        imports, self.imports = self.imports, []
        return imports


def _load() -> None:
    """Import this folder as a package that no installed package can be taken for."""
    import importlib.util
    import os

    folder = os.path.dirname(os.path.abspath(__file__))
    init = os.path.join(folder, "__init__.py")
    spec = importlib.util.spec_from_file_location(_PACKAGE, init, submodule_search_locations=[folder])
    assert spec is not None  # noqa: S101
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
    # Python put this folder first on the path (that of the file itself, where this is a link to it);
    # a block must not find our modules there.
    if not getattr(sys.flags, "safe_path", False) and not sys.flags.isolated:
        del sys.path[0]


def _guard() -> None:
    """Fork: the child goes on; this process waits for it, and then ends what it left.

    It also ends everything when it is told to terminate, and the kernel tells it so when the
    server is no more: a program that has stopped its supervisor does not outlive either.
    """
    import importlib
    import os
    import signal

    parent = os.getppid()
    module = importlib.import_module(_PACKAGE + ".tree")
    tree = module.here()
    guard = os.getpid()
    pid = os.fork()
    if pid == 0:
        tree.close()
        module.die_with(guard, signal.SIGKILL)
        return
    os.closerange(0, 2)  # the stream ends with the supervisor, not with its guard
    signal.signal(signal.SIGTERM, lambda number, stack: tree.end(128 + number))
    module.die_with(parent, signal.SIGTERM)
    status = None
    while status is None:
        ended, wait_status = os.wait()
        status = wait_status if ended == pid else None
    tree.end(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def _preload(names: Iterable[str]) -> dict[str, Any]:
    """Import what the environment says.

    Returns ``problems``, why not, for each that could not be; and ``holds``, those that keep a file or
    socket open.
    """
    import importlib

    problems, holds = {}, []
    for name in names:
        before = _descriptors()
        try:
            importlib.import_module(name)
        except BaseException as error:  # whatever a module raises, the session starts without it
            problems[name[:200]] = f"{type(error).__name__}: {error}"[:300]
        if _descriptors() - before:
            holds.append(name[:200])
    return {"problems": dict(list(problems.items())[:100]), "holds": holds[:100]}  # one frame holds them


def _descriptors() -> set[str]:
    """What is open here, without the descriptor that lists it."""
    import os

    try:
        return {name for name in os.listdir("/dev/fd") if os.path.exists("/dev/fd/" + name)}
    except OSError:
        return set()  # a system without it, which no fork could do without either


def _stream(config: dict[str, Any]) -> tuple[int, int]:
    """The byte stream's descriptors, moved away from 0 and 1, which belong to programs."""
    import os

    if "stream" in config:
        source, sink = config.pop("stream")
    else:
        source, sink = os.dup(0), os.dup(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
    for descriptor in (source, sink):
        os.set_inheritable(descriptor, False)
    return source, sink


def _serve(text: str, recorder: _Recorder) -> None:
    import importlib
    import json
    import os
    import platform
    import select

    config = json.loads(text)
    if config.pop("portable", False) or not (hasattr(os, "fork") and hasattr(select, "poll")):
        recorder.stop()
        importlib.import_module(_PACKAGE + ".portable.loop").serve(*_stream(config), config)
    if config.pop("guard", False):
        _guard()
    source, sink = _stream(config)
    importlib.import_module(_PACKAGE + ".script").reopen_stdin()
    if config["preload"]:
        recorder.stop()  # and a fork has all that there is
    preloaded = _preload(config["preload"])
    whole = not preloaded["holds"]
    tree = importlib.import_module(_PACKAGE + ".tree").here()
    loop = importlib.import_module(_PACKAGE + ".loop")
    if not config["preload"]:
        importlib.import_module(_PACKAGE + ".unseen").learn(_AT_START, _PACKAGE, recorder.stop())
    hello = {"pid": os.getpid(), "python": platform.python_version(), **preloaded}
    hello["fork"] = importlib.import_module(_PACKAGE + ".script").AVAILABLE and whole
    loop.Supervisor(source, sink, dict(config, whole=whole), tree).serve(hello)


def _script(path: str, first: str) -> None:
    import importlib

    script = importlib.import_module(_PACKAGE + ".script")
    script.prepare(_PACKAGE, _AT_START)
    script.run(script.open_file(path), path, first)


def _plain(path: str, first: str) -> None:
    import importlib

    importlib.import_module(_PACKAGE + ".portable.script").run(path, first, _PACKAGE)


_recorder = None if sys.argv[1].startswith("--") else _Recorder()
_load()
if sys.argv[1] == "--script" and not sys.flags.inspect:  # that asks for more once the script has ended
    _script(sys.argv[2], sys.argv[3])
elif sys.argv[1] in ("--plain", "--script"):
    _plain(sys.argv[2], sys.argv[3])
elif _recorder is not None:
    _serve(sys.argv[1], _recorder)
