"""How a run begins: its file, its pipes, and whether it is forked or spawned.

(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import json
import os
import re
import sys

from . import child
from .files import Workspace
from .frames import frame
from .output import Output
from .paths import FileRefused, free_name
from .pipes import StartFailed, plain, start
from .run import Run
from .shadows import Shadows
from .standby import BURST, Standby

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .pipes import Ours
    from .tree import SubreaperTree

MAIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "main.py")

_OURS = os.path.dirname(MAIN) + os.sep
_STANDARD = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_WORD = re.compile(r"\{(python|file)\}")

# Variables that an interpreter or its C library reads once, when it starts: too late for a fork.
_AT_START = re.compile(r"^(PYTHON|LD_|DYLD_|MALLOC_|GLIBC_|LC_|LANG|TZ$|HOME$)")
# A block that puts folders before the standard library's may hide what this interpreter has loaded. Without
# preloaded modules a fork would see to it (`unseen`), though it would load anew much of what is loaded here.
_PATHS = re.compile(
    r"\bsys\s*\.\s*path\b(?!\s*\.\s*append\b)|\bfrom\s+sys\s+import\b[^\n]{0,200}\bpath\b|\baddsitedir\b"
)
#: With them, another name for ``sys`` is enough.
_SYS_AS = re.compile(r"\bimport\b[^\n]{0,200}\bsys\s+as\b|\bfrom\s+sys\s+import\s*\*")


class Saved(Exception):
    """The block was to be saved only; the text is its file's path."""


