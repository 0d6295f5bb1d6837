"""Servers of one user: they share the created environments and the log, at once or one after the other."""

from __future__ import annotations

import hashlib
import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.server import LiveServer

from jupyter_exec_ext.notices import SCHEMAS

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


#: Each server writes its Jupyter events into a file of its own.
SINK = """
import logging, os

c.EventLogger.handlers = [logging.FileHandler(f"{os.environ['TMPDIR']}/{os.getpid()}.events")]
"""


@pytest.fixture
def with_sink(live_server: Callable[..., LiveServer], tmp_path: Path) -> Callable[..., LiveServer]:
    """The same as `live_server`; see `told`."""
    config = tmp_path / "server" / "config"
    config.mkdir(parents=True)
    config.joinpath("jupyter_server_config.py").write_text(SINK)
    return live_server


def told(server: LiveServer, action: str, count: int) -> list[dict[str, Any]]:
    """The events of that action on executions, once there are so many and time for more has passed."""
    file, until, found = server.temporary / f"{server.pid}.events", time.monotonic() + 10, []
    while len(found) < count and time.monotonic() < until:
        time.sleep(0.5)
        events = [json.loads(line) for line in file.read_text().splitlines()]
        ours = [event for event in events if event["__schema__"] == SCHEMAS["execution"]]
        found = [event for event in ours if event["action"] == action]
    return found


def counted(server: LiveServer, line: str) -> float:
    """The value on that line of the metrics page, 0 where there is none."""
    headers = {"Authorization": f"token {server.token}"}
    with urllib.request.urlopen(urllib.request.Request(f"{server.url}metrics", headers=headers)) as response:
        lines = response.read().decode().splitlines()
    return sum(float(row.split()[-1]) for row in lines if row.startswith(line + " "))


@pytest.mark.timeout(180)
def test_the_end_of_what_a_killed_server_left_is_one_event_and_counts_once(
    with_sink: Callable[..., LiveServer],
) -> None:
    # given: one that runs, one that waits
    killed = with_sink()
    session = killed.call("POST", "sessions", {"environment": "local"})["id"]
    code = "print(1, flush=True); import time; time.sleep(600)"
    body = {"session": session, "code": code, "language": "python"}
    made = [killed.call("POST", "executions", body)["id"] for _ in range(2)]
    users = {event["id"]: event["user"] for event in told(killed, "created", 2)}
    # when
    killed.stop(signal.SIGKILL)
    next_one, later = with_sink(), with_sink()
    # then
    ended = told(next_one, "ended", 2)
    assert {event["id"] for event in ended} == set(made)
    assert len(ended) == 2
    for event in ended:
        assert (event["status"], event["environment"]) == ("lost", "local")
        assert event["user"] == users[event["id"]] != ""
        assert event["code_sha256"] == hashlib.sha256(code.encode()).hexdigest()
        assert event["finished_at"] == next_one.call("GET", f"executions/{event['id']}")["finished_at"]
    lost = 'jupyter_exec_executions_total{kind="local",status="lost"}'
    assert counted(next_one, lost) == 2
    # how long it took nobody knows
    assert counted(next_one, 'jupyter_exec_duration_seconds_count{kind="local"}') == 0
    # and the other one tells nothing
    assert told(later, "ended", 0) == []
    assert counted(later, lost) == 0


@pytest.mark.timeout(180)
def test_what_the_log_has_no_room_for_is_an_event_as_what_is_deleted_by_hand(
    with_sink: Callable[..., LiveServer],
) -> None:
    # given
    server = with_sink()
    body = {"code": "print(1)", "language": "python"}
    made = [server.call("POST", "executions?wait=20", body) for _ in range(4)]
    server.call("DELETE", f"executions/{made[0]['id']}")
    (by_hand,) = told(server, "deleted", 1)
    server.stop()
    # when
    again = with_sink("--EventLog.max_executions=1")
    # then
    deleted = told(again, "deleted", 2)
    assert [event["id"] for event in deleted] == [execution["id"] for execution in made[1:3]]
    for event in deleted:
        assert event.keys() == by_hand.keys()
        assert (event["status"], event["exit_code"], event["code_sha256"]) == (
            "ok",
            0,
            by_hand["code_sha256"],
        )
    assert [execution["id"] for execution in again.call("GET", "executions")["executions"]] == [made[3]["id"]]
