"""Container environments of a live server, over REST."""

from __future__ import annotations

import json
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.engine import IMAGE, OwnEngine
from harness.proxy import FaultyProxy
from harness.server import LiveServer

NAME = "docker:tests"

Start = Callable[..., LiveServer]


@pytest.fixture
def start(tmp_path: Path, own_engine: OwnEngine) -> Iterator[Start]:
    """Start live servers that offer the test's image; nothing of theirs is left on the engine in the end."""
    started: list[LiveServer] = []

    def begin(*options: str, engine: str = own_engine.address, **spec: str) -> LiveServer:
        offered = json.dumps({"tests": spec or {"image": IMAGE, "display_name": "Tests"}})
        server = LiveServer(
            tmp_path,
            f"--ContainerEnvironments.environments={offered}",
            f"--ContainerEnvironments.engine_url={engine}",
            "--ContainerEnvironments.look_seconds=0.2",
            *options,
        )
        started.append(server)
        return server

    yield begin
    for server in started:
        if server.process.poll() is None:
            assert "Traceback" not in server.stop()
    assert own_engine.left() == {"containers": [], "volumes": []}


def until(server: LiveServer, status: str, seconds: float = 20.0) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while (found := server.call("GET", f"environments/{NAME}"))["status"] != status:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return dict(found)


def until_nothing_but(engine: OwnEngine, containers: list[str]) -> None:
    end = time.monotonic() + 5
    while engine.left()["containers"] != containers:
        assert time.monotonic() < end, engine.left()
        time.sleep(0.1)


def run(server: LiveServer, code: str, **fields: Any) -> dict[str, Any]:
    where = {} if "session" in fields else {"environment": NAME}
    body = {**where, "code": code, "language": "python", **fields}
    return dict(server.call("POST", "executions?wait=30", body))


def test_a_configured_image_is_an_environment_that_runs_blocks(start: Start, own_engine: OwnEngine) -> None:
    server = start()

    environment = until(server, "ready")
    ended = run(server, "import os; print(os.getcwd(), os.getpid() > 1)")

    assert (environment["kind"], environment["isolation"]) == ("docker", "container")
    assert environment["display_name"] == "Tests"
    assert {"python", "bash", "javascript"} <= set(environment["languages"])
    assert (ended["status"], ended["output"]) == ("ok", "/workspace True\n")
    until_nothing_but(own_engine, [])


def test_a_session_keeps_its_container_and_its_files_are_served(start: Start) -> None:
    server = start()
    until(server, "ready")
    session = server.call("POST", "sessions", {"environment": NAME})["id"]

    run(server, "open('made.txt', 'w').write('kept')", session=session)
    files = server.call("GET", f"sessions/{session}/files")["files"]
    again = run(server, "print(open('made.txt').read())", session=session)

    assert [file["path"] for file in files] == ["made.txt"]
    assert again["output"] == "kept\n"


def test_containers_bear_the_labels_of_server_and_session(start: Start, own_engine: OwnEngine) -> None:
    server = start()
    until(server, "ready")
    session = server.call("POST", "sessions", {"environment": NAME})["id"]

    (found,) = own_engine.client().containers(all=True)

    labels = {name.rpartition(".")[2]: value for name, value in found["Labels"].items()}
    assert labels["session"] == session
    assert labels["server"]


def test_an_image_that_is_missing_is_named_and_a_run_in_it_is_env_error(start: Start) -> None:
    server = start(image="exec-test:missing")

    environment = until(server, "unavailable")
    ended = run(server, "print(1)")

    assert "exec-test:missing is not on the container engine" in environment["reason"]
    assert ended["status"] == "env_error"
    assert "exec-test:missing" in ended["verdict"]["cause"]


def test_an_engine_that_is_away_makes_it_unavailable_until_it_is_there(
    start: Start, own_engine: OwnEngine
) -> None:
    path = own_engine.folder / "later"
    server = start(engine=f"unix://{path}")
    environment = until(server, "unavailable")
    began = time.monotonic()
    ended = run(server, "print(1)")
    assert time.monotonic() - began < 5

    proxy = FaultyProxy(path, own_engine.folder / "socket")
    until(server, "ready")
    healed = run(server, "print('healed')")
    until_nothing_but(own_engine, [])
    proxy.close()
    path.unlink()
    gone = until(server, "unavailable")

    assert "is away" in environment["reason"]
    assert (ended["status"], "is away" in ended["verdict"]["cause"]) == ("env_error", True)
    assert healed["output"] == "healed\n"
    assert "is away" in gone["reason"]


def test_what_is_left_on_an_engine_that_went_away_is_removed_by_the_next_server(
    start: Start, own_engine: OwnEngine
) -> None:
    path = own_engine.folder / "away"
    proxy = FaultyProxy(path, own_engine.folder / "socket")
    server = start(engine=proxy.address)
    until(server, "ready")
    server.call("POST", "sessions", {"environment": NAME})
    proxy.close()
    path.unlink()
    assert "the next server removes" in server.stop()
    assert own_engine.left()["containers"] != []

    until(start(), "ready")

    until_nothing_but(own_engine, [])


def test_what_a_killed_server_left_is_removed_by_the_next_and_what_others_left_is_not(
    start: Start, own_engine: OwnEngine
) -> None:
    client = own_engine.client()
    others = client.create_container(IMAGE, ["-"], labels={"org.jupyter.exec.server": "somebody-else"})["Id"]
    server = start()
    until(server, "ready")
    server.call("POST", "sessions", {"environment": NAME})
    server.process.kill()
    server.process.wait()
    assert len(own_engine.left()["containers"]) == 2

    until(start(), "ready")

    until_nothing_but(own_engine, [others[:12]])
    client.remove_container(others)


@pytest.mark.parametrize(
    ("options", "spec", "said"),
    [
        ([], {"picture": "x"}, "give an image"),
        (['--ContainerEnvironments.settings={"*": {"memory": 1}}'], {"image": IMAGE}, "there is no 'memory'"),
    ],
)
def test_a_mistake_in_the_configuration_is_said(
    start: Start, options: list[str], spec: dict[str, str], said: str
) -> None:
    server = start(*options, **spec)

    with pytest.raises(urllib.error.HTTPError) as caught:
        server.call("GET", "environments")

    assert caught.value.code == 503
    assert said in json.loads(caught.value.read())["message"]
    server.process.kill()
    server.process.wait()
