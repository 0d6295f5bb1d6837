"""Where an environment is made: what is left of it when that is broken off, and a full disk."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from folders import building
from registries import left_in, prepared, request

from jupyter_exec_ext.environments.created import CreatedEnvironments
from jupyter_exec_ext.environments.registry import EnvironmentRegistry
from jupyter_exec_ext.environments.tools import Tool
from jupyter_exec_ext.errors import EnvironmentFailed, NoSpace


async def test_what_is_broken_off_leaves_nothing_in_the_temporary_directory(
    make_registry: Callable[..., EnvironmentRegistry],
    slow: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    registry = make_registry(discover=False, installer="pip")
    await registry.create(request(packages=[slow]))
    await asyncio.to_thread(building, slow)

    await registry.delete("venv:v")

    assert list(temporary.iterdir()) == []
    assert left_in(data) == []
    await registry.stop()


async def test_what_was_made_keeps_no_temporary_directory(
    make_registry: Callable[..., EnvironmentRegistry], data: Path
) -> None:
    registry = make_registry(discover=False)
    await registry.create(request())
    assert (await prepared(registry))[-1].data["status"] == "ready"

    assert sorted(os.listdir(data / "v")) == ["environment.json", "venv"]
    await registry.stop()


async def test_a_full_disk_is_said_where_it_cannot_even_begin(
    make_registry: Callable[..., EnvironmentRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    registry = make_registry(discover=False)
    monkeypatch.setattr(CreatedEnvironments, "begin", full)

    with pytest.raises(NoSpace, match="the disk is full: make room"):
        await registry.create(request())

    await registry.stop()


async def test_a_full_disk_that_an_installer_meets_is_said_first(tmp_path: Path) -> None:
    tool = Tool(tmp_path, {"PATH": os.environ["PATH"]})

    with pytest.raises(EnvironmentFailed, match="^the disk is full, make room: sh ended with exit code 1"):
        await tool.run(["sh", "-c", "cat /etc/passwd > /dev/full"], lambda line: None)
