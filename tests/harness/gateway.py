"""A real jupyter_kernel_gateway in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

__all__ = ["Gateway"]

_FAULTY = Path(__file__).parents[1] / "kernels" / "faulty_kernel.py"


class Gateway:
    """A gateway on a port of loopback, which it has again when it is started again.

    It has the kernelspecs of this Python and ``faulty``, which no server beside it has.

    Parameters
    ----------
    home : Path
        Where it keeps everything.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home / "gateway.log"
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        folder = home / "data" / "kernels" / "faulty"
        folder.mkdir(parents=True)
        spec = {"argv": [sys.executable, str(_FAULTY), "-f", "{connection_file}"], "language": "faults"}
        (folder / "kernel.json").write_text(json.dumps({**spec, "display_name": "Faulty"}))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *more: str) -> None:
        """Start it, and wait until it answers."""
        options = [*more, "--ip=127.0.0.1", f"--port={self.port}", "--KernelGatewayApp.port_retries=0"]
        options.append("--JupyterWebsocketPersonality.list_kernels=True")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kernel_gateway", *options],
                env=self._environ(),
                cwd=self.home,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
            except OSError:
                assert self.process.poll() is None, self.log.read_text()[-3000:]
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"the gateway did not start: {self.log.read_text()[-3000:]}")

    def _environ(self) -> dict[str, str]:
        folders = {name: str(self.home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "KG_"))}
        return {**kept, **{f"JUPYTER_{name}_DIR": path for name, path in folders.items()}}

    def call(self, verb: str, path: str, body: Any = None) -> Any:
        """A request below its ``api``: the JSON of the answer."""
        data = json.dumps(body or {}).encode() if verb == "POST" else None
        request = urllib.request.Request(f"{self.url}/api/{path}".rstrip("/"), method=verb, data=data)
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.loads(response.read() or b"null")

    @property
    def kernels(self) -> list[str]:
        """The identifiers of its kernels."""
        return [kernel["id"] for kernel in self.call("GET", "kernels")]

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, and the kernels that a killed one leaves."""
        if self.process is None or self.process.poll() is not None:
            return
        left = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(how)
        self.process.wait(20)
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                pass  # it ended by itself

    def pause(self) -> None:
        """It does not answer any more, and its connections stay."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on where it was paused."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
