"""The extension as a part of a server: loaded, told of, cheap to start, and really stopped."""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from jupyter_server._tz import utcnow
from jupyter_server.serverapp import ServerApp

import jupyter_exec_ext
from jupyter_exec_ext.app import ExecApp
from jupyter_exec_ext.errors import Unavailable
from jupyter_exec_ext.models import ENDED, Session, Status
from jupyter_exec_ext.notices import LAST_ACTIVITY, SCHEMAS

CODE = {"code": "print(1)", "language": "python"}


def read(response: Any, status: int = 200) -> Any:
    """The JSON of an answer that has that status."""
    assert response.code == status, response.body
    return json.loads(response.body)


# -- names and cost ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", jupyter_exec_ext.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(jupyter_exec_ext, name) is not None


def test_names_that_are_not_there_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = jupyter_exec_ext.nonsense  # type: ignore[attr-defined]


def test_loading_imports_nothing_that_is_heavy() -> None:
    # given
    script = (
        "import sys, jupyter_server.serverapp; before = set(sys.modules)\n"
        "import jupyter_exec_ext; jupyter_exec_ext._jupyter_server_extension_points()\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    # when
    found = subprocess.run(  # the names of what was imported on top of the server itself
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    # then
    assert not {"pydantic", "markdown_it", "psutil", "schemathesis"} & set(found)


def test_import_and_load_take_less_than_150_ms() -> None:
    # given
    script = (
        "import jupyter_server.serverapp, time; began = time.perf_counter()\n"
        "import jupyter_exec_ext\n"
        "(point,) = jupyter_exec_ext._jupyter_server_extension_points(); point['app']()\n"
        "print(time.perf_counter() - began)"
    )
    # when
    times = [
        float(
            subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
        )
        for _ in range(5)
    ]
    # then
    assert statistics.median(times) < 0.150, times


# -- told to the server --------------------------------------------------------------------------


def test_the_schemas_say_what_the_models_say() -> None:
    # given
    folder = Path(jupyter_exec_ext.__file__).parent / "event_schemas"
    schemas = {path.stem: yaml.safe_load(path.read_text()) for path in folder.glob("*.yaml")}
    # then
    assert {noun: schema["$id"] for noun, schema in schemas.items()} == SCHEMAS
    assert schemas["execution"]["properties"]["status"]["enum"] == [*Status.__args__]
    statuses = Session.model_fields["status"].annotation.__args__  # type: ignore[union-attr]
    assert schemas["session"]["properties"]["status"]["enum"] == [*statuses]


async def test_executions_are_counted_on_the_metrics_page(
    rest: Callable[..., Any], jp_fetch: Callable[..., Any]
) -> None:
    async def value(line: str) -> float:
        text = (await jp_fetch("metrics")).body.decode()
        found = [row.split()[-1] for row in text.splitlines() if row.startswith(line + " ")]
        return float(found[0]) if found else 0.0

    # given
    total = 'jupyter_exec_executions_total{kind="local",status="failed"}'
    count = 'jupyter_exec_duration_seconds_count{kind="local"}'
    before = await value(total), await value(count)
    session = read(await rest("POST", "sessions", {"environment": "local"}), 201)["id"]
    body = {
        "session": session,
        "language": "python",
        "code": "import time; time.sleep(1); raise SystemExit(3)",
    }
    # when
    for _ in range(2):
        await rest("POST", "executions", body)
    during = [await value(f"jupyter_exec_{name}") for name in ("queued", "running", "sessions")]
    await rest("POST", "executions", body, wait=20)
    # then
    assert during == [1, 1, 1]
    assert (await value(total), await value(count)) == (before[0] + 3, before[1] + 3)
    assert await value("jupyter_exec_queued") == await value("jupyter_exec_running") == 0


async def test_the_extension_can_be_loaded_twice_in_one_process(exec_app: ExecApp, tmp_path: Path) -> None:
    # given
    second = ExecApp()
    second._link_jupyter_server_extension(exec_app.serverapp)
    second.initialize()
    # when
    await second._start_jupyter_server_extension(exec_app.serverapp)
    # then
    await second.ready()
    await second.stop_extension()
    await exec_app.ready()


async def test_what_happens_counts_as_activity(
    rest: Callable[..., Any], jp_serverapp: ServerApp, exec_app: ExecApp
) -> None:
    # given
    before = utcnow()
    assert exec_app.current_activity() is None
    # when
    body = {"code": "import time; time.sleep(1)", "language": "python"}
    execution = read(await rest("POST", "executions", body), 201)
    # then
    assert exec_app.current_activity() == 1
    assert jp_serverapp.extension_manager.any_activity()
    await exec_app.manager.wait(execution["id"], 20)
    assert jp_serverapp.web_app.settings[LAST_ACTIVITY] > before
    assert jp_serverapp.web_app.last_activity() >= jp_serverapp.web_app.settings[LAST_ACTIVITY]
    assert exec_app.current_activity() is None


# -- start and stop ------------------------------------------------------------------------------


async def test_what_cannot_start_answers_503_and_says_why(
    jp_serverapp: ServerApp, jp_fetch: Callable[..., Any], jp_runtime_dir: Path
) -> None:
    # given: a file where the leases should be
    jp_runtime_dir.joinpath("jupyter_exec_ext").write_text("in the way")
    await jp_serverapp.extension_manager.start_all_extensions()
    # when
    response = await jp_fetch("api/exec/environments", raise_error=False)
    # then
    assert response.headers["Retry-After"] == "5"
    assert read(response, 503)["reason"] == "unavailable"
    assert "jupyter_exec_ext" in read(response, 503)["message"]
    assert (await jp_fetch("api/status")).code == 200


async def test_after_the_stop_nothing_is_accepted(rest: Callable[..., Any], exec_app: ExecApp) -> None:
    # when
    await exec_app.stop_extension()
    await exec_app.stop_extension()
    # then
    assert read(await rest("POST", "executions", CODE), 503)["reason"] == "unavailable"
    with pytest.raises(Unavailable):
        await exec_app.ready()


def test_sigterm_stops_the_extension_and_leaves_nothing(live_server: Callable[..., Any]) -> None:
    # given: something runs, something waits, somebody listens
    server = live_server()
    code = "import time\nprint('begun', flush=True)\ntime.sleep(600)"
    session = server.call("POST", "sessions", {"environment": "local"})["id"]
    body = {"session": session, "code": code, "language": "python"}
    running = server.call("POST", "executions?wait=2", body)
    queued = server.call("POST", "executions", body)
    assert (running["status"], running["output"]) == ("running", "begun\n")
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert children
    # when
    began = time.monotonic()
    log = server.stop(signal.SIGTERM)
    # then
    assert time.monotonic() - began < 10
    assert "Stopping jupyter_exec_ext" in log
    assert "Traceback" not in log
    _, alive = psutil.wait_procs(children, timeout=2)
    assert alive == []
    assert list((server.home / "runtime" / "jupyter_exec_ext").iterdir()) == []
    # when: it is started again
    again = live_server()
    # then
    for execution, output in ((running, "begun\n"), (queued, "")):
        record = again.call("GET", f"executions/{execution['id']}")
        assert (record["status"], record["output"]) == ("lost", output)
        assert "stopped" in record["verdict"]["cause"]


def test_sigkill_loses_no_output_that_was_flushed(live_server: Callable[..., Any]) -> None:
    # given
    server = live_server()
    code = "# filename: kept.py\nimport time\nprint('begun', flush=True)\ntime.sleep(600)"
    running = server.call("POST", "executions?wait=2", {"code": code, "language": "python"})
    assert [Path(file).name for file in running["code_files"]] == ["kept.py"]
    children = psutil.Process(server.process.pid).children(recursive=True)
    # when
    server.stop(signal.SIGKILL)
    # then
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    again = live_server()
    record = again.call("GET", f"executions/{running['id']}")
    assert (record["status"], record["output"]) == ("lost", "begun\n")
    assert record["code_files"] == running["code_files"]
    assert record["verdict"]["cause"]
    again.stop()
    assert record["status"] in ENDED


def test_the_parts_are_configured_on_the_command_line(live_server: Callable[..., Any]) -> None:
    # given
    server = live_server("--ExecutionManager.default_timeout=0.5", "--ExecApp.max_wait_seconds=30")
    # when
    execution = server.call("POST", "executions?wait=20", {"code": "import time; time.sleep(9)"})
    # then
    assert (execution["status"], execution["exit_code"]) == ("timeout", 124)
    server.stop()
