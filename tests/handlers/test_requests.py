"""What is wrong with a request is an answer that names the field: never a default, never a 500."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from answers import told

DEEP = b"[" * 100_000
CODE = {"code": "print(1)", "language": "python"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"null", "body"),
        (b"[]", "body"),
        (b'"text"', "body"),
        (b"1", "body"),
        (b"true", "body"),
        (b'{"code": "\xff\xfe"}', "body"),
        (b'{"code": "\\ud800"}', "body"),
        (DEEP, "body"),
        (b'{"code": ' + DEEP, "body"),
        (b'{"code": ' + b'{"a":' * 100 + b"1" + b"}" * 101, "code"),
        (b"{}", "code"),
        (b'{"code": null}', "code"),
        (b'{"code": 1}', "code"),
        (b'{"code": ["print(1)"]}', "code"),
        (b'{"code": "1", "markdown": "x"}', "code"),
        (b'{"code": "1", "cod": "2"}', "cod"),
        (b'{"code": "1", "environment": 1}', "environment"),
        (b'{"code": "1", "environment": ["local"]}', "environment"),
        (b'{"code": "1", "environment": "local", "session": "x"}', "environment"),
        (b'{"code": "1", "env": []}', "env"),
        (b'{"code": "1", "env": {"A": 1}}', "env.A"),
        (b'{"code": "1", "env": {"A": "\\u0000"}}', "env"),
        (b'{"code": "1", "path": "\\u0000"}', "path"),
        (b'{"code": "1", "path": "../.."}', "path"),
        (b'{"code": "1", "path": "/etc"}', "path"),
        (b'{"code": "1", "path": "nowhere"}', "path"),
        (b'{"code": "1", "stdin": "x", "allow_stdin": true}', "stdin"),
        (b'{"code": "1", "allow_stdin": "true"}', "allow_stdin"),
        (b'{"code": "1", "allow_stdin": 1}', "allow_stdin"),
        (b'{"code": "1", "stop_on_error": null}', "stop_on_error"),
        (b'{"code": "1", "language": 3}', "language"),
        (b'{"markdown": "x", "language": "python"}', "language"),
        (b'{"markdown": "no block here"}', "markdown"),
        (b'{"code_blocks": []}', "code_blocks"),
        (b'{"code_blocks": {}}', "code_blocks"),
        (b'{"code_blocks": [{"language": "python"}]}', "code_blocks[0].code"),
        (b'{"code_blocks": [{"code": "1", "lang": "python"}]}', "code_blocks[0].lang"),
        (b'{"code": "1", "idempotency_key": ""}', "idempotency_key"),
        (b'{"code": "1", "env": {"A=": "x"}}', "env"),
    ],
    ids=lambda value: value[:60].decode("latin-1") if isinstance(value, bytes) else value,
)
async def test_a_wrong_body_is_refused_and_the_field_named(
    rest: Callable[..., Any], body: bytes, field: str
) -> None:
    assert told(await rest("POST", "executions", body)) == (400, "invalid", field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"code": "1", "code": "2"}', "code"),
        (b'{"code": "1", "c\\u006fde": "1"}', "code"),
        (b'{"code": 1, "code": "1"}', "code"),
        (b'{"code": "\\"a: b\\\\", "timeout": 9, "timeout": 1}', "timeout"),
        (b'{"code": "1", "env": {"A": "1", "B": "2", "A": "3"}}', "env.A"),
        (b'{"code": "1", "env": {"A": "1"}, "env": {}}', "env"),
        (b'{"code_blocks": [{"code": "1"}, {"code": "1", "code": "2"}]}', "code_blocks[1].code"),
        (b'{"code_blocks": [{"code": "1"}], "code_blocks": [{"code": "2"}]}', "code_blocks"),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else value,
)
async def test_a_name_that_is_given_twice_is_refused_and_nothing_runs(
    rest: Callable[..., Any], body: bytes, field: str
) -> None:
    assert told(await rest("POST", "executions", body)) == (400, "invalid", field)
    assert json.loads((await rest("GET", "executions")).body)["executions"] == []


@pytest.mark.parametrize("length", [1, 65_536, 200_000])
async def test_what_only_looks_like_a_name_in_a_text_is_none(rest: Callable[..., Any], length: int) -> None:
    code = '# {"code": 1, "code": 2} \\" : \\\\: ' + ': "\\' * length
    body = {"code": code, "language": "python", "env": {"A": ":", "B": '": "'}, "timeout": 9}
    assert (await rest("POST", "executions", json.dumps(body, indent=1))).code == 201


@pytest.mark.parametrize(
    "timeout", ["-1", "0", "-0.0", "NaN", "Infinity", "1e999", "true", '"5"', "[]", "1e300", "1" + "0" * 400]
)
async def test_a_wrong_timeout_is_refused(rest: Callable[..., Any], timeout: str) -> None:
    body = f'{{"code": "1", "timeout": {timeout}}}'
    assert told(await rest("POST", "executions", body)) == (400, "invalid", "timeout")


async def test_an_unknown_environment_or_language_is_422(rest: Callable[..., Any]) -> None:
    unknown = {**CODE, "environment": "docker:nowhere"}
    assert told(await rest("POST", "executions", unknown))[:2] == (422, "unknown_environment")
    unknown = {**CODE, "language": "klingon"}
    assert told(await rest("POST", "executions", unknown)) == (422, "unknown_language", "language")
    assert told(await rest("POST", "sessions", {"environment": "venv:no"}))[:2] == (
        422,
        "unknown_environment",
    )


@pytest.mark.parametrize("name", ["", "nope", "venv:", "venv:../x", "local ", "\0", "venv:" + "x" * 80])
@pytest.mark.parametrize("path", ["executions", "sessions"])
async def test_a_name_that_no_environment_can_have_is_an_unknown_one(
    rest: Callable[..., Any], path: str, name: str
) -> None:
    body = {"environment": name, **(CODE if path == "executions" else {})}
    response = await rest("POST", path, body)
    assert told(response) == (422, "unknown_environment", "environment")
    assert json.loads(response.body)["message"].startswith("environment: ")
    assert told(await rest("POST", path, {**body, "environment": 1})) == (400, "invalid", "environment")


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("executions", {"wait": "-1"}, "wait"),
        ("executions", {"wait": "nan"}, "wait"),
        ("executions", {"wait": "inf"}, "wait"),
        ("executions", {"wait": "1e999"}, "wait"),
        ("executions", {"wait": "1_0"}, "wait"),
        ("executions", {"wait": ""}, "wait"),
        ("executions", {"wait": "soon"}, "wait"),
        ("executions", {"wait": "86401"}, "wait"),
        ("executions", {"wiat": "1"}, "wiat"),
        ("executions", {"limit": "1"}, "limit"),
    ],
)
async def test_a_wrong_query_runs_nothing(
    rest: Callable[..., Any], path: str, query: dict[str, str], field: str
) -> None:
    assert told(await rest("POST", path, CODE, **query)) == (400, "invalid", field)
    assert json.loads((await rest("GET", "executions")).body)["executions"] == []


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("executions", "limit=0", "limit"),
        ("executions", "limit=-1", "limit"),
        ("executions", "limit=1001", "limit"),
        ("executions", "limit=1.5", "limit"),
        ("executions", "limit=" + "9" * 5000, "limit"),
        ("executions", "limit=%C2%B2", "limit"),
        ("executions", "limit=1&limit=2", "limit"),
        ("executions", "status=done", "status"),
        ("executions", "status=%FF", "status"),
        ("executions", "before=" + "0" * 32, "before"),
        ("executions", "before=yesterday", "before"),
        ("executions", "before=0001-01-01T00:00:00%2B05:00", "before"),
        ("executions", "before=9999-12-31T23:59:59-05:00", "before"),
        ("executions", "x=1", "x"),
        ("executions", "%FF=1", "\\xff"),
        ("executions", "no_track_activity=%FF", "no_track_activity"),
        ("environments", "environment=local", "environment"),
        ("executions/x/events", "since=-1", "since"),
        ("executions/x/events", "since=1e3", "since"),
        ("executions/x/events", "since=", "since"),
        ("executions/x/events", "since=99999999999999999999", "since"),
        ("environments/local/events", "since=x", "since"),
    ],
)
async def test_a_wrong_query_is_refused_and_the_parameter_named(
    rest: Callable[..., Any],
    http_server_client: Any,
    jp_auth_header: dict[str, str],
    path: str,
    query: str,
    field: str,
) -> None:
    # when
    response = await http_server_client.fetch(
        f"/a%40b/api/exec/{path}?{query}", headers=jp_auth_header, raise_error=False
    )
    # then
    assert told(response) == (400, "invalid", field)


@pytest.mark.parametrize("header", ["-1", "x", "", "1.0", "99999999999999999999"])
async def test_a_wrong_last_event_id_is_refused(rest: Callable[..., Any], header: str) -> None:
    response = await rest("GET", "executions/x/events", headers={"Last-Event-ID": header})
    assert told(response) == (400, "invalid", "Last-Event-ID")


async def test_the_time_that_jupyterlab_appends_to_each_address_is_let_pass(
    http_server_client: Any, jp_auth_header: dict[str, str], rest: Callable[..., Any]
) -> None:
    for query in ("1790000000000", "limit=1&1790000000000", "no_track_activity=1"):
        response = await http_server_client.fetch(
            f"/a%40b/api/exec/executions?{query}", headers=jp_auth_header, raise_error=False
        )
        assert response.code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("environments", {"kind": "docker", "name": "docker:x"}),
        ("environments", {"kind": "venv", "name": "local"}),
        ("environments", {"kind": "venv", "name": "venv:../x"}),
        ("environments", {"kind": "venv", "name": "venv:x", "packages": "numpy"}),
        ("environments", {"kind": "venv", "name": "venv:x", "image": "python"}),
        ("sessions", {"environment": "local", "paht": ""}),
        ("sessions", {"environment": "local", "name": ""}),
        ("sessions", {"environment": "local", "path": "../.."}),
        ("sessions", []),
        ("executions/x/input", {}),
        ("executions/x/input", {"value": None}),
        ("executions/x/cancel", {"hard": True}),
        ("sessions/x/restart", []),
        ("sessions/x/interrupt", "nonsense"),
    ],
)
async def test_every_body_is_checked(rest: Callable[..., Any], path: str, body: Any) -> None:
    status, reason, field = told(await rest("POST", path, body))
    assert (status, reason) == (400, "invalid")
    assert field


async def test_a_body_of_nothing_but_unknown_fields_is_refused_at_once(rest: Callable[..., Any]) -> None:
    # given
    body = json.dumps({f"x{number}": 1 for number in range(500_000)})
    # when
    began = time.monotonic()
    response = await rest("POST", "executions", body)
    # then
    assert told(response) == (400, "invalid", "body")
    assert time.monotonic() - began < 5
