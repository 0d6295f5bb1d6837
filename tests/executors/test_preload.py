"""A module that cannot be preloaded: the session starts without it, and the log says so."""

from __future__ import annotations

import logging

import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make


async def test_a_module_that_cannot_be_preloaded_is_warned_of_once(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    # given
    environment = SystemPythonEnvironment("local", preload=["json", "no_such_module"])
    # when: two sessions start, and run
    with caplog.at_level(logging.WARNING):
        first, _ = await make(environment), await make(environment)
        result = await first.execute_code_blocks([CodeBlock(code="print(1)", language="python")])
    # then
    assert result.output == "1\n"
    (record,) = [record.getMessage() for record in caplog.records if "preload" in record.getMessage()]
    assert record == (
        "local could not preload no_such_module, and starts without it: "
        "ModuleNotFoundError: No module named 'no_such_module'"
    )
