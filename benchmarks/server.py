"""A Jupyter Server of its own for the benchmarks: own directories, own token, loopback only."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx


@contextlib.contextmanager
def running_server(*, extension: bool = True) -> Iterator[tuple[httpx.Client, float, int]]:
    """Start a server: a client of it, the seconds until it answered, and its process id."""
    with tempfile.TemporaryDirectory() as home:
        token = secrets.token_hex(16)
        variables = {
            **os.environ,
            **{f"JUPYTER_{n}_DIR": f"{home}/{n}" for n in ("DATA", "RUNTIME", "CONFIG")},
        }
        enabled = repr({"jupyter_exec_ext": extension})
        command = [
            sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--port=0",
            f"--ServerApp.root_dir={home}", f"--IdentityProvider.token={token}",
            f"--ServerApp.jpserver_extensions={enabled}",
        ]  # fmt: skip
        started = time.perf_counter()
        with open(f"{home}/log", "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=variables, cwd=home)
        try:
            url = _url(Path(home, "RUNTIME"), process)
            with httpx.Client(
                base_url=url, headers={"Authorization": f"token {token}"}, timeout=60
            ) as client:
                client.get("api/status").raise_for_status()
                yield client, time.perf_counter() - started, process.pid
        finally:
            process.terminate()
            process.wait(20)


def _url(runtime: Path, process: subprocess.Popen[bytes]) -> str:
    for _ in range(3000):
        for file in runtime.glob("jpserver-*.json"):
            with contextlib.suppress(ValueError):
                return str(json.loads(file.read_text())["url"])
        if process.poll() is not None:
            raise SystemExit("The server did not start: " + Path(runtime.parent, "log").read_text()[-2000:])
        time.sleep(0.01)
    raise SystemExit("The server was not ready within 30 s.")


def submitter(client: httpx.Client) -> Callable[[dict[str, str]], None]:
    """A function that runs a request, waits for its end, and accepts nothing but success.

    The leanest client there is: what httpx itself takes, 2 ms of a request, is not the server's.
    """
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port)
    path = f"{client.base_url.path}api/exec/executions?wait=60"
    headers = {"Authorization": client.headers["Authorization"], "Content-Type": "application/json"}

    def submit(request: dict[str, str]) -> None:
        connection.request("POST", path, json.dumps(request), headers)
        answer = connection.getresponse().read()
        if json.loads(answer)["status"] != "ok":
            raise SystemExit(answer.decode())

    return submit
