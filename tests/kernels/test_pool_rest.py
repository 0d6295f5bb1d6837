"""The pool in a server: what REST, the list of sessions and the metrics show of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.app import ExecApp

Rest = Callable[..., Any]
KERNEL = "kernel:python3"


@pytest.fixture
def jp_server_config(jp_server_config: dict[str, Any]) -> dict[str, Any]:
    """One kernel is made ready with the server's start."""
    return {**jp_server_config, "KernelPool": {"start_at_once": ["python3", "nowhere"]}}


async def ask(rest: Rest, verb: str, path: str, body: Any = None, **options: Any) -> Any:
    response = await rest(verb, path, body, **options)
    assert response.code < 300, response.body
    return json.loads(response.body) if response.body else None


async def ready(exec_app: ExecApp, gone: str = "") -> str:
    """Wait for the one kernel that is ready, and nothing else; not the one of that identifier."""
    manager = exec_app.serverapp.kernel_manager
    for _ in range(300):
        ids = manager.list_kernel_ids()
        if exec_app.pool.ready.get(KERNEL) == 1 and len(ids) == 1 and ids != [gone]:
            return str(ids[0])
        await asyncio.sleep(0.1)
    raise AssertionError(f"{exec_app.pool.ready} of {manager.list_kernel_ids()}")


async def test_an_execution_without_a_session_runs_in_the_ready_kernel_and_another_one_follows(
    rest: Rest, exec_app: ExecApp, jp_fetch: Any
) -> None:
    first = await ready(exec_app)
    assert await exec_app.serverapp.session_manager.list_sessions() == []

    result = await ask(rest, "POST", "executions", {"code": "6 * 7", "environment": KERNEL}, wait=30)

    assert (result["status"], result["outputs"][0]["execution_count"]) == ("ok", 1)
    second = await ready(exec_app, gone=first)
    assert second != first
    assert await exec_app.serverapp.session_manager.list_sessions() == []
    metrics = (await jp_fetch("metrics")).body.decode()
    assert f'jupyter_exec_kernels_ready{{environment="{KERNEL}"}} 1.0' in metrics


async def test_a_session_takes_the_ready_kernel_into_its_folder_and_is_listed(
    rest: Rest, exec_app: ExecApp, jp_root_dir: Path
) -> None:
    first = await ready(exec_app)
    (jp_root_dir / "project").mkdir()

    session = await ask(rest, "POST", "sessions", {"environment": KERNEL, "path": "project"})

    assert session["kernel_id"] == first
    (listed,) = await exec_app.serverapp.session_manager.list_sessions()
    assert listed["kernel"]["id"] == first
    assert listed["name"].startswith("Python 3")
    code = {"code": "import os; print(os.getcwd())", "session": session["id"]}
    for _ in range(2):
        result = await ask(rest, "POST", "executions", code, wait=30)
        assert result["output"].strip() == str((jp_root_dir / "project").resolve())
        await ask(rest, "POST", f"sessions/{session['id']}/restart")


async def by_session(jp_fetch: Any, jp_ws_fetch: Any, kernel_id: str) -> Any:
    """Begin a notebook with that kernel, as JupyterLab does."""
    body = {"path": "a.ipynb", "name": "a", "type": "notebook", "kernel": {"id": kernel_id}}
    return await jp_fetch("api", "sessions", method="POST", body=json.dumps(body))


async def by_websocket(jp_fetch: Any, jp_ws_fetch: Any, kernel_id: str) -> Any:
    """Connect to it, and do nothing else."""
    return await jp_ws_fetch("api", "kernels", kernel_id, "channels")


@pytest.mark.parametrize("use", [by_session, by_websocket])
async def test_a_ready_kernel_that_somebody_uses_is_left_to_them(
    rest: Rest, exec_app: ExecApp, jp_fetch: Any, jp_ws_fetch: Any, use: Any
) -> None:
    # given
    theirs = await ready(exec_app)
    used = await use(jp_fetch, jp_ws_fetch, theirs)
    # when
    session = await ask(rest, "POST", "sessions", {"environment": KERNEL})
    await ask(rest, "DELETE", f"sessions/{session['id']}")
    # then
    assert session["kernel_id"] != theirs
    assert theirs in exec_app.serverapp.kernel_manager
    assert used is not None


async def test_the_servers_stop_leaves_no_ready_kernel(rest: Rest, exec_app: ExecApp) -> None:
    await ready(exec_app)
    await exec_app.stop_extension()
    assert exec_app.serverapp.kernel_manager.list_kernel_ids() == []
