"""Sessions and environments over HTTP."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.app import ExecApp
from jupyter_exec_ext.models import Environment, Session


def read(response: Any, status: int = 200) -> Any:
    """The JSON of an answer that has that status."""
    assert response.code == status, response.body
    return json.loads(response.body)


async def test_a_session_lives_from_post_to_delete(
    rest: Callable[..., Any], jp_base_url: str, jp_root_dir: Path
) -> None:
    # given
    (jp_root_dir / "sub").mkdir()
    # when
    response = await rest("POST", "sessions", {"environment": "local", "path": "sub", "name": "mine"})
    # then
    session = read(response, 201)
    assert set(session) == set(Session.model_fields)
    assert (session["environment"], session["name"], session["path"]) == ("local", "mine", "sub")
    assert response.headers["Location"] == f"{jp_base_url}api/exec/sessions/{session['id']}"
    assert [one["id"] for one in read(await rest("GET", "sessions"))["sessions"]] == [session["id"]]
    assert read(await rest("GET", f"sessions/{session['id']}"))["status"] == "idle"
    # when
    body = {"session": session["id"], "code": "import os; print(os.getcwd())", "language": "python"}
    execution = read(await rest("POST", "executions", body, wait=20), 201)
    # then
    assert execution["output"] == f"{jp_root_dir / 'sub'}\n"
    assert execution["session"] == session["id"]
    # when
    deleted = await rest("DELETE", f"sessions/{session['id']}")
    # then
    assert (deleted.code, deleted.body) == (204, b"")
    assert (await rest("GET", f"sessions/{session['id']}")).code == 404
    assert (await rest("DELETE", f"sessions/{session['id']}")).code == 404


async def test_a_session_is_interrupted_and_restarted(rest: Callable[..., Any]) -> None:
    # given
    session = read(await rest("POST", "sessions", {"environment": "local"}), 201)["id"]
    code = "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('interrupted')"
    body = {"session": session, "code": code, "language": "python"}
    execution = read(await rest("POST", "executions", body, wait=1), 201)
    # when
    interrupted = await rest("POST", f"sessions/{session}/interrupt")
    restarted = await rest("POST", f"sessions/{session}/restart")
    # then
    assert interrupted.code == 204
    assert read(restarted)["id"] == session
    again = read(await rest("POST", "executions", {**body, "code": "print(1)"}, wait=20), 201)
    assert again["output"] == "1\n"
    assert read(await rest("GET", f"executions/{execution['id']}"))["finished_at"]


async def test_a_restart_of_the_session_of_one_execution_is_refused_and_it_runs_on(
    rest: Callable[..., Any],
) -> None:
    # given
    body = {"code": "import time\nprint(1)\ntime.sleep(60)", "language": "python"}
    execution = read(await rest("POST", "executions", body, wait=1), 201)
    (session,) = read(await rest("GET", "sessions"))["sessions"]
    # when
    restarted = await rest("POST", f"sessions/{session['id']}/restart")
    # then
    assert restarted.code == 409
    assert json.loads(restarted.body)["reason"] == "conflict"
    assert "cancel the execution" in json.loads(restarted.body)["message"]
    assert read(await rest("GET", f"sessions/{session['id']}"))["status"] == "busy"
    assert read(await rest("GET", f"executions/{execution['id']}"))["status"] == "running"
    read(await rest("POST", f"executions/{execution['id']}/cancel"))


async def test_the_local_environment_is_listed_and_stays(rest: Callable[..., Any]) -> None:
    # when
    environments = read(await rest("GET", "environments"))["environments"]
    # then
    (local,) = [one for one in environments if one["name"] == "local"]
    assert set(local) == set(Environment.model_fields)
    assert (local["kind"], local["status"], local["default"], local["isolation"]) == (
        "local",
        "ready",
        True,
        "none",
    )
    assert {"python", "bash"} <= set(local["languages"])
    assert read(await rest("GET", "environments/local")) == local
    assert read(await rest("DELETE", "environments/local"), 409)["reason"] == "conflict"


async def test_a_folder_whose_name_is_not_utf_8_does_not_break_the_list(
    rest: Callable[..., Any], jp_root_dir: Path
) -> None:
    # given
    bad = Path(os.fsdecode(os.fsencode(jp_root_dir) + b"/\xff\xfebad")) / ".venv"
    bad.mkdir(parents=True)
    (bad / "pyvenv.cfg").write_text("version = 3.12.1\n")
    # when
    environments = read(await rest("GET", "environments"))["environments"]
    # then
    (found,) = [one for one in environments if one["name"] == "venv:bad"]
    assert (found["status"], found["display_name"]) == ("unavailable", "\ufffd\ufffdbad")
    assert "bad/.venv" in found["reason"]
    assert read(await rest("GET", "environments/venv:bad")) == found


async def test_a_row_that_has_no_json_is_left_out_and_logged(
    rest: Callable[..., Any],
    exec_app: ExecApp,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # given
    rows = [Environment(name=f"venv:{name}", kind="venv", display_name=name) for name in ("a", "\udcff", "b")]
    monkeypatch.setattr(exec_app.registry, "list", lambda: rows)
    # when
    environments = read(await rest("GET", "environments"))["environments"]
    # then
    assert [one["name"] for one in environments] == ["venv:a", "venv:b"]
    assert "'venv:\\udcff' of the environments cannot be shown" in caplog.text


async def test_an_environment_is_made_followed_used_and_removed(
    rest: Callable[..., Any], jp_base_url: str
) -> None:
    # given
    request = {"kind": "venv", "name": "venv:mine", "display_name": "Mine"}
    # when
    response = await rest("POST", "environments", request)
    # then
    environment = read(response, 201)
    assert (environment["name"], environment["status"]) == ("venv:mine", "preparing")
    assert response.headers["Location"] == f"{jp_base_url}api/exec/environments/venv%3Amine"
    assert read(await rest("POST", "environments", request), 409)["field"] == "name"
    # when
    stream = (await rest("GET", "environments/venv:mine/events")).body.decode()
    # then
    kinds = [line[7:] for line in stream.splitlines() if line.startswith("event: ")]
    numbers = [int(line[4:]) for line in stream.splitlines() if line.startswith("id: ")]
    assert set(kinds) <= {"progress", "status", "stream"}
    assert kinds[-1] == "status"
    assert numbers == list(range(1, len(numbers) + 1))
    assert read(await rest("GET", "environments/venv:mine"))["status"] == "ready"
    # when
    body = {"environment": "venv:mine", "code": "import sys; print(sys.prefix)", "language": "python"}
    execution = read(await rest("POST", "executions", body, wait=60), 201)
    # then
    assert "mine" in execution["output"]
    # when
    session = read(await rest("POST", "sessions", {"environment": "venv:mine"}), 201)["id"]
    # then
    assert read(await rest("DELETE", "environments/venv:mine"), 409)["reason"] == "conflict"
    await rest("DELETE", f"sessions/{session}")
    await rest("POST", "executions", body, wait=60)  # the session made for it is still closing
    assert (await rest("DELETE", "environments/venv:mine")).code == 204
    assert (await rest("GET", "environments/venv:mine")).code == 404
