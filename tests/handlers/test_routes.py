"""The route table, the OpenAPI document, and the models say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from openapi_spec_validator import validate
from pydantic import BaseModel

from jupyter_exec_ext import errors, fields, handlers, models
from jupyter_exec_ext.handlers.answers import STATUS, status_of
from jupyter_exec_ext.handlers.routes import ROUTES


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    text = Path(handlers.__file__).with_name("rest-api.yml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)


def test_the_document_has_exactly_the_routes_and_their_verbs(document: dict[str, Any]) -> None:
    # given
    in_table = {path: set(handler.verbs()) for path, handler in ROUTES}
    # when
    in_document = {
        path: {verb.upper() for verb in item if verb != "parameters"}
        for path, item in document["paths"].items()
    }
    # then
    assert in_document == in_table


def test_the_document_has_exactly_the_query_parameters_that_are_read(document: dict[str, Any]) -> None:
    for path, handler in ROUTES:
        for verb in handler.verbs():
            # given
            item = document["paths"][path]
            listed = item.get("parameters", []) + item[verb.lower()].get("parameters", [])
            # when
            described = {
                parameter["name"]
                for parameter in (_resolved(document, one) for one in listed)
                if parameter["in"] == "query"
            }
            # then
            assert described == set(handler.query_names.get(verb, ())), f"{verb} {path}"


def _resolved(document: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in item:
        return item
    for part in item["$ref"].removeprefix("#/").split("/"):
        document = document[part]
    return document


@pytest.mark.parametrize(
    "model",
    [
        models.CodeBlock,
        models.Environment,
        models.EnvironmentRequest,
        models.Execution,
        models.ExecutionRequest,
        models.InputRequest,
        models.Session,
        models.SessionRequest,
        models.Verdict,
    ],
)
def test_the_document_has_exactly_the_fields_of_the_models(
    document: dict[str, Any], model: type[BaseModel]
) -> None:
    # given
    schema = document["components"]["schemas"][model.__name__]
    # then
    assert set(schema["properties"]) == set(model.model_fields)
    assert schema["additionalProperties"] is False


def test_the_document_has_exactly_the_statuses_and_kinds(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Status"]["enum"] == list(get_args(models.Status))
    assert schemas["Kind"]["enum"] == list(get_args(models.Kind))
    assert schemas["Name"]["pattern"] == fields.NAME


def test_every_operation_tells_of_refusals(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            if verb != "parameters":
                assert {"400", "403", "503"} <= set(operation["responses"]), f"{verb} {path}"
                assert ("413" in operation["responses"]) or verb == "get", f"{verb} {path}"


def test_every_error_has_a_status_of_its_own_or_its_parents() -> None:
    # given
    public = [getattr(errors, name) for name in errors.__all__ if name != "ExecError"]
    tree = [kind for kind in public if isinstance(kind, type)]
    assert len(tree) > 10
    # then
    assert {kind.__name__: status_of(kind("x")) for kind in tree if status_of(kind("x")) == 500} == {}
    assert status_of(errors.UnknownLanguage("x")) == 422
    assert status_of(errors.SessionLost("x")) == STATUS[errors.EnvironmentFailed]
