"""What the registry makes outlives the server: whole, or not at all."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from folders import make_venv, processes_with
from registries import Make, left_in, listed, prepared, request

from jupyter_exec_ext.errors import (
    Conflict,
)


async def test_what_was_made_is_there_after_a_restart(make_registry: Make) -> None:
    first = make_registry()
    await first.create(request(display_name="Kept", packages=["six"], preload=["six"]))
    await prepared(first)
    before = listed(first)["venv:v"]
    await first.stop()

    second = make_registry()
    await second.start()

    assert listed(second)["venv:v"] == before
    assert second.get("venv:v").preload == ("six",)
    (event,) = await prepared(second)
    assert (event.number, event.data) == (1, {"status": "ready", "reason": None})
    await second.delete("venv:v")


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found by /proc")
@pytest.mark.timeout(180)
async def test_a_killed_server_leaves_nothing_half_made(make_registry: Make, data: Path, slow: str) -> None:
    # given a server that is killed while it installs
    server = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, str(Path(__file__).with_name("scenario_killed.py")), str(data), slow],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "installing\n"
    other = make_registry()
    assert listed(other)["venv:half"].status == "preparing"
    with pytest.raises(Conflict):
        await other.delete("venv:half")
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()

    # then its installer ends by itself
    deadline = time.monotonic() + 10
    while processes_with(slow):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)

    # and the next server shows what is whole, not what is half-made, also before it has cleaned up
    registry = make_registry()
    assert set(listed(registry)) == {"local", "venv:whole"}
    assert (data / "half").exists()
    await registry.start()
    assert left_in(data) == ["whole"]
    assert (registry.get("venv:whole").describe().status, list(listed(registry))) == (
        "ready",
        ["local", "venv:whole"],
    )
    # and the name is free
    await registry.create(request("venv:half"))
    assert (await prepared(registry, "venv:half"))[-1].data["status"] == "ready"


async def test_another_server_sees_what_this_one_makes_and_removes(make_registry: Make) -> None:
    this, other = make_registry(), make_registry()
    await this.create(request())
    assert listed(other)["venv:v"].status == "preparing"
    (event,) = await prepared(other)
    assert event.data["status"] == "preparing"

    await prepared(this)
    assert listed(other)["venv:v"].status == "ready"

    await this.delete("venv:v")
    assert "venv:v" not in listed(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"name": 7}',
        '{"name": "venv:other"}',
        '{"name": "venv:v", "packages": "six"}',
        '{"name": "venv:v", "packages": [1]}',
        '{"name": "venv:v", "packages": ["-e ."]}',
        '{"name": "venv:v", "python": 3}',
        "[" * 100_000,
    ],
)
def test_a_record_of_nonsense_is_passed_over(make_registry: Make, data: Path, text: str) -> None:
    (data / "v").mkdir(parents=True)
    (data / "v" / "environment.json").write_text(text)

    assert "venv:v" not in listed(make_registry())


def test_a_record_that_is_a_fifo_does_not_block(make_registry: Make, data: Path) -> None:
    (data / "v").mkdir(parents=True)
    os.mkfifo(data / "v" / "environment.json")

    assert list(listed(make_registry())) == ["local"]


def test_a_record_of_a_later_version_is_read(make_registry: Make, data: Path) -> None:
    make_venv(data / "v" / "venv")
    record = {"name": "venv:v", "status": "ready", "colour": "green"}
    (data / "v" / "environment.json").write_text(json.dumps(record))

    assert listed(make_registry())["venv:v"].status == "ready"


async def test_a_folder_that_is_not_ours_is_not_replaced(make_registry: Make, data: Path) -> None:
    make_venv(data / "v" / "venv")

    with pytest.raises(Conflict, match="is there already"):
        await make_registry().create(request())

    assert (data / "v" / "venv" / "pyvenv.cfg").exists()