class Launcher:
    """Starts the runs of one session.

    Parameters
    ----------
    config : dict
        ``workspace``, ``private``, ``preload``, ``whole`` (see `Standby`).
    tree : tree.SubreaperTree
    send : callable
        Takes the bytes of a frame.

    Attributes
    ----------
    workspace : Workspace
    """

    def __init__(self, config: dict[str, Any], tree: SubreaperTree, send: Callable[[bytes], None]) -> None:
        self._config, self._tree, self._send = config, tree, send
        self.workspace = Workspace(config["workspace"])
        self._private = Workspace(config["private"], private=True)
        self._made_of: tuple[int, list[str]] = (0, [])
        self._watched: list[str] = []
        self._print = self._fingerprint()
        self._shadows = Shadows()
        self.standby = Standby(tree, config.get("burst", BURST), config["whole"])
        self._place: tuple[int, int] | None = None
        try:
            self._enter()
        except FileRefused:
            pass  # every run will say so
        child.no_core_dumps()

    def _enter(self) -> None:
        place = self.workspace.enter()
        if place != self._place:
            self.standby.dismiss()  # it is where we were, and the workspace has been made anew
            self._place = place

    def launch(self, channel: int, fields: dict[str, Any]) -> Run:
        """Start the program of a ``run`` request. Raises `StartFailed`."""
        try:
            self._enter()
            job = self._job(channel, fields)
        except (OSError, FileRefused) as error:
            raise StartFailed(_why(error)) from None
        if fields.get("save"):
            raise Saved(job["path"])
        # No `finally` below: a fork leaves these frames too.
        forked = self._can_fork(fields, job)
        pid, ends = self.standby.give(fields, job, plain(fields)) if forked else self._spawn(fields, job)
        output = Output(
            lambda kind, data: self._send(frame(kind, channel, data)), fields["head"], fields["tail"]
        )
        run = Run(channel, self._tree, pid, ends, output, fields.get("timeout"), fields["grace"])
        run.path, run.forked = job["path"], forked
        return run

    def begun(self, run: Run) -> None:
        """A run has just begun: make what the next one needs, while this one's processor is another."""
        self._private.prepare()
        self.standby.begun(run.forked)

    def settle(self) -> None:
        """Make the next block quicker: see `Standby.settle`, and `Standby.pause` for when."""
        self._private.prepare()
        self.standby.settle()

    def _job(self, channel: int, fields: dict[str, Any]) -> dict[str, Any]:
        """Write the block to its file, and say how it is to run."""
        name, workspace = fields.get("file"), self._config["workspace"]
        root = workspace if name else self._config["private"]
        if not name and not os.path.lexists(root):
            self._private.make()  # an earlier block has removed it
        name = name or free_name(root, f"block-{channel}{fields['suffix']}")
        file = (self.workspace if fields.get("file") else self._private).create(name)
        try:
            file.write(fields["code"].encode("utf-8", "surrogatepass"))
        except OSError:
            file.discard()
            raise
        os.close(file.commit())
        path = os.path.join(root, name)
        first = os.path.dirname(path) if fields.get("file") else workspace
        settings = {"extra": fields.get("env", {}), "limits": fields.get("limits", {})}
        # Not by its path, where there may be something else by then: the new process is there already.
        return {"path": path, "first": first, "cwd": ".", **settings}

    def _spawn(self, fields: dict[str, Any], job: dict[str, Any]) -> tuple[int, Ours]:
        argv = fields["argv"]
        if fields.get("python") and not fields.get("file"):
            # A block without a name of its own lies in a private directory, and yet imports what
            # is in the workspace: `python FILE` alone would look beside the file.
            argv = ["{python}", "-u", MAIN, "--script", "{file}", job["first"]]
        words = {"python": sys.executable, "file": job["path"]}
        argv = [_WORD.sub(lambda match: words[match.group(1)], part) for part in argv]
        settings = {name: job[name] for name in ("cwd", "extra", "limits")}
        started = start(fields, argv, settings, None)
        self.standby.dismiss()  # a run is over when no process is left: it must not be there
        return started

    # -- whether the warm interpreter is what a fresh one would be --------------------------------

    def _can_fork(self, fields: dict[str, Any], job: dict[str, Any]) -> bool:
        if not (fields.get("python") and fields.get("fork", True) and self.standby.warm):
            return False
        if self.stale() or self._shadows.hidden(job["first"]) or _PATHS.search(fields["code"]):
            return False
        extra = fields.get("env", {})
        if self._config["preload"]:
            # A preloaded module may have read any variable already.
            return not extra and not _SYS_AS.search(fields["code"])
        return not any(map(_AT_START.match, extra))

    def stale(self) -> bool:
        """Whether what this interpreter was made of has changed: packages installed or upgraded."""
        return self._fingerprint() != self._print

    def _fingerprint(self) -> list[int | None]:
        made_of = (len(sys.modules), sys.path)
        if made_of != self._made_of:
            # Not for every block: going through all modules takes longer than looking at these files.
            self._made_of, self._watched = (made_of[0], list(sys.path)), _watched()
        return [_changed(path) for path in self._watched]

    def tidy(self) -> None:
        """Remove the file that waits for a block."""
        self._private.tidy()

    def renew(self, source: int, sink: int) -> None:
        """Become a fresh interpreter, in the same process and on the same stream.

        Returns only where that is not possible, for instance since the interpreter was removed.
        """
        self.standby.dismiss()
        self.tidy()
        for descriptor in (source, sink):
            os.set_inheritable(descriptor, True)
        config = dict(self._config, stream=[source, sink])
        try:
            os.execv(sys.executable, [sys.executable, "-u", MAIN, json.dumps(config)])
        except OSError:
            for descriptor in (source, sink):
                os.set_inheritable(descriptor, False)


def _watched() -> list[str]:
    """Where packages are installed, and the files that were loaded from there."""
    folders = [path for path in [*sys.path, *_user_site()] if path.endswith("-packages")]
    modules = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    return folders + [path for path in modules if path and _may_change(path)]


def _user_site() -> list[str]:
    """The user's own packages, which are on the path only if they were there at the start."""
    site: Any = sys.modules.get("site")
    enabled = getattr(site, "ENABLE_USER_SITE", False)  # neither with -s or -I, nor in most venvs
    return [site.USER_SITE] if enabled and site.USER_SITE else []


def _may_change(path: str) -> bool:
    """Whether a module is somebody's: neither the standard library's nor ours."""
    if path.startswith(_OURS):
        return False
    return "-packages" in path or not path.startswith(_STANDARD)


def _changed(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _why(error: OSError | FileRefused) -> str:
    if isinstance(error, FileRefused):
        return str(error)
    return f"The code could not be written to its file: {error.strerror}."
