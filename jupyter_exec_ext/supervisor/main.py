"""Start here: ``python -u main.py CONFIG`` inside the environment.

CONFIG is JSON: ``workspace`` and ``private`` (directories), ``preload`` (modules to import before
the first block), ``guard`` (whether to put a second process around this one that ends what is
left should this one be killed), ``stream`` (descriptors, after a renewal; else 0 and 1).
``main.py --script FILE FIRST`` runs one file in a fresh interpreter as ``python FILE`` would, with
FIRST as ``sys.path[0]``.
(Python 3.8, standard library only.)
"""

from __future__ import annotations

import sys

_PACKAGE = "_jupyter_exec_supervisor"


def _load():
    """Import this folder as a package that no installed package can be taken for."""
    import importlib.util
    import os

    folder = os.path.dirname(os.path.abspath(__file__))
    init = os.path.join(folder, "__init__.py")
    spec = importlib.util.spec_from_file_location(_PACKAGE, init, submodule_search_locations=[folder])
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
    # Python put this folder first on the path; a block must not find our modules there.
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != folder]


def _guard():
    """Fork: the child goes on; this process waits for it, and then ends what it left.

    It also ends everything when it is told to terminate, and the kernel tells it so when the
    server is no more: a program that has stopped its supervisor does not outlive either.
    """
    import importlib
    import os
    import signal

    tree, server = importlib.import_module(_PACKAGE + ".tree").here(), os.getppid()
    pid = os.fork()
    if pid == 0:
        return
    os.closerange(0, 2)  # the stream ends with the supervisor, not with its guard
    signal.signal(signal.SIGTERM, lambda number, stack: tree.end(128 + number))
    tree.die_with(server)
    status = None
    while status is None:
        ended, wait_status = os.wait()
        status = wait_status if ended == pid else None
    tree.end(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def _preload(names):
    """Import what the environment says; why not, for each that could not be."""
    import importlib

    problems = {}
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:  # whatever a module raises, the session starts without it
            problems[name] = f"{type(error).__name__}: {error}"
    return problems


def _stream(config):
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


def _serve(text):
    import importlib
    import json
    import os
    import platform

    config = json.loads(text)
    if config.pop("guard", False):
        _guard()
    source, sink = _stream(config)
    problems = _preload(config["preload"])
    tree = importlib.import_module(_PACKAGE + ".tree").here()
    loop = importlib.import_module(_PACKAGE + ".loop")
    hello = {"pid": os.getpid(), "python": platform.python_version(), "problems": problems}
    hello["fork"] = importlib.import_module(_PACKAGE + ".script").AVAILABLE
    loop.Supervisor(source, sink, config, tree).serve(hello)


def _script(path, first):
    import importlib

    script = importlib.import_module(_PACKAGE + ".script")
    script.prepare(_PACKAGE)
    script.run(path, first)


_load()
if sys.argv[1] == "--script":
    _script(sys.argv[2], sys.argv[3])
else:
    _serve(sys.argv[1])
