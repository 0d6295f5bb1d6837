"""A refusal says what to write instead: no pattern of ours, and no name that cannot be seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest


def refused(response: Any, code: int = 400, reason: str = "invalid") -> str:
    """The field of a refusal, whose status is checked."""
    reply = json.loads(response.body)
    assert (response.code, reply["reason"]) == (code, reason)
    return str(reply["field"])


VENV = {"kind": "venv", "name": "venv:x"}


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"kind": "venv", "name": "analysis"}, "name", "a kind, a colon and a label"),
        ({"kind": "venv", "name": "venv:a b"}, "name", "letters, digits, dots"),
        ({"kind": "venv", "name": "local"}, "name", "for example venv:analysis"),
        ({"kind": "docker", "name": "docker:x"}, "kind", "these kinds can: venv"),
        ({**VENV, "python": "-c"}, "python", "give its version (3.12)"),
        ({**VENV, "python": " "}, "python", "is empty, not a Python"),
        ({**VENV, "packages": ["-r x"]}, "packages", "options belong into requirements"),
        ({**VENV, "preload": ["a b"]}, "preload[0]", "the name of a module"),
        ({**VENV, "display_name": "\u202e\u2066"}, "display_name", "U+202E"),
        ({**VENV, "display_name": "two\nlines"}, "display_name", "U+000A"),
        ({**VENV, "display_name": "a\u200fb"}, "display_name", "U+200F"),
        ({**VENV, "display_name": " \u00a0\u3000"}, "display_name", "is blank"),
        ({**VENV, "display_name": "\u200d"}, "display_name", "is blank"),
    ],
)
async def test_a_refused_environment_is_told_what_to_write(
    rest: Callable[..., Any], body: Any, field: str, words: str
) -> None:
    # when
    response = await rest("POST", "environments", body)
    # then
    assert refused(response) == field
    message = json.loads(response.body)["message"]
    assert words in message
    assert message.startswith(f"{field}: ")
    assert "[A-Z" not in message


@pytest.mark.parametrize("name", ["\u202egnp.exe", "\n", "  "])
async def test_a_session_has_a_name_that_can_be_seen(rest: Callable[..., Any], name: str) -> None:
    body = {"environment": "local", "name": name}
    assert refused(await rest("POST", "sessions", body)) == "name"


async def test_a_name_may_be_in_any_script(rest: Callable[..., Any]) -> None:
    # given: Persian with its joiner, and an emoji made of three
    for name in ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f469\u200d\U0001f4bb x"):
        # when
        response = await rest("POST", "sessions", {"environment": "local", "name": name})
        # then
        assert json.loads(response.body)["name"] == name


async def test_an_execution_in_a_wrong_environment_is_told_in_words(rest: Callable[..., Any]) -> None:
    response = await rest("POST", "executions", {"code": "1", "environment": "nope"})
    assert refused(response, 422, "unknown_environment") == "environment"
    assert "for example local or venv:analysis" in json.loads(response.body)["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"code": "1", "env": {str(number): 1 for number in range(500_000)}},
        {"code": [[]] * 2_000_000},
        {f"field{number}": 1 for number in range(400_000)},
        {"code_blocks": [1] * 2_000_000},
    ],
    ids=["variables", "lists", "unknown fields", "numbers"],
)
async def test_a_body_of_a_million_values_is_refused_before_it_is_read(
    rest: Callable[..., Any], body: Any
) -> None:
    response = await rest("POST", "executions", body)

    assert refused(response) == "body"
    assert "more than 20,000 values" in json.loads(response.body)["message"]


async def test_code_may_have_as_many_signs_as_it_likes(rest: Callable[..., Any]) -> None:
    code = 'x = [{1: \'\\\\\', 2: "a\\"b"}, [], []]\n' * 30_000 + "print('ran')"
    response = await rest("POST", "executions", {"code": code, "language": "python"}, wait=60)

    assert (response.code, json.loads(response.body)["output"]) == (201, "ran\n")


async def test_a_session_that_is_not_there_is_named_as_a_field_of_the_body(rest: Callable[..., Any]) -> None:
    response = await rest("POST", "executions", {"code": "1", "session": "nope"})

    assert refused(response, 404, "not_found") == "session"


async def test_variables_that_no_program_can_be_given_are_named(rest: Callable[..., Any]) -> None:
    body = {"code": "echo 1", "language": "bash", "env": {"LONG": "x" * 3_000_000}}
    execution = json.loads((await rest("POST", "executions", body, wait=20)).body)

    assert execution["status"] == "env_error"
    assert "variables in env" in execution["verdict"]["cause"]
