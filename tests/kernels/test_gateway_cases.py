"""The kernel cases behind a real gateway: what it cannot tell, or drops, is all that differs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from harness.cases import KERNEL, Case, all_cases
from harness.contract import check_result
from harness.gateway import Gateway
from harness.rest import Rest
from harness.server import LiveServer

#: By case: a gateway tells no exit code, and drops what is more than 1,000 messages per second, if it comes
#: so fast: how much, depends on the machine.
DIFFERENT: dict[str, dict[str, Any]] = {
    "K1-kernel-dies": {"exit_code": (None,), "cause": ("The kernel died",)},
    "K4-display-flood": {"truncated": None, "ends": ""},
    "K4-comm-flood": {"truncated": None, "output": None},
}
CASES = [case for case in all_cases() if case.places == (KERNEL,) and case.name.startswith(("K", "P14"))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server whose kernels are a gateway's."""
    gateway = Gateway(tmp_path_factory.mktemp("gateway"))
    gateway.start()
    made = LiveServer(tmp_path_factory.mktemp("server"), f"--gateway-url={gateway.url}")
    for _ in range(100):
        if any(one["kind"] == "kernel" for one in made.call("GET", "environments")["environments"]):
            break
        time.sleep(0.1)
    yield made
    log = made.stop()
    gateway.kill()
    assert "Traceback" not in log, log


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_the_case_ends_as_it_must(case: Case, server: LiveServer) -> None:
    case = replace(case, expect=replace(case.expect, **DIFFERENT.get(case.name, {})))
    server.root.joinpath(case.name).mkdir()
    where: Any = Rest(server, "kernel:python3", None)  # type: ignore[arg-type] # nobody measures
    async with where.session(case.name) as session:
        result = await asyncio.wait_for(session.run(case, 0), 100)
        check_result(case, 0, result)
        assert (await session.print_next()).output == "next\n"


def test_there_are_such_cases() -> None:
    assert {case.name.partition("-")[0] for case in CASES} == {"K1", "K2", "K3", "K4", "P14"}
