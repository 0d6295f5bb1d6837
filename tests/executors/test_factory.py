"""Executors by name, by configuration, by language and from entry points of other packages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.errors import InvalidRequest, UnknownLanguage
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.executors.base import CodeExecutor, RunOptions
from jupyter_exec_ext.executors.factory import CodeExecutorFactory
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.executors.routing import LanguageRouter
from jupyter_exec_ext.models import CodeBlock

LOCAL = "commandline-local"


def blocks(*pairs: tuple[str, str]) -> list[CodeBlock]:
    """Blocks of (language, code)."""
    return [CodeBlock(language=language, code=code) for language, code in pairs]


@pytest.fixture
def other(tmp_path: Path) -> Callable[[], LocalCommandLineCodeExecutor]:
    """Make an executor that can be told from others by its workspace."""

    def make() -> LocalCommandLineCodeExecutor:
        (tmp_path / "other").mkdir(exist_ok=True)
        return LocalCommandLineCodeExecutor(SystemPythonEnvironment(), tmp_path / "other")

    return make


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Install a package that adds an executor, ``theirs``."""
    site = tmp_path / "site"
    info = site / "theirs-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[jupyter_exec_ext.executors]\ntheirs = their_executor:Theirs\n")
    base = "jupyter_exec_ext.executors.local"
    (site / "their_executor.py").write_text(
        f"from {base} import LocalCommandLineCodeExecutor\nclass Theirs(LocalCommandLineCodeExecutor): pass\n"
    )
    monkeypatch.syspath_prepend(str(site))
    yield "theirs"
    sys.modules.pop("their_executor", None)


async def test_a_name_and_its_options_make_an_executor(tmp_path: Path) -> None:
    executor = CodeExecutorFactory().create({"executor": LOCAL, LOCAL: {"workspace": tmp_path}})

    async with executor:
        result = await executor.execute_code_blocks(blocks(("python", "import os; print(os.getcwd())")))

    assert result.output == f"{tmp_path}\n"


def test_an_executor_is_returned_as_it_is(other: Callable[[], CodeExecutor]) -> None:
    executor = other()

    assert CodeExecutorFactory().create({"executor": executor}) is executor


@pytest.mark.parametrize(
    "config", [{}, {"executor": None}, {"executor": 3}, {"executor": "nothing"}, {"executor": {}}]
)
def test_what_names_no_executor_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="executor") as caught:
        CodeExecutorFactory().create(config)

    assert isinstance(caught.value, InvalidRequest)
    assert caught.value.field == "executor"


@pytest.mark.parametrize("executor", [LOCAL, {"python": LOCAL}])
def test_an_option_that_the_executor_does_not_take_is_named(executor: Any) -> None:
    with pytest.raises(ValueError, match="takes no option 'colour'; it takes: .*workspace") as caught:
        CodeExecutorFactory().create({"executor": executor, LOCAL: {"colour": "red"}})

    assert isinstance(caught.value, InvalidRequest)
    assert caught.value.field == f"{LOCAL}.colour"
    with pytest.raises(InvalidRequest, match="mapping"):
        CodeExecutorFactory().create({"executor": executor, LOCAL: None})


async def test_another_package_adds_an_executor(package: str, tmp_path: Path) -> None:
    factory = CodeExecutorFactory({"namespace": False})

    executor = factory.create({"executor": package, package: {"workspace": tmp_path}})

    assert package in factory.names()
    assert type(executor).__name__ == "Theirs"
    async with executor:
        assert (await executor.execute_code_blocks(blocks(("python", "print(1)")))).output == "1\n"
        assert executor.guarantee != "pid_namespace"  # type: ignore[attr-defined]


