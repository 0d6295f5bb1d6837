"""Where an environment is made: what is left of it when that is broken off, and a full disk."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from folders import building, make_venv
from registries import left_in, prepared, request

from jupyter_exec_ext.environments.building import check_python
from jupyter_exec_ext.environments.created import CreatedEnvironments
from jupyter_exec_ext.environments.registry import EnvironmentRegistry
from jupyter_exec_ext.environments.tools import Tool
from jupyter_exec_ext.errors import EnvironmentFailed, InvalidRequest, NoSpace


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


@pytest.mark.parametrize("python", ["/etc/passwd", "/nowhere/python", "/dev/zero", "/etc"])
async def test_a_path_that_can_be_no_python_is_refused_and_the_field_named(
    make_registry: Callable[..., EnvironmentRegistry], data: Path, python: str
) -> None:
    registry = make_registry(discover=False)

    with pytest.raises(
        InvalidRequest, match=f"^python: '{python}' is no program that can be started"
    ) as refused:
        await registry.create(request(python=python))

    assert refused.value.field == "python"
    assert left_in(data) == []
    await registry.stop()


async def test_an_installation_and_a_program_are_taken_for_a_python(tmp_path: Path) -> None:
    make_venv(tmp_path / "there")

    for python in (None, "3.12", "python3", sys.executable, str(tmp_path / "there")):
        check_python(python)


@pytest.mark.parametrize("installer", ["uv", "pip"])
@pytest.mark.parametrize("python", ["/bin/sh", "no-such-python"])
async def test_a_python_that_is_none_is_named_in_the_reason(
    make_registry: Callable[..., EnvironmentRegistry], installer: str, python: str
) -> None:
    registry = make_registry(discover=False, installer=installer)

    await registry.create(request(python=python))

    reason = (await prepared(registry))[-1].data["reason"]
    assert reason.startswith(f"venv:v could not be made: the python '{python}' could not be used: ")
    await registry.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere RLIMIT_DATA does not hold all of it")
@pytest.mark.parametrize("installer", ["uv", "pip"])
async def test_requirements_without_end_do_not_eat_the_machine(
    make_registry: Callable[..., EnvironmentRegistry], installer: str
) -> None:
    registry = make_registry(discover=False, installer=installer, installer_memory_bytes=512 * 2**20)

    await registry.create(request(requirements="-r /dev/zero\n"))

    reason = (await prepared(registry))[-1].data["reason"]
    assert "it needs more memory than an installer may have here (536,870,912 bytes)" in reason
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
