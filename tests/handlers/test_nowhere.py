"""What is not there is 404, and a verb that a resource has not is 405."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from answers import told

from jupyter_exec_ext.handlers.routes import ROUTES


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "executions/0123456789abcdef0123456789abcdef"),
        ("DELETE", "executions/0123456789abcdef0123456789abcdef"),
        ("GET", "executions/0123456789abcdef0123456789abcdef/events"),
        ("POST", "executions/0123456789abcdef0123456789abcdef/cancel"),
        ("GET", "executions/../../etc/passwd"),
        ("GET", "executions/%00"),
        ("GET", "executions/é"),
        ("GET", "sessions/nobody"),
        ("DELETE", "sessions/nobody"),
        ("POST", "sessions/nobody/restart"),
        ("POST", "sessions/nobody/interrupt"),
        ("GET", "sessions/nobody/files"),
        ("GET", "sessions/nobody/files/x"),
        ("PUT", "sessions/nobody/files/x"),
        ("DELETE", "sessions/nobody/files/x"),
        ("GET", "environments/nothing"),
        ("GET", "environments/venv:nothing/events"),
        ("DELETE", "environments/venv:nothing"),
        ("GET", "nonsense"),
        ("POST", "nonsense/1/2"),
        ("GET", "executions/x/nonsense"),
    ],
)
async def test_what_is_not_there_is_404(rest: Callable[..., Any], verb: str, path: str) -> None:
    assert told(await rest(verb, path))[:2] == (404, "not_found")


async def test_input_for_nobody_and_a_session_that_is_not_there_are_404(rest: Callable[..., Any]) -> None:
    assert told(await rest("POST", "executions/x/input", {"value": ""}))[0] == 404
    assert told(await rest("POST", "executions", {"code": "1", "session": "nobody"}))[0] == 404


@pytest.mark.parametrize(("path", "handler"), ROUTES, ids=[path for path, _ in ROUTES])
async def test_a_verb_a_resource_has_not_is_405_and_names_those_it_has(
    rest: Callable[..., Any], path: str, handler: Any
) -> None:
    for verb in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        if verb not in handler.verbs():
            # when
            response = await rest(verb, path.replace("{", "").replace("}", ""))
            # then
            assert told(response)[:2] == (405, "method_not_allowed")
            assert set(response.headers["Allow"].split(", ")) == {*handler.verbs(), "OPTIONS"}
