"""Fixtures for the supervisor: Pythons of this machine, and sessions that live as long as a test file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor

from .session import Session

Make = Callable[..., Awaitable[LocalCommandLineCodeExecutor]]

#: What the supervisor has to run on.
VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")


def python_of(version: str) -> str | None:
    """An interpreter of that version: this one, one on PATH, or one of pyenv's."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    roots = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(roots.glob(f"{version}.*/bin/python"))
    candidates = [str(found[-1])] if found else []
    candidates += filter(None, [shutil.which(f"python{version}")])
    for candidate in candidates:
        asked = subprocess.run([candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)  # fmt: skip
        if asked.stdout.decode().strip() == version:
            return candidate
    return None


PYTHONS = {version: path for version in VERSIONS if (path := python_of(version))}
OTHERS = {version: path for version, path in PYTHONS.items() if path != sys.executable}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out, since no installer can bring it."""
    missing = [version for version in VERSIONS if version not in PYTHONS]
    if missing:
        terminalreporter.write_line(
            f"Not installed, so not tested: the supervisor on Python {', '.join(missing)}"
        )


@pytest.fixture(scope="module")
def session_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Session]]:
    """Get a session for a Python and its settings; the same one for the same settings."""
    stack = ExitStack()
    sessions: dict[str, Session] = {}

    def get(python: str = sys.executable, **config: Any) -> Session:
        key = repr((python, sorted(config.items())))
        if key not in sessions or sessions[key].process.poll() is not None:
            place = tmp_path_factory.mktemp("session")
            sessions[key] = stack.enter_context(Session(place, python, **config))
        return sessions[key]

    with stack:
        yield get


@pytest.fixture
def make(jp_asyncio_loop: Any, tmp_path: Path) -> Any:
    """Start executors with ``await make(...)``; they are stopped when the test has ended."""
    stack = AsyncExitStack()

    async def start(environment: Any = None, **settings: Any) -> LocalCommandLineCodeExecutor:
        environment = environment or SystemPythonEnvironment("local")
        executor = LocalCommandLineCodeExecutor(environment, tmp_path, **settings)
        await stack.enter_async_context(executor)
        return executor

    yield start
    jp_asyncio_loop.run_until_complete(stack.aclose())
