"""Fixtures that all tests may use: a Jupyter Server with the extension, in this process or its own."""

from __future__ import annotations

import gc
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.engine import IMAGE, OwnEngine, needs_engine
from harness.server import LINGER, LiveServer, room
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import HTTPResponse

from jupyter_exec_ext.app import ExecApp

pytest_plugins = ["pytest_jupyter.jupyter_server"]


def pytest_collection_finish() -> None:
    """Have no search for garbage look at what was imported and collected, which stays to the end anyway.

    Tests that want to see nothing left search several times, and each took 0.2 s and more.
    """
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="session")
def own_engine() -> Iterator[OwnEngine]:
    """An engine with the test's image."""
    needs_engine()
    engine = OwnEngine()
    try:
        engine.add_image(IMAGE)
        yield engine
    finally:
        engine.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., LiveServer]]:
    """Start servers in rooms, one after the other in the same place."""
    servers: list[LiveServer] = []

    def start_one(*options: str) -> LiveServer:
        home = tmp_path / "server"
        prefix = room(home, seconds=120, linger=LINGER)
        servers.append(LiveServer(home, *options, prefix=prefix))
        return servers[-1]

    yield start_one
    for server in servers:
        server.process.kill()
        server.process.wait()
