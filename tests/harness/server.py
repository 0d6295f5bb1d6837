"""A Jupyter Server in a process of its own, on request in a room it cannot leave."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
import pytest

__all__ = ["LINGER", "LiveServer", "needs_room", "room"]

#: A room stays for so long after its server's end, so that what is left of it can be seen.
LINGER = 20.0

#: The extension, and nothing that costs time to load.
_ONLY = "--ServerApp.jpserver_extensions={'jupyter_exec_ext': True, 'jupyterlab': False}"


class LiveServer:
    """A Jupyter Server in a process of its own, with directories of its own.

    Parameters
    ----------
    home : Path
        Where it keeps everything; another one started there finds it again.
    options : str
        More of the command line.
    prefix : sequence of str
        What the command begins with; see `room`.
    """

    def __init__(self, home: Path, *options: str, prefix: tuple[str, ...] = ()) -> None:
        self.home = home
        self.token = secrets.token_hex(16)
        self.root = home / "root"
        self.temporary = home / "tmp"
        self.log = home / "server.log"
        for folder in (self.root, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "jupyter_server", "--allow-root", "--no-browser", "--port=0"]
        before = set(self._files())
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *command, f"--ServerApp.root_dir={self.root}", _ONLY, *options],
                env=self._environ(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        try:
            self.url = self._wait(before)
            #: The server's own process, which a room starts in another one.
            self.pid = self._find()
        except BaseException:
            self.process.kill()
            raise

    def _environ(self) -> dict[str, str]:
        folders = {name: str(self.home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        environ = {**os.environ, **{f"JUPYTER_{name}_DIR": path for name, path in folders.items()}}
        environ["PYTHONPATH"] = str(Path(__file__).parents[2])
        environ["IPYTHONDIR"] = str(self._ipython())
        environ["TMPDIR"] = str(self.temporary)
        environ["JUPYTER_TOKEN"] = self.token
        return environ

    def _ipython(self) -> Path:
        """IPython's directory, without a history: a hostile cell can write into its file."""
        profile = self.home / "ipython" / "profile_default"
        profile.mkdir(parents=True, exist_ok=True)
        (profile / "ipython_kernel_config.py").write_text("c.HistoryManager.enabled = False\n")
        return profile.parent

    @property
    def leases(self) -> Path:
        """The private directories of this server and of those that were started here before it."""
        return self.home / "runtime" / "jupyter_exec_ext"

    def _files(self) -> list[tuple[Path, int]]:
        return [(file, file.stat().st_mtime_ns) for file in (self.home / "runtime").glob("jpserver-*.json")]

    def _wait(self, before: set[tuple[Path, int]]) -> str:
        """The address, once it answers."""
        for _ in range(600):
            if self.process.poll() is not None:
                break
            for file, _ in set(self._files()) - before:
                try:
                    url = str(json.loads(file.read_text())["url"])
                    urllib.request.urlopen(f"{url}api", timeout=5).close()
                except (ValueError, OSError):
                    pass  # half written, or not listening yet
                else:
                    return url
            time.sleep(0.05)
        raise AssertionError(f"the server did not start: {self.log.read_text()[-3000:]}")

    def _find(self) -> int:
        here = psutil.Process(self.process.pid)
        for process in (here, *here.children(recursive=True)):
            if process.cmdline()[1:3] == ["-m", "jupyter_server"]:
                return process.pid
        raise AssertionError("the server has no process")

    def call(self, verb: str, path: str, body: Any = None, timeout: float = 60) -> Any:
        """A request below ``api/exec``: the JSON of the answer."""
        request = urllib.request.Request(
            f"{self.url}api/exec/{path}",
            method=verb,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return json.loads(response.read() or b"null")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> str:
        """End it, and return what it had logged."""
        if self.process.poll() is None:
            os.kill(self.pid, how)
        self.process.wait(30)
        return self.log.read_text(errors="replace")


_UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc")
_AS_USER = ("--user", "--map-root-user")

# The shell is process 1: it reaps what loses its parents, and the room ends with it.
_ROOM = """
small=$1 fixed=$2 seconds=$3 linger=$4; shift 4
mount -t tmpfs -o size=256k none "$small" && mount -t tmpfs -o size=256k none "$fixed" || exit 97
mount -o remount,ro "$fixed" || exit 97
timeout -k 1 "$seconds" "$@" &
wait $!
sleep "$linger"
"""


#: Why hostile programs are not run.
UNCONTAINED = "no PID namespace can be made here, so the end of these programs is not certain"


@lru_cache
def contained() -> tuple[str, ...]:
    """How a command begins that is to run in PID and mount namespaces of its own; empty where it cannot."""
    if not sys.platform.startswith("linux") or shutil.which("unshare") is None:
        return ()
    prefix = _UNSHARE if os.geteuid() == 0 else (*_UNSHARE, *_AS_USER)
    probe = subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=False)
    return prefix if probe.returncode == 0 else ()


#: Without a room its tests are left out; in CI they fail.
needs_room = pytest.mark.skipif(not os.environ.get("CI") and not contained(), reason=UNCONTAINED)


def room(home: Path, *, seconds: float, linger: float = 0) -> tuple[str, ...]:
    """The prefix of a command in a room: whatever it starts is dead when the room's process is.

    In it ``root/small`` is a disk of 256 KiB, and ``root/fixed`` one that cannot be written to.

    Parameters
    ----------
    home : Path
        Of the server.
    seconds : float
        After these the command is killed, and the room with it.
    linger : float
        Seconds the room stays after the command, so that what it left can be seen.
    """
    if not contained():
        raise RuntimeError(UNCONTAINED)
    folders = [home / "root" / name for name in ("small", "fixed")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return (*contained(), "sh", "-c", _ROOM, "room", *map(str, folders), str(seconds), str(linger))
