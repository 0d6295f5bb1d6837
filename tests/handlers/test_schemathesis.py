"""What rest-api.yml promises, a live server keeps: schemathesis makes the requests, good and bad.

The server may create no environments (``allow_create=False``), so that a request which is right is
refused with 403 instead of installing whatever packages were made up; creating one is tested by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import (
    GenerationConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import ensure_resource_availability, positive_data_acceptance

from jupyter_exec_ext import handlers

CONFIG = SchemathesisConfig(
    seed=1,
    projects=ProjectsConfig(
        default=ProjectConfig(generation=GenerationConfig(deterministic=True, with_security_parameters=False))
    ),
)
SCHEMA = schemathesis.openapi.from_path(Path(handlers.__file__).with_name("rest-api.yml"), config=CONFIG)

# A request of the right form may still name a folder, session or environment that is not there.
EXCLUDED = [positive_data_acceptance, ensure_resource_availability]


@pytest.fixture(scope="module")
def there(shared_server: Any) -> dict[str, str]:
    """What is really there, for the parameters in a path."""
    session = shared_server.call("POST", "sessions", {"environment": "local"})["id"]
    ended = shared_server.call("POST", "executions?wait=30", {"code": "print(1)"})["id"]
    (shared_server.root / "file").write_text("content")
    return {"name": "local", "session": session, "execution": ended, "path": "file"}


@SCHEMA.parametrize()
@settings(
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_operation_keeps_its_promises(case: Any, shared_server: Any, there: dict[str, str]) -> None:
    # given: where the path is of the right form, every other time something that is there
    path = case.meta.components.get(ParameterLocation.PATH)
    if path is not None and path.mode.is_positive and len(str(case.path_parameters)) % 2:
        kind = "session" if case.path.startswith("/sessions") else "execution"
        known = {**there, "id": there[kind]}
        case.path_parameters = {name: known[name] for name in case.path_parameters}
    # then
    case.call_and_validate(
        base_url=f"{shared_server.url}api/exec",
        headers={"Authorization": f"token {shared_server.token}"},
        excluded_checks=EXCLUDED,
        timeout=30,
    )


def test_the_server_has_survived_it(shared_server: Any) -> None:
    # when
    execution = shared_server.call("POST", "executions?wait=30", {"code": "print(1)"})
    # then
    assert execution["status"] == "ok"
    log = shared_server.log.read_text(errors="replace")
    assert "Traceback" not in log
    assert " 500 " not in log
