"""How a run of the portable loop begins: its file, its input, and the program in its job.

(Python 3.8, standard library only.)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

from ..frames import frame
from ..output import Output
from ..paths import FileRefused, free_name
from .files import Workspace
from .job import open_job
from .run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

MAIN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "main.py")

#: Seconds that an unfinished line waits for its rest: between its two pieces a thread or two take turns,
#: and a clock of Windows ticks every 16 ms.
PARTIAL = 0.02


class StartFailed(Exception):
    """The run could not begin; the text says why."""


class Saved(Exception):
    """The block was to be saved only; the text is its file's path."""


class Launcher:
    """Starts the runs of one session.

    Parameters
    ----------
    config : dict
        ``workspace`` and ``private``: directories.
    send : callable
        Takes the bytes of a frame.
    """

    def __init__(self, config: dict[str, Any], send: Callable[[bytes], None]) -> None:
        self._workspace, self._private = str(config["workspace"]), str(config["private"])
        self._files = Workspace(self._workspace)
        self._own_files = Workspace(self._private, private=True)
        self._send = send
        # A process's current directory cannot be removed or renamed on Windows: not the user's.
        os.chdir(self._private)

    def launch(self, channel: int, fields: dict[str, Any]) -> Run:
        """Start the program of a ``run`` request. Raises `StartFailed` or `Saved`."""
        try:
            self._files.check()
            path = self._write(channel, fields)
        except FileRefused as error:
            raise StartFailed(str(error)) from None
        except OSError as error:
            raise StartFailed(f"The code could not be written to its file: {error.strerror}.") from None
        if fields.get("save"):
            raise Saved(path)
        job = open_job(fields.get("limits", {}))
        try:
            with self._input(fields) as stdin:
                job.start(*self._command(fields, path), self._workspace, stdin)
        except OSError as error:
            job.close()
            raise StartFailed(f"No process could be started: {error.strerror or error}.") from None

        def send(kind: int, data: bytes) -> None:
            self._send(frame(kind, channel, data))

        output = Output(send, fields["head"], fields["tail"], PARTIAL)
        return Run(channel, job, output, fields.get("timeout"), fields["grace"], path)

    def _write(self, channel: int, fields: dict[str, Any]) -> str:
        """Write the block to its file."""
        name = fields.get("file")
        root = self._workspace if name else self._private
        if not name and not os.path.lexists(root):
            self._own_files.make()  # an earlier block has removed it
        name = name or free_name(root, f"block-{channel}{fields['suffix']}")
        file = (self._files if fields.get("file") else self._own_files).create(name)
        try:
            file.write(fields["code"].encode("utf-8", "surrogatepass"))
        except OSError:
            file.discard()
            raise
        os.close(file.commit())
        return os.path.join(root, *name.split("/"))

    def _command(self, fields: dict[str, Any], path: str) -> tuple[list[str], dict[str, str]]:
        """What to start, and its environment variables."""
        env = {**os.environ, **_names(fields.get("env", {}))}
        if fields.get("python"):
            first = os.path.dirname(path) if fields.get("file") else self._workspace
            return [sys.executable, "-u", MAIN, "--plain", path, first], env
        words = {"{file}": path, "{python}": sys.executable}
        argv = list(fields["argv"])
        for word, value in words.items():
            argv = [part.replace(word, value) for part in argv]
        # What is started is looked up by us: Windows itself would find no .cmd file, and look beside
        # our own interpreter first.
        program = shutil.which(argv[0], path=env.get("PATH"))
        if program is None:
            raise FileNotFoundError(0, f"{argv[0]} is not on the PATH")
        return [program, *argv[1:]], env

    def _input(self, fields: dict[str, Any]) -> _Input:
        text = fields.get("stdin")
        if fields.get("live"):
            return _Input(subprocess.PIPE)
        if text is None:
            return _Input(subprocess.DEVNULL)
        # A pipe would take 64 KiB and then need us; a file that ends with its last handle needs nobody.
        file = tempfile.TemporaryFile(dir=self._private)
        file.write(text.encode("utf-8", "surrogatepass"))
        file.seek(0)
        return _Input(file)


class _Input:
    """What a program reads from; our end of it is closed when the program has its own."""

    def __init__(self, source: int | IO[bytes]) -> None:
        self._source = source

    def __enter__(self) -> int | IO[bytes]:
        return self._source

    def __exit__(self, *error: object) -> None:
        if not isinstance(self._source, int):
            self._source.close()


def _names(variables: dict[str, str]) -> dict[str, str]:
    # `os.environ` has them in upper case on Windows, where Path and PATH are one variable.
    if sys.platform == "win32":
        return {name.upper(): value for name, value in variables.items()}
    else:
        return variables
