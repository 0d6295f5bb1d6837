"""Nobody gets in who may not: every verb of every route, found by walking the routes themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jupyter_server.auth import Authorizer, User
from jupyter_server.serverapp import ServerApp, _has_tornado_web_authenticated
from tornado.web import create_signed_value

from jupyter_exec_ext.app import ExecApp
from jupyter_exec_ext.handlers.base import ExecHandler
from jupyter_exec_ext.handlers.routes import UnknownPathHandler, patterns

ALL = [(pattern, handler) for pattern, handler in patterns()]
VERBS = [
    (re.sub(r"\((?:\?:)?[^)]*\)\??", "x", pattern).removeprefix("/api/exec"), verb, handler)
    for pattern, handler in ALL
    for verb in handler.SUPPORTED_METHODS
    if verb != "OPTIONS"
]
REAL = [row for row in VERBS if row[1] in row[2].verbs() and row[2] is not UnknownPathHandler]
BLOCK = {"code": "open('ran', 'w')", "language": "python", "environment": "local"}


class Deny(Authorizer):
    """Denies some, and remembers what it was asked."""

    def __init__(self, *denied: tuple[str, str]) -> None:
        super().__init__()
        self.denied = denied
        self.asked: list[tuple[str, str]] = []

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        """Whether that is not denied."""
        self.asked.append((action, resource))
        return bool(self.denied) and (action, resource) not in self.denied


@pytest.fixture
def authorize(jp_serverapp: ServerApp) -> Iterator[Callable[[Authorizer], Authorizer]]:
    """Make the server use an authorizer."""
    before = jp_serverapp.web_app.settings["authorizer"]

    def use(authorizer: Authorizer) -> Authorizer:
        jp_serverapp.web_app.settings["authorizer"] = authorizer
        return authorizer

    yield use
    jp_serverapp.web_app.settings["authorizer"] = before


@pytest.fixture
def cookie(jp_serverapp: ServerApp, jp_http_port: int) -> str:
    """The cookie of somebody who logged in with a browser."""
    name = f"username-127-0-0-1-{jp_http_port}"
    user = jp_serverapp.identity_provider.user_to_cookie(User("somebody"))
    value = create_signed_value(jp_serverapp.web_app.settings["cookie_secret"], name, user)
    return f"{name}={value.decode()}"


def test_the_walk_finds_every_route(exec_app: ExecApp) -> None:
    registered = [row[0] for row in exec_app.handlers]
    assert [pattern for pattern, _ in ALL] == registered
    assert len(REAL) > 20


@pytest.mark.parametrize(
    "authorization", ["", "token wrong", "Bearer wrong"], ids=["none", "wrong", "bearer"]
)
async def test_every_verb_refuses_who_has_no_good_token(rest: Callable[..., Any], authorization: str) -> None:
    for path, verb, _ in VERBS:
        # when
        response = await rest(verb, path, headers={"Authorization": authorization})
        # then
        assert response.code == 403, f"{verb} {path}"
        if verb != "HEAD":
            assert json.loads(response.body)["reason"] == "forbidden"


async def test_every_verb_refuses_whom_the_authorizer_denies(
    rest: Callable[..., Any], authorize: Callable[[Authorizer], Deny]
) -> None:
    for path, verb, _ in REAL:
        # given
        deny = authorize(Deny())
        # when
        response = await rest(verb, path, b"{}" if verb == "POST" else None)
        # then
        assert response.code == 403, f"{verb} {path}"
        assert deny.asked == [("read" if verb == "GET" else "write", "exec")], f"{verb} {path}"


@pytest.mark.parametrize(("handler", "verb"), [(handler, verb) for _, verb, handler in REAL])
def test_every_verb_is_authenticated_above_authorized(handler: type[ExecHandler], verb: str) -> None:
    method = getattr(handler, verb.lower())
    assert _has_tornado_web_authenticated(method)
    assert method.__wrapped__.__code__.co_filename.endswith("decorator.py")


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("executions", BLOCK, "local"),
        ("executions", {"code": "1"}, "local"),
        ("sessions", {"environment": "local"}, "local"),
        ("sessions", {}, "local"),
        ("environments", {"kind": "venv", "name": "venv:mine"}, "venv"),
    ],
)
async def test_running_code_takes_the_right_to_execute_there(
    rest: Callable[..., Any],
    authorize: Callable[[Authorizer], Deny],
    path: str,
    body: dict[str, Any],
    kind: str,
) -> None:
    # given
    deny = authorize(Deny(("execute", f"exec.{kind}")))
    # when
    response = await rest("POST", path, body)
    # then
    assert response.code == 403
    assert json.loads(response.body)["reason"] == "refused"
    assert deny.asked[-1] == ("execute", f"exec.{kind}")
    listed = json.loads((await rest("GET", path)).body)[path]
    assert [one for one in listed if one.get("name") == "venv:mine" or path != "environments"] == []


async def test_a_session_does_not_lend_the_right_to_execute(
    rest: Callable[..., Any], authorize: Callable[[Authorizer], Deny]
) -> None:
    # given
    session = json.loads((await rest("POST", "sessions", {"environment": "local"})).body)["id"]
    authorize(Deny(("execute", "exec.local")))
    # when
    response = await rest("POST", "executions", {"session": session, "code": "1"})
    # then
    assert response.code == 403


async def test_input_takes_the_right_to_execute_where_the_program_runs(
    rest: Callable[..., Any], authorize: Callable[[Authorizer], Deny]
) -> None:
    # given a shell that runs what it reads
    asking = {"code": 'read line; eval "$line"', "language": "bash", "environment": "local"}
    running = json.loads((await rest("POST", "executions", {**asking, "allow_stdin": True}, wait=1)).body)
    deny = authorize(Deny(("execute", "exec.local")))
    path = f"executions/{running['id']}"
    # when
    response = await rest("POST", f"{path}/input", {"value": "touch ran"})
    # then
    assert response.code == 403
    assert json.loads(response.body)["reason"] == "refused"
    assert deny.asked[-1] == ("execute", "exec.local")
    # and with the right it is handed over
    authorize(Deny(("execute", "exec.venv")))
    assert (await rest("POST", f"{path}/input", {"value": "echo told"})).code == 204
    # and what has ended takes the right, too
    authorize(Deny(("execute", "exec.local")))
    await rest("POST", f"{path}/cancel")
    assert (await rest("POST", f"{path}/input", {"value": ""})).code == 403


async def test_files_take_the_right_to_write_and_no_more(
    rest: Callable[..., Any], authorize: Callable[[Authorizer], Deny]
) -> None:
    # given
    session = json.loads((await rest("POST", "sessions", {"environment": "local"})).body)["id"]
    deny = authorize(Deny(("execute", "exec.local")))
    # when, then
    for verb, body in (("PUT", b"text"), ("DELETE", None)):
        assert (await rest(verb, f"sessions/{session}/files/note.txt", body)).code == 204
    assert {action for action, _ in deny.asked} == {"write"}


async def test_a_cookie_alone_changes_nothing(rest: Callable[..., Any], cookie: str) -> None:
    for path, verb, _ in REAL:
        if verb != "GET":
            # when
            response = await rest(verb, path, headers={"Authorization": "", "Cookie": cookie})
            # then
            assert response.code == 403, f"{verb} {path}"
            assert "_xsrf" in json.loads(response.body)["message"]


async def test_a_cookie_with_its_xsrf_token_runs_code(rest: Callable[..., Any], cookie: str) -> None:
    # given
    headers = {"Authorization": "", "Cookie": f"{cookie}; _xsrf=abc", "X-XSRFToken": "abc"}
    # when
    response = await rest("POST", "executions", {"code": "1"}, headers=headers, wait=10)
    # then
    assert response.code == 201


@pytest.mark.parametrize(
    "foreign", [{"Origin": "http://evil.example"}, {"Referer": "http://evil.example/"}, {}]
)
async def test_a_cookie_from_elsewhere_reads_nothing(
    rest: Callable[..., Any], cookie: str, foreign: dict[str, str]
) -> None:
    for path, verb, _ in REAL:
        if verb == "GET":
            # when
            response = await rest(verb, path, headers={"Authorization": "", "Cookie": cookie, **foreign})
            # then
            assert response.code in (403, 404), f"{verb} {path}"
            assert json.loads(response.body)["reason"] in ("forbidden", "not_found")
            assert "environment" not in response.body.decode()


async def test_a_cookie_from_elsewhere_runs_nothing(
    rest: Callable[..., Any], cookie: str, jp_root_dir: Any
) -> None:
    # given
    headers = {
        "Authorization": "",
        "Cookie": f"{cookie}; _xsrf=abc",
        "X-XSRFToken": "abc",
        "Origin": "http://evil.example",
    }
    # when
    response = await rest("POST", "executions", BLOCK, headers=headers)
    # then
    assert response.code in (403, 404)
    assert json.loads((await rest("GET", "executions")).body) == {"executions": []}
    assert not (jp_root_dir / "ran").exists()


async def test_a_page_of_this_server_reads_with_its_cookie(
    rest: Callable[..., Any], cookie: str, jp_http_port: int
) -> None:
    # given
    referer = {"Referer": f"http://127.0.0.1:{jp_http_port}/lab"}
    # when
    response = await rest("GET", "environments", headers={"Authorization": "", "Cookie": cookie, **referer})
    # then
    assert response.code == 200


async def test_a_preflight_needs_no_login_and_tells_nothing(rest: Callable[..., Any]) -> None:
    for path in dict.fromkeys(row[0] for row in VERBS):
        response = await rest("OPTIONS", path, headers={"Authorization": ""})
        assert (response.code, response.body) == (204, b"") or response.code == 200
