"""One creates an environment, another deletes it at that moment: both are told what became of it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from registries import Make, left_in, names, prepared, request

from jupyter_exec_ext.environments.created import CreatedEnvironments, Record
from jupyter_exec_ext.errors import Conflict, UnknownEnvironment


async def test_who_creates_what_is_deleted_meanwhile_is_told_so(make_registry: Make, data: Path) -> None:
    # given one that failed, so that it can be created and deleted, and is created again
    registry = make_registry()
    await registry.create(request(packages=["no such package"]))
    await prepared(registry)
    lease = CreatedEnvironments(data).claim("v")
    creating = asyncio.create_task(registry.create(request()))
    await asyncio.sleep(0.1)
    # when it is deleted while the creation waits for another server
    deleting = asyncio.create_task(registry.delete("venv:v"))
    await asyncio.sleep(0.1)
    with pytest.raises(UnknownEnvironment):
        await registry.delete("venv:v")
    await asyncio.to_thread(lease.release)
    # then
    with pytest.raises(Conflict, match="venv:v was deleted while it was being created"):
        await creating
    await deleting
    assert (names(registry), left_in(data)) == ([], [])


async def test_nothing_is_created_while_the_old_one_is_being_removed(make_registry: Make, data: Path) -> None:
    # given a removal that waits for another server
    registry = make_registry()
    await registry.create(request())
    await prepared(registry)
    lease = CreatedEnvironments(data).claim("v")
    deleting = asyncio.create_task(registry.delete("venv:v"))
    await asyncio.sleep(0.1)
    # when, then
    with pytest.raises(Conflict, match="venv:v is being removed; wait"):
        await registry.create(request())
    await asyncio.to_thread(lease.release)
    await deleting
    await registry.create(request())
    assert (await prepared(registry))[-1].data["status"] == "ready"


async def test_a_preparation_ends_with_an_event_whatever_was_removed_by_hand(
    make_registry: Make, data: Path, slow: str
) -> None:
    registry = make_registry(max_preparing=1)
    await registry.create(request("venv:slow", packages=[slow]))
    await registry.create(request())
    following = registry.events("venv:v")
    shutil.rmtree(data / "v")
    await registry.delete("venv:slow")

    events = [event async for event in following]

    assert events[-1].type == "status"


async def test_a_start_removes_nothing_that_was_finished_since_it_looked(data: Path) -> None:
    # given a record that says preparing, and a look at it
    made, other = CreatedEnvironments(data), CreatedEnvironments(data)
    record = Record("venv:v")
    lease = made.claim("v")
    made.begin(record)
    looked = other._read("v")
    # when it is finished
    made.write(Record("venv:v", status="ready"))
    lease.release()
    # then
    assert looked is not None
    assert not other._abandoned(looked)
    assert other.sweep() == []
    assert [found.status for found in other.records().values()] == ["ready"]
