"""The local command line: the server's own interpreter, PATH and languages."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_exec_ext.environments.base import Limits, current_environment
from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.errors import Conflict, EnvironmentFailed, Refused, UnknownLanguage
from jupyter_exec_ext.languages import LANGUAGES, with_policies


def test_python_is_the_servers_interpreter() -> None:
    assert SystemPythonEnvironment().get_executable() == sys.executable


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="these tests do not run in a venv")
def test_in_a_venv_its_commands_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    # given a server that was started without activating its venv
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)

    variables = SystemPythonEnvironment().variables()

    assert variables["VIRTUAL_ENV"] == sys.prefix
    which = subprocess.run(
        ["/bin/sh", "-c", "command -v python"], env=variables, capture_output=True, text=True, check=True
    )
    assert os.path.dirname(which.stdout.strip()) == os.path.join(sys.prefix, "bin")


def test_outside_of_a_venv_the_path_is_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)

    variables = SystemPythonEnvironment().variables()

    assert variables["PATH"] == "/usr/bin:/bin"
    assert "VIRTUAL_ENV" not in variables


def test_secrets_of_the_server_do_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_TOKEN", "x")
    monkeypatch.setenv("HPC_NODE", "7")

    variables = SystemPythonEnvironment(env_allow=["HPC_*"]).variables()

    assert "JUPYTER_TOKEN" not in variables
    assert variables["HPC_NODE"] == "7"


def test_an_interpreter_that_vanished_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    environment = SystemPythonEnvironment()

    assert environment.status == "unavailable"
    assert environment.reason is not None
    assert str(tmp_path / "gone") in environment.reason
    with pytest.raises(EnvironmentFailed, match="gone"):
        environment.get_executable()


def test_it_says_that_it_is_not_isolated() -> None:
    described = SystemPythonEnvironment().describe()

    assert (described.name, described.kind, described.isolation) == ("local", "local", "none")
    assert described.display_name == "Local command line"
    assert described.languages[0] == "python"


# ---- languages


def program(folder: Path, name: str) -> Path:
    """Something that can be executed."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder on PATH."""
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"relative:{folder}:{tmp_path}/absent")
    return folder


def test_a_language_is_there_when_its_interpreter_is(path: Path) -> None:
    bash = program(path, "bash")
    (path / "ruby").write_text("not executable")

    languages = SystemPythonEnvironment().languages()

    assert list(languages) == ["python", "bash", "html", "css"]
    assert languages["bash"].command == (str(bash), "{file}")
    assert languages["python"].command == ("{python}", "-u", "{file}")


def test_an_interpreter_that_comes_or_goes_is_noticed(path: Path) -> None:
    # given a list that was made before
    environment = SystemPythonEnvironment()
    assert "lua" not in environment.languages()

    lua = program(path, "lua")
    assert "lua" in environment.languages()
    os.utime(path, (1, 1))
    assert "lua" in environment.languages()

    lua.unlink()
    assert "lua" not in environment.languages()


def test_the_second_choice_is_taken_where_the_first_is_absent(path: Path) -> None:
    deno = program(path, "deno")

    assert SystemPythonEnvironment().language("ts").command == (str(deno), "run", "--quiet", "{file}")


def test_no_name_means_the_first_language_and_an_alias_what_is_there(path: Path) -> None:
    program(path, "sh")
    environment = SystemPythonEnvironment()

    assert environment.language("").name == "python"
    assert environment.language("shell").name == "sh"


def test_a_language_without_interpreter_is_told_from_one_that_nobody_knows(path: Path) -> None:
    environment = SystemPythonEnvironment()

    with pytest.raises(UnknownLanguage, match="local cannot run ruby: ruby is not on its PATH"):
        environment.language("rb")
    with pytest.raises(UnknownLanguage, match="no language 'cobol'"):
        environment.language("cobol")


def test_a_refused_language_is_refused_and_not_listed(path: Path) -> None:
    program(path, "bash")
    environment = SystemPythonEnvironment(languages=with_policies(LANGUAGES, {"bash": "refuse"}))

    assert "bash" not in environment.describe().languages
    with pytest.raises(Refused, match="bash"):
        environment.language("shell")


# ---- the environment as a context


async def test_the_current_environment_is_that_of_the_innermost_with() -> None:
    outer, inner = SystemPythonEnvironment("local:outer"), SystemPythonEnvironment("local:inner")

    async def other() -> None:
        with inner:
            await asyncio.sleep(0)
            assert current_environment() is inner

    assert current_environment() is None
    with outer:
        # when another task is in an environment of its own
        await asyncio.gather(other(), other())
        assert current_environment() is outer
        with inner, outer:
            assert current_environment() is outer
        assert current_environment() is outer
    assert current_environment() is None


async def test_it_needs_no_preparation_and_cannot_be_removed() -> None:
    environment = SystemPythonEnvironment(preload=["json"], limits=Limits(cpu_seconds=5))

    await environment.prepare()
    with pytest.raises(Conflict, match="not created here"):
        await environment.remove()
    assert environment.preload == ("json",)
    assert environment.limits.cpu_seconds == 5
