"""An engine that is away, hangs, fails, or dies while something runs."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness.engine import IMAGE, OwnEngine, needs_engine
from harness.proxy import FaultyProxy

from jupyter_exec_ext.containers.engine import Engine
from jupyter_exec_ext.environments.docker import DockerPythonEnvironment
from jupyter_exec_ext.errors import EnvironmentFailed, ExecError, NotFound
from jupyter_exec_ext.executors.docker import DockerCommandLineCodeExecutor

from .test_docker_executor import run

# docker-py and urllib3 leave a socket to the garbage collector whose connection did not come about.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()  # while the mark above holds


BEGINS = "import time; print('begun', flush=True); time.sleep(99)"


def executor_at(engine: Engine) -> DockerCommandLineCodeExecutor:
    return DockerCommandLineCodeExecutor(DockerPythonEnvironment(IMAGE, engine=engine))


@pytest.fixture
def proxy(own_engine: OwnEngine, tmp_path: Path) -> Iterator[FaultyProxy]:
    """A proxy in front of the engine, on which nothing may be left in the end."""
    between = FaultyProxy(own_engine.folder / "proxy", own_engine.folder / "socket")
    yield between
    between.close()
    (own_engine.folder / "proxy").unlink()
    assert own_engine.left() == {"containers": [], "volumes": []}


async def test_an_engine_that_is_away_is_said_to_be_within_5_s(tmp_path: Path) -> None:
    with closing(Engine(f"unix://{tmp_path}/nothing")) as engine:
        executor, began = executor_at(engine), time.monotonic()

        with pytest.raises(EnvironmentFailed, match="is away: No such file or directory"):
            await executor.start()

    assert time.monotonic() - began < 5
    described = executor.environment.describe()
    assert described.status == "unavailable"
    assert "is away" in (described.reason or "")


async def test_an_engine_that_comes_up_is_used(own_engine: OwnEngine, tmp_path: Path) -> None:
    path = own_engine.folder / "late"
    with closing(Engine(f"unix://{path}")) as engine:
        executor = executor_at(engine)
        with pytest.raises(EnvironmentFailed):
            await executor.start()
        between = FaultyProxy(path, own_engine.folder / "socket")

        async with executor:
            result = await run(executor, "print('up')")

        between.close()
        path.unlink()
    assert result.output == "up\n"


async def test_an_engine_that_hangs_is_given_up_at_the_deadline_and_other_runs_go_on(
    proxy: FaultyProxy,
) -> None:
    with closing(Engine(proxy.address, deadline=1.0)) as engine:
        async with executor_at(engine) as working:
            proxy.hangs = True
            began = time.monotonic()
            with pytest.raises(EnvironmentFailed, match="(has not answered for 1 s|is away: timed out)"):
                await engine.call(lambda client: client.info())
            took = time.monotonic() - began

            result = await run(working, "print('goes on')")
            proxy.hangs = False

    assert took < 3
    assert result.output == "goes on\n"


async def test_an_engine_that_fails_is_quoted(proxy: FaultyProxy) -> None:
    with closing(Engine(proxy.address)) as engine:
        await engine.call(lambda client: client.ping())
        proxy.fails = True
        proxy.drop()

        with pytest.raises(EnvironmentFailed, match="disk full|is away"):
            await engine.call(lambda client: client.info())
        proxy.fails = False

        assert await engine.call(lambda client: client.ping())


async def test_what_is_not_there_is_not_found(proxy: FaultyProxy) -> None:
    with closing(Engine(proxy.address)) as engine:
        with pytest.raises(NotFound, match="No such container"):
            await engine.call(lambda client: client.inspect_container("nothing"))


async def test_a_stream_that_breaks_loses_the_run_keeps_its_output_and_the_next_run_works(
    proxy: FaultyProxy,
) -> None:
    with closing(Engine(proxy.address)) as engine:
        async with executor_at(engine) as executor:
            task = asyncio.ensure_future(run(executor, BEGINS))
            await asyncio.sleep(0.5)

            proxy.drop()
            result = await asyncio.wait_for(task, 5)
            following = await run(executor, "print('next')")

    assert (result.outcome.status, result.output) == ("lost", "begun\n")
    assert not result.outcome.verdict.state_kept
    assert following.output == "next\n"


async def test_an_engine_that_dies_mid_run_loses_it_and_heals(tmp_path: Path) -> None:
    needs_engine()
    crashing = OwnEngine()
    try:
        await asyncio.to_thread(crashing.add_image, IMAGE)
        with closing(Engine(crashing.address)) as engine:
            executor = executor_at(engine)
            await executor.start()
            task = asyncio.ensure_future(run(executor, BEGINS))
            await asyncio.sleep(0.5)

            await asyncio.to_thread(crashing.kill)
            result = await asyncio.wait_for(task, 5)
            meanwhile = await run(executor, "print('meanwhile')")
            await asyncio.to_thread(crashing.start)
            following = await _until_ok(lambda: executor)
            await executor.stop()
        assert crashing.left() == {"containers": [], "volumes": []}
    finally:
        await asyncio.to_thread(crashing.stop)

    assert (result.outcome.status, result.output) == ("lost", "begun\n")
    assert meanwhile.outcome.status == "env_error"
    assert "is away" in (meanwhile.outcome.verdict.cause or "")
    assert following == "next\n"


async def _until_ok(executor: Callable[[], DockerCommandLineCodeExecutor]) -> str:
    end = time.monotonic() + 20
    while True:
        try:
            result = await run(executor(), "print('next')")
            if result.outcome.status == "ok":
                return result.output
        except ExecError:
            pass
        assert time.monotonic() < end
        await asyncio.sleep(0.2)
