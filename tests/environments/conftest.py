"""Registries over folders of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.environments.registry import EnvironmentRegistry


@pytest.fixture(autouse=True)
def no_conda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the machine of the tests has conda must not matter."""
    for name in [name for name in os.environ if name.startswith(("CONDA", "MAMBA"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The server's root."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where created environments are."""
    return tmp_path / "data"


@pytest.fixture
def slow(tmp_path: Path) -> str:
    """A package the installation of which does not end; see `building`."""
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "setup.py").write_text(
        f"import time\nopen({str(folder / 'begun')!r}, 'w').close()\ntime.sleep(120)\n"
    )
    return str(folder)


@pytest.fixture
def make_registry(tmp_path: Path, root: Path) -> Iterator[Callable[..., EnvironmentRegistry]]:
    """Make registries over the same folders, as servers one after the other do."""

    def make(**options: Any) -> EnvironmentRegistry:
        return EnvironmentRegistry(data_dir=str(tmp_path / "data"), root_dir=str(root), **options)

    yield make
    left = [] if not (tmp_path / "data").exists() else list((tmp_path / "data" / ".making").glob("*/lock"))
    assert not left, "a test left an environment in the making"
