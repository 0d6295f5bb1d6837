"""What the tests ask of a registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jupyter_exec_ext.environments.registry import EnvironmentRegistry
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.models import Environment, EnvironmentRequest

Make = Callable[..., EnvironmentRegistry]


def request(name: str = "venv:v", **fields: object) -> EnvironmentRequest:
    """A request to create that environment."""
    return EnvironmentRequest.model_validate({"kind": "venv", "name": name, **fields})


async def prepared(registry: EnvironmentRegistry, name: str = "venv:v", since: int = 0) -> list[Event]:
    """All events of the preparation."""
    return [event async for event in registry.events(name, since)]


def listed(registry: EnvironmentRegistry) -> dict[str, Environment]:
    """The list by name."""
    return {environment.name: environment for environment in registry.list()}


def names(registry: EnvironmentRegistry) -> list[str]:
    """The virtual environments in the list."""
    return [environment.name for environment in registry.list() if environment.kind == "venv"]


def left_in(data: Path) -> list[str]:
    """What is there of environments."""
    return sorted(path.name for path in data.glob("*") if path.name not in (".making", ".using"))
