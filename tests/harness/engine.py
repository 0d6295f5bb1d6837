"""A container engine of the tests' own, and images made of this machine's programs: nothing is pulled.

Its socket, data and processes are apart from any other engine's. It has no bridge and no firewall rules.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from .image import packed

__all__ = ["IMAGE", "OwnEngine", "needs_engine"]

#: With Python, bash, node and what shells use.
IMAGE = "exec-test:full"
_PROGRAMS = (
    "bash", "sh", "python3", "node", "env", "sleep", "cat", "ls", "id", "dd", "mkdir", "rm", "touch", "ps",
    "yes", "head", "tail", "echo", "true", "false", "setsid", "kill", "grep", "seq", "chmod", "ln", "mknod",
    "tr", "wc",
)  # fmt: skip


def needs_engine() -> None:
    """Skip where no engine can be started; in CI that is a failure."""
    missing = "root, who starts an engine" if os.geteuid() else "" if shutil.which("dockerd") else "dockerd"
    if missing and os.environ.get("CI"):
        pytest.fail(f"The container tests need {missing}; scripts/test installs the rest.")
    if missing:
        pytest.skip(f"needs {missing}")


# Ends the engine where the tests end without doing so.
_WATCHED = """
tests=$1; shift
dockerd "$@" &
while kill -0 "$tests" && kill -0 $!; do sleep 1; done 2>/dev/null
kill $! 2>/dev/null
"""


class OwnEngine:
    """A running engine.

    Parameters
    ----------
    folder : Path, optional
        Where it keeps everything; else one of its own, which `stop` removes. Short: paths of sockets are.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="exec-engine-", dir="/tmp"))
        self.address = f"unix://{self.folder}/socket"
        self._own = folder is None
        self.start()

    def start(self) -> None:
        """Start it, also after `kill`.

        Not as a child of the tests: some of them count or end the children of their process.
        """
        places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        arguments = [f"--{option}={self.folder / name}" for option, name in places.items()]
        arguments += [f"--{option}=false" for option in ("iptables", "ip6tables", "ip-forward", "ip-masq")]
        command = ["-H", self.address, "--bridge", "none", *arguments]
        with open(self.folder / "log", "ab") as log:
            subprocess.run(
                ["setsid", "--fork", "sh", "-c", _WATCHED, "engine", str(os.getpid()), *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True,
            )  # fmt: skip
        self._until_ready()
        self.process = psutil.Process(int((self.folder / "pid").read_text()))

    def _until_ready(self) -> None:
        end = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < end, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.05)

    def _answers(self) -> bool:
        import docker.errors
        import requests

        with socket.socket(socket.AF_UNIX) as attempt:
            if attempt.connect_ex(self.address.removeprefix("unix://")):
                return False
        try:
            with contextlib.closing(self.client()) as client:
                return bool(client.ping())
        except (docker.errors.DockerException, requests.RequestException):
            return False

    def client(self) -> Any:
        """A client of docker-py."""
        import docker

        return docker.APIClient(base_url=self.address, version="auto", timeout=60)

    def add_image(
        self, name: str, *changes: str, programs: tuple[str, ...] = _PROGRAMS, python: bool = True
    ) -> None:
        """Make an image of programs of this machine, with lines of a Dockerfile as changes."""
        archive = packed(self.folder / "image.tar", programs, python=python)
        repository, _, tag = name.partition(":")
        with contextlib.closing(self.client()) as client:
            client.import_image_from_file(str(archive), repository, tag, ["ENV PATH=/usr/bin:/bin", *changes])
        archive.unlink()

    def left(self) -> dict[str, list[str]]:
        """Names of what is on it, images excepted."""
        with contextlib.closing(self.client()) as client:
            containers = [found["Id"][:12] for found in client.containers(all=True)]
            volumes = [found["Name"] for found in client.volumes()["Volumes"] or ()]
        return {"containers": containers, "volumes": volumes}

    def kill(self) -> None:
        """End it at once, and what it has started to watch over containers: as if the machine crashed."""
        self.process.kill()
        self.process.wait()
        self._end_shims()
        for name in ("containerd.pid", "containerd.sock", "containerd.sock.ttrpc"):
            (self.folder / "exec" / "containerd" / name).unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop it and remove what it kept."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except psutil.TimeoutExpired:
            self.kill()
        self._end_shims()
        self._unmount()
        if self._own:
            shutil.rmtree(self.folder)

    def _end_shims(self) -> None:
        """End what an engine that was killed had started, and the next one did not find again."""
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.folder) in word for word in process.info["cmdline"] or ()):
                process.kill()
                process.wait(5)

    def _unmount(self) -> None:
        """Take away what an engine, and most of all one that was killed, leaves mounted."""
        lines = Path("/proc/self/mounts").read_text().splitlines()
        mounted = [line.split()[1] for line in lines if line.split()[1].startswith(f"{self.folder}/")]
        for place in reversed(mounted):
            subprocess.run(["umount", "--lazy", place], check=True)
