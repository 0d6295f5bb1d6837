"""A link in the place of the directory of created environments leads nowhere: what is there is not ours."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from folders import building
from registries import names, prepared, request

from jupyter_exec_ext.environments.created import CreatedEnvironments, Record
from jupyter_exec_ext.environments.registry import EnvironmentRegistry
from jupyter_exec_ext.errors import EnvironmentFailed, Unavailable, UnknownEnvironment

Make = Callable[..., EnvironmentRegistry]


@pytest.fixture
def victim(data: Path, tmp_path: Path) -> Path:
    """A tree that looks as if it were ours, and a link to it in our place."""
    store = CreatedEnvironments(data)
    with store.claim("theirs"):
        store.begin(Record("venv:theirs", "ready"))
    folder = data.rename(tmp_path / "elsewhere")
    (folder / ".removing-1").mkdir()
    (folder / ".removing-1" / "precious").touch()
    data.symlink_to(folder)
    return folder


def tree(folder: Path) -> set[Path]:
    """All that is there."""
    return set(folder.rglob("*"))


async def test_nothing_is_listed_made_or_removed_behind_it(
    make_registry: Make, victim: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = tree(victim)
    caplog.set_level(logging.WARNING)
    registry = make_registry(discover=False)
    registry.log.propagate = True
    await registry.start()

    assert names(registry) == []
    with pytest.raises(UnknownEnvironment):
        await registry.delete("venv:theirs")
    with pytest.raises(Unavailable, match=f"{data} is a link, and links are not followed; remove it"):
        await registry.create(request("venv:v"))
    registry.usage.enter("venv:theirs", "somebody")
    registry.usage.check("venv:theirs")
    registry.usage.leave("venv:theirs", "somebody")
    registry.usage.sweep()

    assert tree(victim) == before
    assert [record.message for record in caplog.records if "is a link" in record.message] != []
    await registry.stop()


async def test_they_are_there_again_when_the_directory_is_put_back(
    make_registry: Make, victim: Path, data: Path
) -> None:
    registry = make_registry(discover=False)
    assert names(registry) == []

    data.unlink()
    victim.rename(data)

    assert names(registry) == ["venv:theirs"]
    await registry.delete("venv:theirs")
    assert not (data / "theirs").exists()
    await registry.stop()


async def test_a_file_in_its_place_is_said_to_be_no_directory(make_registry: Make, data: Path) -> None:
    data.write_text("")
    registry = make_registry(discover=False)

    with pytest.raises(Unavailable, match=f"{data} is no directory; remove it"):
        await registry.create(request())

    assert data.read_text() == ""
    await registry.stop()


async def test_what_is_above_it_may_be_a_link(make_registry: Make, tmp_path: Path, data: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    registry = EnvironmentRegistry(data_dir=str(tmp_path / "link" / "data"), discover=False)

    await registry.create(request())

    assert (await prepared(registry))[-1].data["status"] == "ready"
    assert os.path.isdir(tmp_path / "real" / "data" / "v")
    await registry.stop()


async def test_a_link_that_comes_while_one_is_made_leads_to_no_removal(
    make_registry: Make, slow: str, data: Path, tmp_path: Path
) -> None:
    registry = make_registry(discover=False, installer="pip")
    await registry.create(request(packages=[slow]))
    await asyncio.to_thread(building, slow)
    victim = tmp_path / "victim"
    (victim / "v" / "venv" / "precious").mkdir(parents=True)
    data.rename(tmp_path / "moved")
    data.symlink_to(victim)

    with pytest.raises((Unavailable, UnknownEnvironment, EnvironmentFailed)):
        await registry.delete("venv:v")
    await registry.stop()

    assert (victim / "v" / "venv" / "precious").is_dir()
    assert sorted(os.listdir(tmp_path / "moved" / "v")) == ["environment.json"]  # what was made here has gone
