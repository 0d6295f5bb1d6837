"""A created environment whose record was damaged or removed is shown, and can be deleted or replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_exec_ext.environments.registry import EnvironmentRegistry
from jupyter_exec_ext.errors import EnvironmentFailed, UnknownEnvironment
from jupyter_exec_ext.models import EnvironmentRequest

REQUEST = EnvironmentRequest(kind="venv", name="venv:mine")


async def made(registry: EnvironmentRegistry) -> None:
    await registry.create(REQUEST)
    assert [
        event.data["status"] async for event in registry.events("venv:mine") if event.type == "status"
    ] == ["ready"]


@pytest.fixture(params=["removed", "emptied", "another's", "not JSON"])
def damage(request: pytest.FixtureRequest, data: Path) -> Callable[[], None]:
    """Damage the record."""

    def do() -> None:
        record = data / "mine" / "environment.json"
        if request.param == "removed":
            record.unlink()
        else:
            texts = {"emptied": "", "another's": '{"name": "venv:other"}', "not JSON": "{"}
            record.write_text(texts[request.param])

    return do


async def test_it_says_why_it_cannot_be_used_and_can_be_deleted(
    make_registry: Callable[..., EnvironmentRegistry], damage: Callable[[], None], data: Path
) -> None:
    registry = make_registry(discover=False)
    await made(registry)
    damage()

    (shown,) = [environment for environment in registry.list() if environment.name == "venv:mine"]
    with pytest.raises(EnvironmentFailed, match="missing or damaged"):
        registry.get("venv:mine").get_executable()
    await registry.delete("venv:mine")

    assert (shown.status, "missing or damaged" in (shown.reason or "")) == ("unavailable", True)
    assert not (data / "mine").exists()
    with pytest.raises(UnknownEnvironment):
        registry.get("venv:mine")
    await registry.stop()


async def test_it_can_be_replaced(
    make_registry: Callable[..., EnvironmentRegistry], damage: Callable[[], None]
) -> None:
    registry = make_registry(discover=False)
    await made(registry)
    damage()

    await made(registry)

    assert registry.get("venv:mine").status == "ready"
    await registry.stop()
