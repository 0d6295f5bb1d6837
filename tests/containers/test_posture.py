"""What a container may do, seen from inside, against an exact document; and what the engine says of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from harness.engine import OwnEngine

from .conftest import Make
from .test_docker_executor import run

HERE = Path(__file__).parent
PROGRAM = (HERE / "posture.py").read_text()


async def seen(make: Make, **options: Any) -> dict[str, Any]:
    result = await run(await make(**options), PROGRAM)
    assert result.outcome.status == "ok", result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


async def test_it_is_exactly_what_the_document_says(make: Make) -> None:
    expected = json.loads((HERE / "posture.json").read_text())

    assert await seen(make, settings={"user": "1000:1000"}) == expected


async def test_the_engine_says_so_too(make: Make, own_engine: OwnEngine) -> None:
    executor = await make(server="test", session="one")

    found = own_engine.client().inspect_container(executor._container)

    config, host = found["Config"], found["HostConfig"]
    assert not config["Entrypoint"]
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    assert {name.rpartition(".")[2]: value for name, value in config["Labels"].items()} == {
        "server": "test",
        "session": "one",
    }
    assert (host["Privileged"], host["PublishAllPorts"], host["PortBindings"] or None) == (False, False, None)
    assert not host["Devices"]
    assert host["LogConfig"] == {"Type": "local", "Config": {"max-size": "5m", "max-file": "2"}}
    assert [bind.rpartition(":")[2] for bind in host["Binds"]] == ["ro"]


WILFUL = (
    'ENTRYPOINT ["/usr/bin/false"]',
    'HEALTHCHECK CMD ["/usr/bin/touch", "/workspace/healthy"]',
    "USER root",
    "VOLUME /data",
    "EXPOSE 80",
    "WORKDIR /root",
)


async def test_an_image_that_wants_otherwise_does_not_get_it(make: Make, own_engine: OwnEngine) -> None:
    await asyncio.to_thread(own_engine.add_image, "exec-test:wilful", *WILFUL)
    expected = json.loads((HERE / "posture.json").read_text())
    expected["mounts"]["/data"] = expected["mounts"]["/tmp"]

    assert await seen(make, image="exec-test:wilful", settings={"user": "1000:1000"}) == expected


@pytest.mark.parametrize(
    ("settings", "where", "value"),
    [
        ({"memory_bytes": 300_003_328}, ("group", "memory"), "300003328"),
        ({"pids": 50}, ("group", "processes"), "50"),
        ({"cpus": 0.5}, ("group", "cpu microseconds of 100000"), "50000"),
        ({"open_files": 99}, ("limits", "open files"), [99, 99]),
        ({"user": "1234:1235"}, ("status", "Uid"), "1234 1234 1234 1234"),
        ({"options": {"read_only": False}}, ("mounts", "/"), "* rw"),
    ],
    ids=["memory", "processes", "processors", "open files", "user", "any other option"],
)
async def test_an_administrator_may_say_otherwise(
    make: Make, settings: dict[str, Any], where: tuple[str, str], value: Any
) -> None:
    found = await seen(make, settings=settings)

    assert found[where[0]][where[1]] == value


async def test_a_fork_bomb_meets_the_limit_and_is_ended(make: Make) -> None:
    executor = await make(settings={"pids": 60})

    result = await run(
        executor, "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", timeout=1.0
    )

    assert result.outcome.status in ("timeout", "lost")
    assert result.outcome.verdict.survivors == 0
    assert (await run(executor, "print('next')")).output == "next\n"
