"""The registry creates and removes environments, and tells how it goes."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from folders import building, make_venv, processes_with
from registries import Make, left_in, listed, prepared, request

from jupyter_exec_ext.environments.registry import EnvironmentRegistry
from jupyter_exec_ext.errors import (
    Conflict,
    EnvironmentFailed,
    InvalidRequest,
    Unavailable,
    UnknownEnvironment,
)
from jupyter_exec_ext.models import Environment


async def test_a_created_environment_is_preparing_then_ready(make_registry: Make, data: Path) -> None:
    registry = make_registry()
    told: list[tuple[str, str]] = []
    registry.on_change.append(lambda name, what: told.append((name, what)))
    await registry.start()

    # when it is created
    created = await registry.create(request(display_name="My work", packages=["six"], preload=["six"]))

    # then it is there at once, and not to be used yet
    assert (created.status, created.display_name) == ("preparing", "My work")
    assert created.reason is not None
    with pytest.raises(EnvironmentFailed, match="still being prepared"):
        registry.get("venv:v")

    # and its events are numbered without gaps, progress first, then one status
    events = await prepared(registry)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert {event.type for event in events[:-1]} == {"progress"}
    assert all(set(event.data) == {"label", "current", "total"} for event in events[:-1])
    assert (events[-1].type, events[-1].data) == ("status", {"status": "ready", "reason": None})

    # and then it can be used
    environment = registry.get("venv:v")
    assert environment.get_executable() == str(data / "v" / "venv" / "bin" / "python")
    assert environment.preload == ("six",)
    assert listed(registry)["venv:v"].status == "ready"
    await asyncio.sleep(0)
    assert told == [("venv:v", "created"), ("venv:v", "changed")]
    # and nobody else may look into its folders
    for path in (data, data / "v", data / "v" / "environment.json"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_progress_is_replayed_from_any_number_to_any_number_of_readers(make_registry: Make) -> None:
    registry = make_registry()
    await registry.create(request())

    live, other = await asyncio.gather(prepared(registry), prepared(registry))

    assert live == other == await prepared(registry)
    assert await prepared(registry, since=2) == live[2:]
    assert await prepared(registry, since=10_000) == []
    assert await prepared(registry, since=-5) == live


async def test_a_failure_is_kept_with_its_reason_also_over_a_restart(make_registry: Make, data: Path) -> None:
    registry = make_registry()
    await registry.create(request(packages=["no-such-package-7c1d9e"]))

    events = await prepared(registry)

    assert events[-1].data["status"] == "unavailable"
    assert "no-such-package-7c1d9e" in events[-1].data["reason"]
    assert not (data / "v" / "venv").exists()
    for one in (registry, make_registry()):
        shown = listed(one)["venv:v"]
        assert (shown.status, shown.reason) == ("unavailable", events[-1].data["reason"])
        with pytest.raises(EnvironmentFailed, match="no-such-package"):
            one.get("venv:v").get_executable()

    # when it is created again, as it should have been
    await registry.create(request(packages=["six"]))
    await prepared(registry)
    assert listed(registry)["venv:v"].status == "ready"


async def test_a_name_that_is_taken_is_a_conflict(root: Path, make_registry: Make) -> None:
    make_venv(root / "found")
    registry = make_registry()
    await registry.create(request())

    for name in ("venv:v", "venv:found"):
        with pytest.raises(Conflict, match=name):
            await registry.create(request(name))
    await prepared(registry)
    with pytest.raises(Conflict, match="is there already"):
        await registry.create(request())


async def test_of_many_who_create_one_at_once_one_does(make_registry: Make) -> None:
    # given two servers over the same folders
    registries = [make_registry(), make_registry()]

    results = await asyncio.gather(
        *(registry.create(request()) for registry in registries * 3), return_exceptions=True
    )

    assert sum(isinstance(result, Environment) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 5
    assert max([len(await prepared(one)) for one in registries]) > 1
    assert [listed(one)["venv:v"].status for one in registries] == ["ready", "ready"]


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("packages", {"packages": ["--index-url=http://evil"]}),
        ("packages", {"packages": ["six", " -e ."]}),
        ("requirements", {"requirements": "a\0"}),
        ("python", {"python": "-c"}),
    ],
)
async def test_what_cannot_be_right_is_refused_before_anything_is_made(
    make_registry: Make, data: Path, field: str, fields: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await make_registry().create(request(**fields))

    assert caught.value.field == field
    assert left_in(data) == []


async def test_where_nothing_can_be_written_the_reason_is_told(make_registry: Make, tmp_path: Path) -> None:
    # given a data folder that can be none, since there is a file in its place
    make_venv(tmp_path / "v")
    registry = EnvironmentRegistry(data_dir=str(tmp_path / "v" / "pyvenv.cfg"))

    with pytest.raises(Unavailable, match="venv:v could not be created"):
        await registry.create(request())

    assert list(listed(registry)) == ["local"]
    with pytest.raises(UnknownEnvironment):
        await prepared(registry)


async def test_a_preparation_that_takes_too_long_has_failed(make_registry: Make, slow: str) -> None:
    registry = make_registry(prepare_timeout=1.5)
    await registry.create(request(packages=[slow]))

    events = await prepared(registry)

    assert "not made within 1.5 seconds" in events[-1].data["reason"]
    assert processes_with(slow) == []


async def test_no_more_are_made_at_once_than_the_administrator_says(make_registry: Make, slow: str) -> None:
    registry = make_registry(max_preparing=1)
    await registry.create(request("venv:first", packages=[slow]))
    await registry.create(request("venv:second"))
    await asyncio.to_thread(building, slow)

    # then the second waits, and has its turn when the first is gone
    assert listed(registry)["venv:second"].status == "preparing"
    await registry.delete("venv:first")
    assert (await prepared(registry, "venv:second"))[-1].data["status"] == "ready"


# ---- removing


async def test_deleting_removes_everything(make_registry: Make, data: Path) -> None:
    registry = make_registry()
    await registry.create(request(requirements="six\n"))
    await prepared(registry)

    await registry.delete("venv:v")

    assert left_in(data) == []
    assert list(listed(registry)) == ["local"]
    with pytest.raises(UnknownEnvironment):
        registry.get("venv:v")
    with pytest.raises(UnknownEnvironment):
        await registry.delete("venv:v")
    with pytest.raises(UnknownEnvironment):
        await prepared(registry)


async def test_deleting_breaks_a_preparation_off_and_readers_hear_of_it(
    make_registry: Make, data: Path, slow: str
) -> None:
    registry = make_registry()
    await registry.create(request(packages=[slow]))
    reading = asyncio.create_task(prepared(registry))
    await asyncio.to_thread(building, slow)

    await registry.delete("venv:v")

    assert "broken off" in (await reading)[-1].data["reason"]
    assert processes_with(slow) == []
    assert left_in(data) == []


async def test_what_is_in_use_or_not_ours_is_not_deleted(root: Path, make_registry: Make) -> None:
    make_venv(root / "found")
    registry = make_registry()
    await registry.create(request())
    await prepared(registry)
    registry.in_use = lambda name: name == "venv:v"

    with pytest.raises(Conflict, match="venv:v is in use"):
        await registry.delete("venv:v")
    for name in ("local", "venv:found"):
        with pytest.raises(Conflict, match="not created here"):
            await registry.delete(name)

    registry.in_use = lambda name: False
    await registry.delete("venv:v")
    assert (root / "found" / "pyvenv.cfg").exists()


async def test_stopping_leaves_no_process_and_no_folder(make_registry: Make, data: Path, slow: str) -> None:
    registry = make_registry()
    await registry.create(request("venv:a", packages=[slow]))
    await registry.create(request("venv:b", packages=[slow]))
    creating = asyncio.create_task(registry.create(request("venv:c")))
    await asyncio.sleep(0)

    await registry.stop()

    assert processes_with(slow) == []
    assert left_in(data) == []
    with pytest.raises(Unavailable, match="broken off"):
        await creating
    with pytest.raises(Unavailable, match="stopping"):
        await registry.create(request("venv:d"))
    await registry.stop()
