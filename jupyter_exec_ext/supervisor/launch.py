"""How a run begins: its file, its pipes, and whether it is forked or spawned.

(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys

from . import child, script
from .files import FileRefused, Workspace
from .frames import frame
from .output import Output
from .run import Run

PACKAGE = __name__.split(".", 1)[0]
MAIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "main.py")

# Variables that an interpreter or its C library reads once, when it starts: too late for a fork.
_AT_START = re.compile(r"^(PYTHON|LD_|DYLD_|MALLOC_|GLIBC_|LC_|LANG|TZ$)")


class StartFailed(Exception):
    """The run could not begin; the text says why."""


class Saved(Exception):
    """The block was to be saved only; the text is its file's path."""


class Launcher:
    """Starts the runs of one session.

    Parameters
    ----------
    config : dict
        ``workspace``, ``private``, ``preload``.
    tree : tree.SubreaperTree
    send : callable
        Takes the bytes of a frame.
    """

    def __init__(self, config, tree, send):
        self._config, self._tree, self._send = config, tree, send
        self._print = self._fingerprint()
        self._standby = None
        os.chdir(config["workspace"])
        child.no_core_dumps()

    def launch(self, channel, fields):
        """Start the program of a ``run`` request. Raises `StartFailed`."""
        if not os.path.isdir(self._config["workspace"]):
            raise StartFailed("The working directory {} is gone.".format(self._config["workspace"]))
        try:
            job = self._job(channel, fields)
        except (OSError, FileRefused) as error:
            raise StartFailed(_why(error)) from None
        if fields.get("save"):
            raise Saved(job["path"])
        # No `finally` below: a fork leaves these frames too.
        forked = self._can_fork(fields)
        pid, pipes = self._fork(fields, job) if forked else self._spawn(fields, job)
        output = Output(
            lambda kind, data: self._send(frame(kind, channel, data)), fields["head"], fields["tail"]
        )
        run = Run(channel, self._tree, pid, pipes, output, fields.get("timeout"), fields["grace"])
        run.path, run.forked = job["path"], forked
        return run

    def _job(self, channel, fields):
        """Write the block to its file, and say how it is to run."""
        name, workspace = fields.get("file"), self._config["workspace"]
        root = workspace if name else self._config["private"]
        name = name or f"block-{channel}{fields['suffix']}"
        file = Workspace(root).create(name)
        try:
            file.write(fields["code"].encode("utf-8", "surrogatepass"))
        except OSError:
            file.discard()
            raise
        os.close(file.commit())
        path = os.path.join(root, name)
        first = os.path.dirname(path) if fields.get("file") else workspace
        settings = {"extra": fields.get("env", {}), "limits": fields.get("limits", {})}
        return {"path": path, "first": first, "cwd": workspace, **settings}

    def _spawn(self, fields, job):
        self.dismiss()
        argv = [part.replace("{file}", job["path"]) for part in fields["argv"]]
        if fields.get("python") and not fields.get("file"):
            # A block without a name of its own lies in a private directory, and yet imports what
            # is in the workspace: `python FILE` alone would look beside the file.
            argv = ["{python}", "-u", MAIN, "--script", job["path"], job["first"]]
        argv = [part.replace("{python}", sys.executable) for part in argv]
        settings = {name: job[name] for name in ("cwd", "extra", "limits")}
        pid, ours, _ = self._start(fields, argv, settings)
        return pid, ours

    def _fork(self, fields, job):
        data = json.dumps(job).encode("ascii")
        plain = fields.get("stdin") is None and not fields.get("live")
        if self._standby is None or not plain:
            self.dismiss()
            self._standby = self._start(fields, None, {})
        pid, ours, writer = self._standby
        self._standby = None
        try:
            while data:
                data = data[os.write(writer, data) :]
        except BrokenPipeError:
            pass  # it was killed while it waited; its end says so
        os.close(writer)
        return pid, ours

    def stand_by(self):
        """Fork the process of the next block before there is one. Call this only while nothing runs."""
        if self._standby is None and script.AVAILABLE:
            self._standby = self._start({}, None, {})

    def dismiss(self):
        """End the process that waits for a block."""
        if self._standby is None:
            return
        pid, ours, writer = self._standby
        self._standby = None
        _close([writer, *ours.values()])
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def forget(self, pid):
        """The process that waited for a block has been killed by somebody."""
        if self._standby is not None and self._standby[0] == pid:
            _close([self._standby[2], *self._standby[1].values()])
            self._standby = None

    def _start(self, fields, argv, settings):
        """Make the pipes and the process: its pid, our ends, and where its job is written."""
        ours, theirs = _pipes(fields)
        theirs["job"], writer = os.pipe() if argv is None else (None, None)
        script.freeze()
        try:
            pid = child.start(child.Launch(argv=argv, package=PACKAGE, **theirs, **settings))
        except OSError as error:
            _close([*ours.values(), *theirs.values(), writer])
            raise StartFailed(f"No process could be started: {error.strerror}.") from None
        _close(theirs.values())
        return pid, ours, writer

    # -- whether the warm interpreter is what a fresh one would be --------------------------------

    def _can_fork(self, fields):
        if not (fields.get("python") and fields.get("fork", True) and script.AVAILABLE) or self.stale():
            return False
        # A preloaded module may have read any variable already.
        extra = fields.get("env", {})
        return not extra if self._config["preload"] else not any(map(_AT_START.match, extra))

    def stale(self):
        """Whether what this interpreter was made of has changed: packages installed or upgraded."""
        return self._fingerprint() != self._print

    def _fingerprint(self):
        folders = [path for path in sys.path if path.endswith("-packages")]
        modules = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        files = [path for path in modules if path and "-packages" in path]
        return [_changed(path) for path in folders + files]

    def renew(self, source, sink):
        """Become a fresh interpreter, in the same process and on the same stream."""
        self.dismiss()
        for descriptor in (source, sink):
            os.set_inheritable(descriptor, True)
        config = dict(self._config, stream=[source, sink])
        os.execv(sys.executable, [sys.executable, "-u", MAIN, json.dumps(config)])


def _pipes(fields):
    """Our ends and the program's ends of what connects us."""
    ours, theirs = {}, {}
    for name in ("stdout", "stderr", "problems"):
        ours[name], theirs[name] = os.pipe()
    ours["stdin"] = None
    if fields.get("live"):
        theirs["stdin"], ours["stdin"] = os.pipe()
        os.set_blocking(ours["stdin"], False)
    elif fields.get("stdin") is not None:
        theirs["stdin"] = _text_file(fields["stdin"])
    else:
        theirs["stdin"] = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return ours, theirs


def _text_file(text):
    # A pipe would take 64 KiB and then need us; a file without a name needs nobody.
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
    else:
        import tempfile

        descriptor = os.dup(tempfile.TemporaryFile().fileno())
    view = memoryview(text.encode("utf-8", "surrogatepass"))
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _close(descriptors):
    for descriptor in descriptors:
        if descriptor is not None:
            os.close(descriptor)


def _changed(path):
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _why(error):
    if isinstance(error, FileRefused):
        return str(error)
    return f"The code could not be written to its file: {error.strerror}."
