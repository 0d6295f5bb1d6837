"""Two servers of one user: they share the created environments."""

from __future__ import annotations

import json
import signal
import time
import urllib.error
from collections.abc import Callable

import pytest
from harness.server import LiveServer

VENV = {"kind": "venv", "name": "venv:shared"}
CODE = {"environment": "venv:shared", "code": "import time; time.sleep(3600)", "language": "python"}


def make(server: LiveServer) -> None:
    """Create the environment, and wait until it is ready."""
    server.call("POST", "environments", VENV)
    until = time.monotonic() + 60
    while server.call("GET", "environments/venv:shared")["status"] == "preparing":
        assert time.monotonic() < until
        time.sleep(0.05)


def refusal(server: LiveServer) -> str:
    """Why the environment cannot be removed."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        server.call("DELETE", "environments/venv:shared")
    with caught.value as answer:
        assert answer.code == 409
        return str(json.loads(answer.read())["message"])


@pytest.mark.timeout(180)
def test_an_environment_that_another_server_uses_is_not_removed(
    live_server: Callable[..., LiveServer],
) -> None:
    # given
    one, other = live_server("--ExecutionManager.max_running=1"), live_server()
    make(one)
    used = "venv:shared is in use by another server; end its sessions and executions there first."
    # when, then: a session
    session = one.call("POST", "sessions", {"environment": "venv:shared"})["id"]
    assert refusal(other) == used
    assert one.call("POST", "executions?wait=20", {**CODE, "code": "print(1)"})["output"] == "1\n"
    one.call("DELETE", f"sessions/{session}")
    # an execution that waits for its turn, and has no session yet
    holding = one.call("POST", "executions", {**CODE, "environment": "local"})["id"]
    waiting = one.call("POST", "executions", CODE)
    assert waiting["status"] == "queued"
    assert refusal(other) == used
    # one that runs
    one.call("POST", f"executions/{holding}/cancel")
    until = time.monotonic() + 20
    while one.call("GET", f"executions/{waiting['id']}")["status"] == "queued":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert refusal(other) == used
    # when the server that uses it is killed
    one.stop(signal.SIGKILL)
    # then it is used no more
    other.call("DELETE", "environments/venv:shared")
    assert not (other.home / "data" / "exec" / "environments" / "shared").exists()


@pytest.mark.timeout(180)
def test_an_environment_can_be_removed_as_soon_as_its_execution_has_ended(
    live_server: Callable[..., LiveServer],
) -> None:
    # given
    server = live_server()
    make(server)
    ended = server.call("POST", "executions?wait=20", {**CODE, "code": "print(1)"})
    assert ended["output"] == "1\n"
    # when, then: its session, which closes just now, is waited for
    server.call("DELETE", "environments/venv:shared")
