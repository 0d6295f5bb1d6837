"""Hostile and faulty programs: every case in tests/cases, in every place it makes sense for.

Each runs on a live server (``local``, ``venv``, ``kernel``), and with the executor as a library. The
servers are in a PID namespace of their own with a time limit, so that the end of whatever a case starts
is certain, also where the product fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness.backends import Backend
from harness.cases import CONTAINER, KERNEL, OWN, PLACES, Case, all_cases
from harness.containers import Containers
from harness.contract import check_files, check_readings, check_result
from harness.library import Library
from harness.rest import Rest
from harness.server import LiveServer, needs_room, room
from harness.watch import Sampler, settled

pytestmark = needs_room

CASES = list(all_cases())
VENV = "venv:cases"
#: How long a server may live, whatever happens.
LIFE = 1800.0

_LIMITS = {"memory_bytes": 600_000_000, "file_bytes": 1_000_000, "cpu_seconds": 3, "open_files": 64}
_OPTIONS = {
    "usual": (),
    "subreaper": ('--ExecApp.executor_settings={"namespace": False}',),
    "limited": (f'--EnvironmentRegistry.limits={{"*": {_LIMITS}}}',),
    KERNEL: ("--KernelPool.ready_per_environment=0",),  # so that the processes that are left can be counted
}
_SERVERS = {
    "local": ("usual", "local"),
    "venv": ("usual", VENV),
    "subreaper": ("subreaper", "local"),
    "limited": ("limited", "local"),
    "limited-venv": ("limited", VENV),
    KERNEL: (KERNEL, "kernel:python3"),
}

#: What the servers are asked for all the time. The list of kernels that is a part of Jupyter Server's status
#: fails in the moment in which it has a new kernel, but not yet the time of the kernel's last activity.
_ASKED = {KERNEL: "api"}

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """The live servers, each started with its meter when a case first needs it."""
    servers: dict[str, tuple[LiveServer, Sampler]] = {}

    def get(kind: str) -> tuple[LiveServer, Sampler]:
        if kind not in servers:
            home = tmp_path_factory.mktemp(f"server-{kind}")
            live = LiveServer(home, *_OPTIONS[kind], prefix=room(home, seconds=LIFE))
            asked = _ASKED.get(kind, "api/status")
            servers[kind] = live, Sampler(live.url, live.token, live.pid, home / "samples", asked)
            if kind in ("usual", "limited"):
                _make_venv(live)
            _warm(live, "kernel:python3" if kind == KERNEL else "local")
        return servers[kind]

    yield get
    for started, meter in servers.values():
        meter.stop()
        try:
            log = started.stop()
        finally:
            started.process.kill()
        assert "Traceback" not in log


def _make_venv(server: LiveServer) -> None:
    server.call("POST", "environments", {"kind": "venv", "name": VENV})
    until = time.monotonic() + 60
    while (found := server.call("GET", f"environments/{VENV}"))["status"] == "preparing":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert found["status"] == "ready", found


def _warm(server: LiveServer, environment: str) -> None:
    """Do once what is slower or larger the first time."""
    # ZeroMQ gets a thread with descriptors when it sends something large for the first time.
    large = "import sys\n# " + "x" * 100_000
    code = large + "\nfor n in range(200): _ = sys.stdout.write('x' * 99_999 + '\\n')"
    body = {"code": code, "language": "python", "environment": environment}
    for _ in range(2):
        ended = server.call("POST", "executions?wait=60", body)
        assert ended["status"] == "ok", ended


@pytest.fixture
def place(
    tmp_path: Path,
    server: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Callable[[str], Backend]:
    """Open the place of that name."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    def open_place(name: str) -> Backend:
        if name == CONTAINER:
            return Containers(tmp_path, request.getfixturevalue("own_engine"))
        if name == "library":
            monkeypatch.setattr("tempfile.tempdir", str(temporary))
            return Library(tmp_path, temporary)
        kind, environment = _SERVERS[name]
        live, meter = server(kind)
        return Rest(live, environment, meter)

    return open_place


def _parameters() -> list[Any]:
    return [
        pytest.param(case, name, id=f"{name}-{case.name}")
        for name in PLACES
        for case in CASES
        if name in case.places
    ]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("case", "name"), _parameters())
async def test_the_case_ends_as_it_must_and_leaves_nothing(case: Case, name: str, place: Any) -> None:
    # given: a place, and what is there before
    where: Backend = place(name)
    path = case.path or f"{case.name}-{next(_numbers)}"
    where.root.joinpath(path).mkdir(exist_ok=True)
    before, began = where.census(), time.monotonic()
    # when
    await asyncio.wait_for(_run_copies(case, where, path), 150)
    # then
    assert await settled(where.census, before) == []
    assert "Traceback" not in where.complaints()
    check_readings(await where.meter.since(began))


async def _run_copies(case: Case, where: Backend, path: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(where.session(path)) for _ in range(case.copies)]
        for session in sessions:
            first = await session.print_next()
            assert first.output == "next\n" or case.expect.next != "ok", first
        await asyncio.sleep(0.1)  # until the sessions have forked whom they have waiting for the next block
        idle = where.census(paths=False)
        results = await asyncio.gather(*(session.run(case, n) for n, session in enumerate(sessions)))
        for number, result in enumerate(results):
            check_result(case, number, result)
        kept = replace(idle, processes=idle.processes + case.expect.kept)
        left = await settled(lambda: where.census(paths=False), kept)
        assert left == [], "after the run, with its session still open"
        await check_files(case.expect, sessions[0])
        for session in sessions:
            following = await session.print_next()
            assert following.status == case.expect.next, following
            assert following.output == ("next\n" if following.status == "ok" else "")


def test_every_case_says_what_it_is_about_and_runs_in_every_environment() -> None:
    assert len(set(_parameter_names())) == len(_parameter_names())
    own = {(case.name, place) for case in CASES for place in OWN if case.places == (place,)}
    for case in CASES:
        assert case.says.endswith("."), case.name
        places = set(case.places)
        if places in ({KERNEL}, {CONTAINER}):
            continue
        assert places >= {"local", "venv"} or places == {"limited", "limited-venv"}, case.name
        for place in OWN if "library" in places else (KERNEL,):
            assert (case.name, place) in own or case.not_in[place].endswith("."), case.name


def _parameter_names() -> list[str]:
    return [str(parameter.id) for parameter in _parameters()]
