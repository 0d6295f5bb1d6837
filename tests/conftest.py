"""Fixtures that all tests may use: a Jupyter Server with the extension, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
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
