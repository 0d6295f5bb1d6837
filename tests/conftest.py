"""Fixtures that all tests may use: a Jupyter Server with the extension, in this process or its own."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import HTTPResponse

from jupyter_exec_ext.app import ExecApp

pytest_plugins = ["pytest_jupyter.jupyter_server"]


@pytest.fixture
def jp_server_config() -> dict[str, Any]:
    """A server with this extension and no other."""
    return {
        "ServerApp": {
            "jpserver_extensions": {"jupyter_exec_ext": True, "jupyter_server_terminals": False},
            "reraise_server_extension_failures": True,
        }
    }


@pytest.fixture
def exec_app(jp_serverapp: ServerApp, jp_asyncio_loop: Any) -> ExecApp:
    """The extension, started: pytest-jupyter only initialises its servers."""
    jp_asyncio_loop.run_until_complete(jp_serverapp.extension_manager.start_all_extensions())
    (app,) = jp_serverapp.extension_manager.extension_apps["jupyter_exec_ext"]
    return app  # type: ignore[no-any-return]


@pytest.fixture
def rest(exec_app: ExecApp, jp_fetch: Callable[..., Any]) -> Callable[..., Any]:
    """Call ``await rest(verb, path, body, **params)``: the response, whatever its status."""

    async def call(verb: str, path: str, body: Any = None, **options: Any) -> HTTPResponse:
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if verb in ("POST", "PUT") and body is None:
            body = b""
        headers = options.pop("headers", None)
        return await jp_fetch(  # type: ignore[no-any-return]
            "api/exec",
            path,
            method=verb,
            body=body,
            headers=headers,
            params=options,
            raise_error=False,
            allow_nonstandard_methods=True,
            follow_redirects=False,
        )

    return call


class LiveServer:
    """A Jupyter Server in a process of its own, with directories of its own.

    Parameters
    ----------
    home : Path
        Where it keeps everything; another one started there finds it again.
    options : str
        More of the command line.
    """

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.token = secrets.token_hex(16)
        self.root = home / "root"
        self.log = home / "server.log"
        self.root.mkdir(parents=True, exist_ok=True)
        folders = {name: str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        environ = {**os.environ, **{f"JUPYTER_{name}_DIR": path for name, path in folders.items()}}
        environ["PYTHONPATH"] = str(Path(__file__).parents[1])
        environ["JUPYTER_TOKEN"] = self.token
        command = [sys.executable, "-m", "jupyter_server", "--allow-root", "--no-browser", "--port=0"]
        enabled = "--ServerApp.jpserver_extensions={'jupyter_exec_ext': True}"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, f"--ServerApp.root_dir={self.root}", enabled, *options],
                env=environ,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self.url = self._wait()

    def _wait(self) -> str:
        """The address, once it answers."""
        file = self.home / "runtime" / f"jpserver-{self.process.pid}.json"
        for _ in range(600):
            if self.process.poll() is not None:
                break
            if file.exists():
                try:
                    url = str(json.loads(file.read_text())["url"])
                    urllib.request.urlopen(f"{url}api", timeout=5).close()
                except (ValueError, OSError):
                    pass  # half written, or not listening yet
                else:
                    return url
            time.sleep(0.05)
        raise AssertionError(f"the server did not start: {self.log.read_text()[-3000:]}")

    def call(self, verb: str, path: str, body: Any = None, timeout: float = 60) -> Any:
        """A request below ``api/exec``: the JSON of the answer."""
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}api/exec/{path}",
            method=verb,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310
            return json.loads(response.read() or b"null")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> str:
        """End it, and return what it had logged."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(30)
        return self.log.read_text(errors="replace")


@pytest.fixture
def live_server(tmp_path: Path) -> Iterator[Callable[..., LiveServer]]:
    """Start servers; each is killed at the end of the test, if it still runs."""
    servers: list[LiveServer] = []

    def start(*options: str) -> LiveServer:
        servers.append(LiveServer(tmp_path / "server", *options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One server for all tests of a module, which can create no environments."""
    server = LiveServer(tmp_path_factory.mktemp("shared"), "--EnvironmentRegistry.allow_create=False")
    yield server
    server.stop(signal.SIGTERM)
