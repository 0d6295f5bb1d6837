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
from .files import Workspace
from .frames import frame
from .output import Output
from .paths import FileRefused
from .run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .tree import SubreaperTree

    Ours = dict[str, int | None]

PACKAGE = __name__.split(".", 1)[0]
MAIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "main.py")

_WORD = re.compile(r"\{(python|file)\}")

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

    def __init__(self, config: dict[str, Any], tree: SubreaperTree, send: Callable[[bytes], None]) -> None:
        self._config, self._tree, self._send = config, tree, send
        self._print = self._fingerprint()
        self._standby: tuple[int, Ours, int] | None = None
        os.chdir(config["workspace"])
        child.no_core_dumps()

    def launch(self, channel: int, fields: dict[str, Any]) -> Run:
        """Start the program of a ``run`` request. Raises `StartFailed`."""
        try:
            os.chdir(self._config["workspace"])  # it may have been made anew
        except OSError:
            raise StartFailed("The working directory {} is gone.".format(self._config["workspace"])) from None
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

    def _job(self, channel: int, fields: dict[str, Any]) -> dict[str, Any]:
        """Write the block to its file, and say how it is to run."""
        name, workspace = fields.get("file"), self._config["workspace"]
        root = workspace if name else self._config["private"]
        if not name:
            os.makedirs(root, mode=0o700, exist_ok=True)  # an earlier block may have removed it
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

    def _spawn(self, fields: dict[str, Any], job: dict[str, Any]) -> tuple[int, Ours]:
        self.dismiss()
        argv = fields["argv"]
        if fields.get("python") and not fields.get("file"):
            # A block without a name of its own lies in a private directory, and yet imports what
            # is in the workspace: `python FILE` alone would look beside the file.
            argv = ["{python}", "-u", MAIN, "--script", "{file}", job["first"]]
        words = {"python": sys.executable, "file": job["path"]}
        argv = [_WORD.sub(lambda match: words[match.group(1)], part) for part in argv]
        settings = {name: job[name] for name in ("cwd", "extra", "limits")}
        return self._start(fields, argv, settings, None)

    def _fork(self, fields: dict[str, Any], job: dict[str, Any]) -> tuple[int, Ours]:
        data = json.dumps(job).encode("ascii")
        if not _plain(fields):
            self.dismiss()
        pid, ours, writer = self._standby or self._await_job(fields)
        self._standby = None
        try:
            while data:
                data = data[os.write(writer, data) :]
        except BrokenPipeError:
            pass  # it was killed while it waited; its end says so
        os.close(writer)
        return pid, ours

    def _await_job(self, fields: dict[str, Any]) -> tuple[int, Ours, int]:
        source, writer = os.pipe()
        try:
            pid, ours = self._start(fields, None, {}, source)
        except StartFailed:
            os.close(writer)
            raise
        return pid, ours, writer

    def stand_by(self) -> None:
        """Fork the process of the next block before there is one. Call this only while nothing runs."""
        if self._standby is None and script.AVAILABLE and self.warm:
            try:
                self._standby = self._await_job({})
            except StartFailed:
                pass  # the next block tries again, and says why not

    def dismiss(self) -> None:
        """End the process that waits for a block."""
        if self._standby is None:
            return
        pid, ours, writer = self._standby
        self._standby = None
        _close([writer, *ours.values()])
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def forget(self, pid: int) -> None:
        """The process that waited for a block has been killed by somebody."""
        if self._standby is not None and self._standby[0] == pid:
            _close([self._standby[2], *self._standby[1].values()])
            self._standby = None

    def _start(
        self, fields: dict[str, Any], argv: list[str] | None, settings: dict[str, Any], job: int | None
    ) -> tuple[int, Ours]:
        """Make the pipes and the process: its pid and our ends."""
        ours: Ours = {"stdin": None}
        theirs: Ours = {"job": job}
        try:
            _pipes(fields, ours, theirs)
            pid = child.start(
                child.Launch(argv=argv, package=PACKAGE, plain=_plain(fields), **theirs, **settings)
            )
        except OSError as error:
            _close([*ours.values(), *theirs.values()])
            raise StartFailed(f"No process could be started: {error.strerror}.") from None
        _close(theirs.values())
        return pid, ours

    # -- whether the warm interpreter is what a fresh one would be --------------------------------

    @property
    def warm(self) -> bool:
        """Whether a fork has all that this interpreter has: the threads of preloaded modules it has not."""
        threading = sys.modules.get("threading")
        return threading is None or threading.active_count() == 1

    def _can_fork(self, fields: dict[str, Any]) -> bool:
        if not (fields.get("python") and fields.get("fork", True) and script.AVAILABLE and self.warm):
            return False
        if self.stale():
            return False
        # A preloaded module may have read any variable already.
        extra = fields.get("env", {})
        return not extra if self._config["preload"] else not any(map(_AT_START.match, extra))

    def stale(self) -> bool:
        """Whether what this interpreter was made of has changed: packages installed or upgraded."""
        return self._fingerprint() != self._print

    def _fingerprint(self) -> list[int | None]:
        folders = [path for path in sys.path if path.endswith("-packages")]
        modules = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        files = [path for path in modules if path and "-packages" in path]
        return [_changed(path) for path in folders + files]

    def renew(self, source: int, sink: int) -> None:
        """Become a fresh interpreter, in the same process and on the same stream.

        Returns only where that is not possible, for instance since the interpreter was removed.
        """
        self.dismiss()
        for descriptor in (source, sink):
            os.set_inheritable(descriptor, True)
        config = dict(self._config, stream=[source, sink])
        try:
            os.execv(sys.executable, [sys.executable, "-u", MAIN, json.dumps(config)])
        except OSError:
            for descriptor in (source, sink):
                os.set_inheritable(descriptor, False)


def _plain(fields: dict[str, Any]) -> bool:
    """Whether the program gets nothing to read."""
    return fields.get("stdin") is None and not fields.get("live")


def _pipes(fields: dict[str, Any], ours: Ours, theirs: Ours) -> None:
    """Make what connects us: our ends and the program's."""
    for name in ("stdout", "stderr", "problems"):
        ours[name], theirs[name] = os.pipe()
    if fields.get("live"):
        theirs["stdin"], writer = os.pipe()
        os.set_blocking(writer, False)
        ours["stdin"] = writer
    elif fields.get("stdin") is not None:
        theirs["stdin"] = _text_file(fields["stdin"])
    else:
        theirs["stdin"] = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def _text_file(text: str) -> int:
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


def _close(descriptors: Iterable[int | None]) -> None:
    for descriptor in descriptors:
        if descriptor is not None:
            os.close(descriptor)


def _changed(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _why(error: OSError | FileRefused) -> str:
    if isinstance(error, FileRefused):
        return str(error)
    return f"The code could not be written to its file: {error.strerror}."
