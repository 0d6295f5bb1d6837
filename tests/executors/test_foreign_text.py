"""What a foreign program says in a cause, an error or the server's log: one line, of what can be seen."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from jupyter_exec_ext.environments.venv import VenvPythonEnvironment
from jupyter_exec_ext.errors import EnvironmentFailed, ExecError
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.kernels.gateway import explain
from jupyter_exec_ext.models import CodeBlock
from jupyter_exec_ext.text import invisible

from .liar import Liar

#: A terminal obeys the first, and the second turns the text that follows it.
NASTY = "\x1b[2J \u202e seen"
SAID = {
    "refused": f"tell('refused', message={NASTY!r})",
    "problem": f"tell('end', exit=127, wall=1, cpu=1, rss=1, total=0, problem={NASTY!r})",
    "a field": f"tell('dropping', dropped=1, **{{{NASTY!r}: 1}})",
    "printed last": f"os.write(2, {NASTY!r}.encode()); sys.exit(1)",
    "printed on many lines": f"os.write(2, ('x\\n' * 3000 + {NASTY!r} + '\\u2028').encode()); sys.exit(1)",
}


def check(text: str) -> None:
    """Whether the text has been made fit to be shown, and is there."""
    assert "seen" in text
    assert invisible(text) is None
    assert "\ufffd[2J" in text


@pytest.mark.parametrize("name", SAID)
async def test_what_a_supervisor_says_becomes_a_cause_that_can_be_shown(tmp_path: Path, name: str) -> None:
    async with Liar(tmp_path, SAID[name]) as executor:
        result = await executor.execute_code_blocks([CodeBlock(code="1", language="python")])

    assert result.outcome.status in ("env_error", "lost")
    check(str(result.outcome.verdict.cause))


async def test_why_a_file_is_refused_can_be_shown(tmp_path: Path) -> None:
    async with Liar(tmp_path, SAID["refused"]) as executor:
        with pytest.raises(ExecError) as refused:
            await executor.list_files()

    check(refused.value.message)


def environment_that(folder: Path, program: str, version: str = "3.11.7") -> VenvPythonEnvironment:
    """An environment whose interpreter is a program of another kind."""
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}\n")
    python = folder / "bin" / "python"
    python.write_text(f"#!{sys.executable}\n{program}")
    python.chmod(0o755)
    return VenvPythonEnvironment("venv:fake", folder)


async def test_what_an_environment_prints_that_does_not_start_can_be_shown(tmp_path: Path) -> None:
    environment = environment_that(tmp_path / "fake", f"import sys; sys.exit({NASTY!r})")

    with pytest.raises(EnvironmentFailed) as failed:
        await LocalCommandLineCodeExecutor(environment, tmp_path).start()

    check(failed.value.message)


async def test_what_an_environment_says_of_its_preloaded_modules_can_be_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ready = {
        "op": "ready",
        "version": 1,
        "guarantee": "none",
        "pid": 1,
        "python": "3.11",
        "problems": {NASTY: NASTY},
        "holds": [NASTY + " too"],
    }
    say = f"import json, struct, sys; p = json.dumps({ready!r}).encode()\n"
    say += (
        "sys.stdout.buffer.write(struct.pack('>IBI', len(p), 1, 0) + p); sys.stdout.flush(); time.sleep(30)"
    )
    executor = LocalCommandLineCodeExecutor(environment_that(tmp_path / "fake", say), tmp_path)
    with caplog.at_level(logging.WARNING):
        try:
            await executor.start()
        finally:
            await executor.stop()

    said = [record.getMessage() for record in caplog.records if "preload" in record.getMessage()]
    assert len(said) == 2
    for message in said:
        check(message)


def test_the_version_that_an_environment_claims_can_be_shown(tmp_path: Path) -> None:
    environment = environment_that(tmp_path / "fake", "", f"2.7 {NASTY}")

    check(str(environment.reason))
    check(str(environment.spec["python"]))


def test_what_a_gateway_says_can_be_shown() -> None:
    check(explain(ValueError(NASTY)))
