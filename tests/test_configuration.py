"""The command line and the configuration: what they take is used, and what is not taken is said."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp

import jupyter_exec_ext
from jupyter_exec_ext.executors.factory import CodeExecutorFactory
from jupyter_exec_ext.executors.settings import setting_names


def output_of(*arguments: str) -> str:
    """What ``python -m jupyter_exec_ext`` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_exec_ext", *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


def test_the_version_is_that_of_the_package() -> None:
    assert output_of("--version").strip() == jupyter_exec_ext.__version__ != "0.0"


def test_the_help_lists_the_parts_and_no_setting_that_the_server_gives() -> None:
    # when
    text = output_of("--help-all")
    # then
    assert "--EnvironmentRegistry.discover_depth" in text
    assert "--ExecApp.executor_settings" in text
    assert "--EnvironmentRegistry.root_dir" not in text
    assert "--ExecutionManager.root_dir" not in text


def test_the_settings_are_those_that_an_executor_takes() -> None:
    assert setting_names(CodeExecutorFactory()) >= {"output_limit", "grace", "fork", "namespace"}
    assert not setting_names(CodeExecutorFactory()) & {"environment", "workspace", "private"}


class TestExecutorSettings:
    """The warnings of a server with a setting that is spelled wrong."""

    @pytest.fixture
    def jp_server_config(self, jp_server_config: dict[str, Any]) -> dict[str, Any]:
        settings = {"output_limt": 1000, "grace": (1.0, 1.0)}
        return {**jp_server_config, "ExecApp": {"executor_settings": settings}}

    async def test_a_setting_that_no_executor_takes_is_warned_of(
        self, jp_serverapp: ServerApp, caplog: pytest.LogCaptureFixture
    ) -> None:
        # when
        await jp_serverapp.extension_manager.start_all_extensions()
        await next(iter(jp_serverapp.extension_manager.extension_apps["jupyter_exec_ext"])).ready()
        # then
        warned = [
            record.getMessage() for record in caplog.records if "executor_settings" in record.getMessage()
        ]
        assert len(warned) == 1
        assert "'output_limt' has no effect" in warned[0]
        assert "output_limit" in warned[0]
