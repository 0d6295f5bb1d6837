"""A block in JavaScript finds the modules of its workspace, wherever its file lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

REQUIRES = "console.log(require('foo'))"


def module(folder: Path, text: str) -> None:
    """Install a module ``foo`` that is this text."""
    (folder / "foo").mkdir(parents=True)
    (folder / "foo" / "index.js").write_text(f"module.exports = {text!r}\n")


@pytest.fixture(autouse=True)
def foo(workspace: Path) -> None:
    """A module in the workspace."""
    module(workspace / "node_modules", "of the workspace")


async def output(executor: Any, code: str, **env: str) -> tuple[str, int | None]:
    block = CodeBlock(code=code, language="javascript")
    result = await executor.execute_code_blocks([block], RunOptions(env=env))
    return result.output, result.exit_code


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("code", [REQUIRES, f"// filename: tools/a.js\n{REQUIRES}"])
async def test_javascript_finds_the_modules_of_the_workspace(make: Make, code: str, portable: bool) -> None:
    assert await output(await make(portable=portable), code) == ("of the workspace\n", 0)


async def test_the_environments_own_modules_come_behind_those_of_the_workspace(
    make: Make, tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a module of that name, and another, where the environment's variable says
    module(tmp_path / "global", "of the environment")
    (tmp_path / "global" / "bar.js").write_text("module.exports = 'only there'\n")
    monkeypatch.setenv("NODE_PATH", str(tmp_path / "global"))
    executor = await make(SystemPythonEnvironment("local", env_allow=["NODE_PATH"]))

    printed = await output(executor, "console.log(require('foo'), require('bar'))")
    assert printed == ("of the workspace only there\n", 0)
    # and what the execution says takes the place of both
    assert await output(executor, REQUIRES, NODE_PATH=os.environ["NODE_PATH"]) == ("of the environment\n", 0)


async def test_a_block_that_names_its_file_finds_its_neighbours_and_imports(
    make: Make, workspace: Path
) -> None:
    (workspace / "helper.js").write_text("module.exports = 'beside'\n")
    executor = await make()

    named = "// filename: a.js\nconsole.log(require('./helper.js'))"
    assert await output(executor, named) == ("beside\n", 0)
    named = "// filename: a.mjs\nimport foo from 'foo'\nconsole.log(foo)"
    assert await output(executor, named) == ("of the workspace\n", 0)
