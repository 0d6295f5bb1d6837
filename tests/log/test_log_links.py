"""Links that a block puts in the place of the log lead nowhere; those of an administrator do."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from test_log_events import begin, end

from jupyter_exec_ext.log import EventLog


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jupyter's data directory, reached through a link as a home directory may be."""
    (tmp_path / "real").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "real")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


async def opened() -> EventLog:
    """A log at the place that is ours."""
    log = EventLog()
    await log.open("server")
    return log


async def recorded(log: EventLog) -> str:
    """A new execution, on disk."""
    execution = end(log, begin(log))
    await log.flush()
    await asyncio.sleep(0.05)
    await log.flush()
    return str(execution.id)


def is_private(path: Path) -> bool:
    """Whether it is no link, and its owner's alone."""
    status = os.lstat(path)
    return not stat.S_ISLNK(status.st_mode) and not status.st_mode & 0o077


@pytest.mark.parametrize("target", ["missing", "file"])
@pytest.mark.parametrize("name", ["log.sqlite", "log.sqlite-wal", "log.sqlite-shm"])
async def test_a_link_in_the_place_of_a_file_is_removed_at_the_start(
    data: Path, tmp_path: Path, name: str, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    victim = tmp_path / "victim"
    if target == "file":
        victim.write_text("theirs")
        victim.chmod(0o644)
    (data / "exec").mkdir(mode=0o700)
    (data / "exec" / name).symlink_to(victim)

    log = await opened()
    identifier = await recorded(log)
    assert log.warning is None
    assert is_private(data / "exec" / "log.sqlite")
    assert is_private(data / "exec" / name)
    await log.close()

    assert f"{name} was a link" in caplog.text
    assert victim.exists() == (target == "file")
    if target == "file":
        assert (victim.read_text(), victim.stat().st_mode & 0o777) == ("theirs", 0o644)
    log = await opened()
    assert [execution.id for execution in await log.list()] == [identifier]
    await log.close()


async def test_a_log_that_is_moved_away_with_a_link_in_its_place_is_begun_anew(
    data: Path, tmp_path: Path
) -> None:
    log = await opened()
    live = begin(log)
    await recorded(log)
    path, victim = data / "exec" / "log.sqlite", tmp_path / "victim"
    path.rename(tmp_path / "moved")
    path.symlink_to(victim)
    new = await recorded(log)
    assert "was removed" in str(log.warning)
    assert {execution.id for execution in await log.list()} == {new, live.id}
    end(log, live)
    await log.close()

    assert is_private(path)
    assert not victim.exists()


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("moved", [False, True])
async def test_a_link_in_the_place_of_our_directory_is_removed(
    data: Path, tmp_path: Path, running: bool, moved: bool
) -> None:
    # given
    log = await opened()
    await recorded(log)
    if not running:
        await log.close()
    # when the directory is somewhere else, and a link to it, or to another one, in its place
    (data / "exec").rename(tmp_path / "moved")
    target = tmp_path / "moved"
    if not moved:
        target = tmp_path / "victim"
        target.mkdir(mode=0o755)
        for suffix in ("-wal", "-shm"):
            (target / f"log.sqlite{suffix}").write_text("theirs")
    (data / "exec").symlink_to(target)
    before = {name: (target / name).stat().st_mtime_ns for name in os.listdir(target)}
    if not running:
        log = await opened()
    new = await recorded(log)
    # then there is a new one
    assert is_private(data / "exec")
    assert is_private(data / "exec" / "log.sqlite")
    assert [execution.id for execution in await log.list()] == [new]
    assert len(list((data / "exec" / "log.sqlite-servers").iterdir())) == 1
    await log.close()
    if not moved:
        assert target.stat().st_mode & 0o777 == 0o755
    if not moved or not running:
        assert {name: (target / name).stat().st_mtime_ns for name in os.listdir(target)} == before
    log = await opened()
    assert [execution.id for execution in await log.list()] == [new]
    await log.close()


async def test_a_directory_that_an_administrator_names_may_be_a_link(tmp_path: Path, open_log: Any) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    path = str(tmp_path / "link" / "log.sqlite")

    async with open_log(path=path) as log:
        identifier = await recorded(log)
        assert log.warning is None
        assert [execution.id for execution in await log.list()] == [identifier]

    assert (tmp_path / "link").is_symlink()
    assert is_private(tmp_path / "disk" / "log.sqlite")
