"""Conda environments are found by conda's own files, and activated by their variables."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from folders import make_conda, make_venv
from registries import Make, names

from jupyter_exec_ext.environments.conda import conda_prefixes
from jupyter_exec_ext.environments.venv import VenvPythonEnvironment


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_conda_environments_are_found_by_their_files(home: Path, tmp_path: Path) -> None:
    base = make_conda(home / "miniforge3")
    named = make_conda(base / "envs" / "sales")
    (base / "envs" / "half").mkdir()
    listed = make_conda(tmp_path / "somewhere")
    pointed = make_conda(tmp_path / "active")
    mamba = make_conda(tmp_path / "mamba" / "envs" / "m")
    (home / ".conda").mkdir()
    (home / ".conda" / "environments.txt").write_text(f"{listed}\n{tmp_path}/gone\nrelative\n\n{listed}\n")
    source = {"HOME": str(home), "CONDA_PREFIX": str(pointed), "MAMBA_ROOT_PREFIX": str(tmp_path / "mamba")}

    assert {base, named, listed, pointed, mamba} <= set(conda_prefixes((), source))
    assert tmp_path / "gone" not in conda_prefixes((), source)


def test_a_list_of_conda_that_is_a_fifo_or_huge_does_no_harm(home: Path) -> None:
    (home / ".conda").mkdir()
    os.mkfifo(home / ".conda" / "environments.txt")
    assert conda_prefixes((), {"HOME": str(home)}) is not None

    (home / ".conda" / "environments.txt").unlink()
    (home / ".conda" / "environments.txt").write_text("/a\0b\n" + "/x\n" * 500_000)
    began = time.perf_counter()
    assert conda_prefixes((), {"HOME": str(home)}) is not None
    assert time.perf_counter() - began < 2


def test_a_conda_environment_is_a_venv_with_condas_variables(home: Path, make_registry: Make) -> None:
    base = make_conda(home / "miniconda3")
    (base / "envs").mkdir()
    prefix = make_conda(base / "envs" / "sales")
    state = '{"env_vars": {"REGION": "eu", "API_TOKEN": "x", "bad name": "y", "NUMBER": 1}}'
    (prefix / "conda-meta" / "state").write_text(state)
    registry = make_registry()

    assert {"venv:base", "venv:sales"} <= set(names(registry))
    environment = registry.get("venv:sales")
    variables = environment.variables()

    assert environment.get_executable() == str(prefix / "bin" / "python")
    assert variables["PATH"].startswith(f"{prefix}/bin:")
    assert variables["CONDA_PREFIX"] == str(prefix)
    assert variables["CONDA_DEFAULT_ENV"] == "sales"
    assert variables["REGION"] == "eu"
    assert not {"VIRTUAL_ENV", "API_TOKEN", "bad name", "NUMBER"} & set(variables)
    assert environment.describe().spec["origin"] == "conda"


def test_a_conda_environment_below_the_root_is_named_by_its_path(root: Path, make_registry: Make) -> None:
    prefix = make_conda(root / "project" / "stats")

    environment = make_registry().get("venv:stats")

    assert environment.variables()["CONDA_DEFAULT_ENV"] == str(prefix)


def test_a_conda_environment_without_python_is_not_offered(home: Path, make_registry: Make) -> None:
    prefix = make_conda(home / "miniconda3" / "envs" / "only-r")
    (prefix / "bin" / "python").unlink()

    assert "venv:only-r" not in names(make_registry())


def test_a_venv_has_the_variables_of_its_activation(tmp_path: Path) -> None:
    prefix = make_venv(tmp_path / "v")

    variables = VenvPythonEnvironment("venv:v", prefix).variables()

    assert variables["VIRTUAL_ENV"] == str(prefix)
    assert variables["PATH"].startswith(f"{prefix}/bin:")