async def test_each_language_goes_to_its_executor_in_one_order(
    tmp_path: Path, other: Callable[[], CodeExecutor]
) -> None:
    router = CodeExecutorFactory().create(
        {"executor": {"py": LOCAL, "*": other()}, LOCAL: {"workspace": tmp_path}}
    )
    where = "import os; print(os.path.basename(os.getcwd()))"
    program = blocks(("python", where), ("bash", "basename $PWD"), ("sh", "basename $PWD"), ("Python", where))

    async with router:
        assert router.alive
        events = [event async for event in router.run(program)]

    here = tmp_path.name
    outcome = events[-1].data["outcome"]
    assert [event.data["text"] for event in events if event.type == "stream"] == [
        f"{here}\n", "other\n", "other\n", f"{here}\n",
    ]  # fmt: skip
    assert [event.data["index"] for event in events if event.type == "block"] == [0, 1, 2, 3]
    assert (outcome.status, outcome.exit_code, len(outcome.code_files)) == ("ok", 0, 4)
    assert outcome.verdict.cpu_seconds > 0
    assert not router.alive


async def test_one_name_makes_one_executor(tmp_path: Path) -> None:
    router = CodeExecutorFactory().create(
        {"executor": {"python": LOCAL, "bash": LOCAL}, LOCAL: {"workspace": tmp_path}}
    )

    assert isinstance(router, LanguageRouter)
    assert router.executor_of("python") is router.executor_of("shell")


async def test_the_first_failure_ends_the_run_unless_it_shall_not(
    tmp_path: Path, other: Callable[[], CodeExecutor]
) -> None:
    router = CodeExecutorFactory().create(
        {"executor": {"python": LOCAL, "bash": other()}, LOCAL: {"workspace": tmp_path}}
    )
    program = blocks(("python", "raise SystemExit(3)"), ("bash", "echo on"))

    async with router:
        stopped = await router.execute_code_blocks(program)
        went_on = await router.execute_code_blocks(program, RunOptions(stop_on_error=False))

    assert (stopped.outcome.status, stopped.exit_code, stopped.output) == ("failed", 3, "")
    assert (went_on.outcome.status, went_on.exit_code, went_on.output) == ("failed", 3, "on\n")


async def test_the_timeout_is_for_all_blocks_together(
    tmp_path: Path, other: Callable[[], CodeExecutor]
) -> None:
    router = CodeExecutorFactory().create(
        {"executor": {"python": LOCAL, "bash": other()}, LOCAL: {"workspace": tmp_path}}
    )
    program = blocks(
        ("python", "import time; time.sleep(0.5); print('on', flush=True)"), ("bash", "sleep 30")
    )

    async with router:
        result = await router.execute_code_blocks(program, RunOptions(timeout=1.0))

    assert (result.outcome.status, result.exit_code, result.output) == ("timeout", 124, "on\n")
    assert result.outcome.verdict.wall_seconds is not None
    assert result.outcome.verdict.wall_seconds < 3


async def test_a_cancel_ends_the_block_that_runs_and_those_to_come(
    tmp_path: Path, other: Callable[[], CodeExecutor]
) -> None:
    router = CodeExecutorFactory().create(
        {"executor": {"python": LOCAL, "bash": other()}, LOCAL: {"workspace": tmp_path}}
    )
    program = blocks(("bash", "echo on; sleep 30"), ("python", "print('never')"))
    events: list[Event] = []

    async with router:
        async for event in router.run(program, RunOptions(stop_on_error=False)):
            events.append(event)
            if event.type == "stream":
                await router.cancel()

    assert [event.data["text"] for event in events if event.type == "stream"] == ["on\n"]
    assert events[-1].data["outcome"].status == "cancelled"


async def test_a_language_without_an_executor_is_named(tmp_path: Path) -> None:
    router = CodeExecutorFactory().create({"executor": {"python": LOCAL}, LOCAL: {"workspace": tmp_path}})

    with pytest.raises(UnknownLanguage, match="'bash'.*python") as caught:
        await router.execute_code_blocks(blocks(("python", "1"), ("bash", "echo")))

    assert caught.value.field == "code_blocks[1].language"


def test_two_executors_for_one_language_are_refused(other: Callable[[], CodeExecutor]) -> None:
    with pytest.raises(InvalidRequest, match="two executors"):
        CodeExecutorFactory().create({"executor": {"python": other(), "py": other()}})
