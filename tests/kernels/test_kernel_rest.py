"""Kernels through REST: environments, sessions, executions; the server's own kernel manager runs them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_exec_ext.app import ExecApp

Rest = Callable[..., Any]
KERNEL = "kernel:python3"


@pytest.fixture
def jp_server_config(jp_server_config: dict[str, Any]) -> dict[str, Any]:
    """No kernels ahead, so that those that are there can be counted; test_pool_rest.py has them."""
    return {**jp_server_config, "KernelPool": {"ready_per_environment": 0}}


async def ask(rest: Rest, verb: str, path: str, body: Any = None, **options: Any) -> Any:
    response = await rest(verb, path, body, **options)
    assert response.code < 300, response.body
    return json.loads(response.body) if response.body else None


async def run(rest: Rest, code: str, **fields: Any) -> Any:
    fields = fields if "session" in fields else {"environment": KERNEL, **fields}
    return await ask(rest, "POST", "executions", {"code": code, **fields}, wait=30)


async def test_every_kernelspec_is_an_environment(rest: Rest) -> None:
    listed = (await ask(rest, "GET", "environments"))["environments"]

    (kernel,) = [one for one in listed if one["name"] == KERNEL]
    assert kernel["kind"] == "kernel"
    assert kernel["stateful"]
    assert kernel["display_name"].startswith("Python 3")
    assert kernel["languages"][0] == "python"
    assert kernel["spec"]["icon"] == "kernelspecs/python3/logo-svg.svg"


async def test_a_session_keeps_its_variables_and_is_an_ordinary_kernel(rest: Rest, exec_app: ExecApp) -> None:
    session = await ask(rest, "POST", "sessions", {"environment": KERNEL})

    assert (await run(rest, "x = 6", session=session["id"]))["status"] == "ok"
    assert (await run(rest, "x * 7", session=session["id"]))["output"] == "42\n"

    server = exec_app.serverapp
    kernels = [kernel["id"] for kernel in server.kernel_manager.list_kernels()]
    assert kernels == [session["kernel_id"]]
    listed = await server.session_manager.list_sessions()
    assert [one["kernel"]["id"] for one in listed] == kernels

    await ask(rest, "DELETE", f"sessions/{session['id']}")
    assert server.kernel_manager.list_kernels() == []
    assert await server.session_manager.list_sessions() == []


async def test_an_execution_without_a_session_leaves_no_kernel(rest: Rest, exec_app: ExecApp) -> None:
    result = await run(rest, "print('once')\n1/0")

    assert (result["status"], result["exit_code"]) == ("failed", 1)
    assert result["output"].startswith("once\n---")
    assert result["verdict"]["cause"] == "It ended with ZeroDivisionError: division by zero."
    for _ in range(50):
        if not exec_app.serverapp.kernel_manager.list_kernels():
            break
        await asyncio.sleep(0.1)
    assert exec_app.serverapp.kernel_manager.list_kernels() == []


async def test_rich_output_is_in_the_events_and_the_record(rest: Rest) -> None:
    code = "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'), display_id='a')\n6 * 7"
    result = await run(rest, code)

    assert [output["output_type"] for output in result["outputs"]] == ["display_data", "execute_result"]
    assert result["outputs"][0]["data"]["text/html"] == "<b>x</b>"
    assert "transient" not in result["outputs"][0]
    events = (await rest("GET", f"executions/{result['id']}/events")).body.decode()
    assert '"transient":{"display_id":"a"}' in events


async def test_a_kernel_of_the_users_can_be_attached_to_and_lives_on(rest: Rest, exec_app: ExecApp) -> None:
    manager = exec_app.serverapp.kernel_manager
    kernel_id = await manager.start_kernel(kernel_name="python3")
    session = await ask(rest, "POST", "sessions", {"environment": KERNEL, "kernel_id": kernel_id})

    assert session["kernel_id"] == kernel_id
    assert (await run(rest, "x = 1; x", session=session["id"]))["output"] == "1\n"
    await ask(rest, "DELETE", f"sessions/{session['id']}")

    assert kernel_id in manager


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"environment": KERNEL, "kernel_id": "nobody"}, 400),
        ({"environment": "local", "kernel_id": "x"}, 400),
        ({"kernel_id": "x"}, 400),
        ({"environment": KERNEL, "kernel_id": ""}, 400),
        ({"environment": "kernel:nowhere"}, 422),
    ],
)
async def test_a_kernel_that_cannot_be_is_refused(rest: Rest, body: dict[str, Any], code: int) -> None:
    response = await rest("POST", "sessions", body)

    assert response.code == code
    assert json.loads(response.body)["field"] == ("environment" if code == 422 else "kernel_id")


async def test_variables_and_languages_a_kernel_cannot_have_are_refused_before_it_starts(rest: Rest) -> None:
    refused = await rest("POST", "executions", {"code": "1", "environment": KERNEL, "env": {"A": "1"}})
    assert (refused.code, json.loads(refused.body)["field"]) == (400, "env")

    refused = await rest("POST", "executions", {"code": "1", "environment": KERNEL, "language": "julia"})
    assert (refused.code, json.loads(refused.body)["field"]) == (422, "language")


async def test_input_is_asked_for_and_answered_through_rest(rest: Rest) -> None:
    body = {"code": "print('hi', input('name? '))", "environment": KERNEL, "allow_stdin": True}
    execution = await ask(rest, "POST", "executions", body)
    for _ in range(100):
        answered = await rest("POST", f"executions/{execution['id']}/input", {"value": "Ada"})
        if answered.code < 300:
            break
        await asyncio.sleep(0.1)
    for _ in range(100):
        result = await ask(rest, "GET", f"executions/{execution['id']}")
        if result["finished_at"]:
            break
        await asyncio.sleep(0.1)
    assert (result["status"], result["output"]) == ("ok", "hi Ada\n")


async def test_cancel_and_restart_of_a_session_in_a_kernel(rest: Rest) -> None:
    session = (await ask(rest, "POST", "sessions", {"environment": KERNEL}))["id"]
    await run(rest, "x = 1", session=session)
    body = {"code": "import time; time.sleep(60)", "session": session}
    execution = await ask(rest, "POST", "executions", body, wait=1)

    await ask(rest, "POST", f"executions/{execution['id']}/cancel")
    for _ in range(100):
        result = await ask(rest, "GET", f"executions/{execution['id']}")
        if result["finished_at"]:
            break
        await asyncio.sleep(0.1)

    assert (result["status"], result["exit_code"]) == ("cancelled", 130)
    assert result["verdict"]["state_kept"]
    assert (await run(rest, "x", session=session))["output"] == "1\n"
    await ask(rest, "POST", f"sessions/{session}/restart")
    assert (await run(rest, "'x' in globals()", session=session))["output"] == "False\n"


async def test_what_waits_for_a_kernel_that_ignores_interrupts_runs_in_the_restarted_one(rest: Rest) -> None:
    session = (await ask(rest, "POST", "sessions", {"environment": KERNEL}))["id"]
    deaf = "import signal, time\nx = 1\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(600)"
    first = await ask(rest, "POST", "executions", {"code": deaf, "session": session, "timeout": 1})
    second = await run(rest, "'x' in globals()", session=session)
    first = await ask(rest, "GET", f"executions/{first['id']}")

    assert (first["status"], first["verdict"]["state_kept"]) == ("timeout", False)
    assert (second["status"], second["output"]) == ("ok", "False\n")
    events = (await rest("GET", f"executions/{second['id']}/events")).body.decode()
    assert events.index('"queued"') < events.index('"running"')


async def test_the_servers_stop_leaves_no_kernel(rest: Rest, exec_app: ExecApp) -> None:
    await ask(rest, "POST", "sessions", {"environment": KERNEL})
    body = {"code": "import time; time.sleep(60)", "environment": KERNEL}
    await ask(rest, "POST", "executions", body, wait=2)

    await exec_app.stop_extension()

    assert exec_app.serverapp.kernel_manager.list_kernels() == []
