"""The administrator says what may be used, with which limits, languages and variables."""

from __future__ import annotations

from pathlib import Path

import pytest
from folders import make_venv
from registries import Make, listed, request
from traitlets import TraitError

from jupyter_exec_ext.environments.base import Limits
from jupyter_exec_ext.environments.registry import EnvironmentRegistry
from jupyter_exec_ext.errors import (
    Refused,
    UnknownEnvironment,
)


def test_the_default_is_marked(make_registry: Make, root: Path) -> None:
    make_venv(root / "a")

    marked = [
        name for name, item in listed(make_registry(default_environment="venv:a")).items() if item.default
    ]

    assert marked == ["venv:a"]


async def test_only_what_is_allowed_is_listed_used_or_created(make_registry: Make, root: Path) -> None:
    make_venv(root / "team-a")
    make_venv(root / "private")
    registry = make_registry(allow=["venv:team-*"])

    assert list(listed(registry)) == ["venv:team-a"]
    for name in ("local", "venv:private", "venv:none", "docker:python", "\u202e" * 1000):
        with pytest.raises(UnknownEnvironment) as caught:
            registry.get(name)
        assert caught.value.field == "environment"
        assert caught.value.message.isprintable()
    with pytest.raises(Refused, match="does not allow"):
        await registry.create(request("venv:mine"))
    with pytest.raises(Refused, match="does not allow"):
        await make_registry(allow_create=False).create(request())


def test_limits_preloads_languages_and_variables_are_those_of_the_configuration(
    make_registry: Make, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_venv(root / "a")
    monkeypatch.setenv("HPC_NODE", "7")
    registry = make_registry(
        limits={"*": {"open_files": 100}, "local": {"memory_bytes": 2**31}},
        preload={"local": ["json"], "*": ["decimal"]},
        policies={"bash": "refuse"},
        extra_languages={"Cat": {"suffix": ".txt", "command": ["cat", "{file}"], "aliases": ["text"]}},
        env_allow=["HPC_*"],
    )
    local, venv = registry.get("local"), registry.get("venv:a")

    assert (local.limits, venv.limits) == (Limits(memory_bytes=2**31), Limits(open_files=100))
    assert (local.preload, venv.preload) == (("json",), ("decimal",))
    assert venv.variables()["HPC_NODE"] == "7"
    assert venv.language("TEXT").command[1:] == ("{file}",)
    with pytest.raises(Refused):
        local.language("bash")


@pytest.mark.parametrize(
    "options",
    [
        {"policies": {"bash": "perhaps"}},
        {"policies": {"pyhton": "refuse"}},
        {"limits": {"local": {"memory": 1}}},
        {"limits": {"*": {"memory_bytes": "1G"}}},
        {"limits": {"local": {"open_files": -1}}},
        {"extra_languages": {"x": {"suffix": ".x"}}},
        {"installer": "conda"},
    ],
)
def test_a_configuration_that_cannot_be_right_is_an_error_at_the_start(
    make_registry: Make, options: dict[str, object]
) -> None:
    with pytest.raises(TraitError):
        make_registry(**options)


def test_a_limit_that_is_not_there_is_answered_with_those_there_are(make_registry: Make) -> None:
    with pytest.raises(
        TraitError, match="'memory'.*memory_bytes, cpu_seconds, file_bytes, open_files"
    ) as caught:
        make_registry(limits={"local": {"memory": 1}})
    assert "__init__" not in str(caught.value)


def test_without_discovery_only_local_and_what_was_made_are_listed(make_registry: Make, root: Path) -> None:
    make_venv(root / "a")

    assert list(listed(make_registry(discover=False))) == ["local"]


def test_environments_made_here_are_not_discovered_a_second_time(root: Path) -> None:
    # given created environments below the root itself
    make_venv(root / "data" / "v" / "venv")
    (root / "data" / "v" / "environment.json").write_text('{"name": "venv:v", "status": "ready"}')
    registry = EnvironmentRegistry(data_dir=str(root / "data"), root_dir=str(root))

    assert list(listed(registry)) == ["local", "venv:v"]
