"""Executions over HTTP: run, wait, look, cancel, answer, forget."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from answers import read
from streams import SLEEP, following, until_ended

from jupyter_exec_ext.app import ExecApp
from jupyter_exec_ext.models import Execution

# -- run and wait --------------------------------------------------------------------------------


async def test_a_block_runs_and_the_answer_has_all_of_it(rest: Callable[..., Any], jp_base_url: str) -> None:
    # when
    response = await rest("POST", "executions", {"code": "print('héllo')", "language": "python"}, wait=20)
    # then
    execution = read(response, 201)
    assert set(execution) == set(Execution.model_fields)
    assert (execution["status"], execution["exit_code"]) == ("ok", 0)
    assert execution["output"] == "héllo\n"
    assert execution["outputs"] == [{"output_type": "stream", "name": "stdout", "text": "héllo\n"}]
    assert execution["code_blocks"] == [{"code": "print('héllo')", "language": "python"}]
    assert response.headers["Location"] == f"{jp_base_url}api/exec/executions/{execution['id']}"
    assert response.headers["Cache-Control"] == "no-store"


async def test_the_location_leads_to_the_execution(
    rest: Callable[..., Any], http_server_client: Any, jp_auth_header: dict[str, str]
) -> None:
    # given
    response = await rest("POST", "executions", {"code": "print(1)"}, wait=20)
    # when
    there = await http_server_client.fetch(response.headers["Location"], headers=jp_auth_header)
    # then
    assert json.loads(there.body) == read(response, 201)


async def test_blocks_of_markdown_run_in_order(rest: Callable[..., Any]) -> None:
    # given
    markdown = "First\n```bash\necho one\n```\nthen\n```python\nprint('two')\n```\n"
    # when
    execution = read(await rest("POST", "executions", {"markdown": markdown}, wait=20), 201)
    # then
    assert execution["output"] == "one\ntwo\n"
    assert [block["language"] for block in execution["code_blocks"]] == ["bash", "python"]


async def test_without_wait_the_answer_comes_at_once(rest: Callable[..., Any]) -> None:
    # when
    execution = read(await rest("POST", "executions", SLEEP), 201)
    # then
    assert execution["status"] in ("queued", "running")
    read(await rest("POST", f"executions/{execution['id']}/cancel"))
    await until_ended(rest, execution["id"])


async def test_when_the_wait_is_over_the_answer_is_what_there_is(rest: Callable[..., Any]) -> None:
    # when
    execution = read(await rest("POST", "executions", SLEEP, wait=1.5), 201)
    # then
    assert execution["status"] == "running"
    assert execution["output"] == "begun\n"
    read(await rest("POST", f"executions/{execution['id']}/cancel"))
    await until_ended(rest, execution["id"])


async def test_a_client_that_leaves_while_it_waits_ends_nothing(
    rest: Callable[..., Any], exec_app: ExecApp
) -> None:
    # given
    server = exec_app.serverapp
    body = json.dumps({"code": "import time\ntime.sleep(1)\nprint('done')", "language": "python"})
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        f"POST {server.base_url}api/exec/executions?wait=60 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: token {server.identity_provider.token}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    while not (listed := read(await rest("GET", "executions"))["executions"]):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    # when
    writer.close()
    # then
    execution = await until_ended(rest, listed[0]["id"])
    assert (execution["status"], execution["output"]) == ("ok", "done\n")


async def test_the_same_key_runs_once(rest: Callable[..., Any]) -> None:
    # given
    body = {"code": "print(1)", "idempotency_key": "k"}
    # when
    first, second = [read(await rest("POST", "executions", body, wait=20), 201) for _ in range(2)]
    other = await rest("POST", "executions", {**body, "code": "print(2)"})
    # then
    assert first["id"] == second["id"]
    assert read(other, 409)["reason"] == "conflict"
    assert read(other, 409)["field"] == "idempotency_key"
    assert len(read(await rest("GET", "executions"))["executions"]) == 1


async def test_the_same_key_finds_its_execution_when_the_session_is_gone(rest: Callable[..., Any]) -> None:
    # given
    session = read(await rest("POST", "sessions", {"environment": "local"}), 201)["id"]
    body = {"session": session, "code": "print(1)", "language": "python", "idempotency_key": "k"}
    first = read(await rest("POST", "executions", body, wait=20), 201)
    assert (await rest("DELETE", f"sessions/{session}")).code == 204
    # when
    again = read(await rest("POST", "executions", body), 201)
    other = await rest("POST", "executions", {**body, "idempotency_key": "other"})
    # then
    assert (again["id"], again["output"]) == (first["id"], "1\n")
    assert read(other, 404)["reason"] == "not_found"


async def test_a_key_is_free_when_its_environment_was_not_ready(
    rest: Callable[..., Any], exec_app: ExecApp
) -> None:
    # given
    venv = {"kind": "venv", "name": "venv:slow", "requirements": ""}
    read(await rest("POST", "environments", venv), 201)
    body = {"environment": "venv:slow", "code": "print(1)", "language": "python", "idempotency_key": "k"}
    early = read(await rest("POST", "executions", body, wait=20), 201)
    assert (early["status"], "prepar" in early["verdict"]["cause"]) == ("env_error", True)
    # when
    for _ in range(600):
        if read(await rest("GET", "environments/venv:slow"))["status"] != "preparing":
            break
        await asyncio.sleep(0.1)
    late = read(await rest("POST", "executions", body, wait=20), 201)
    # then
    assert (late["status"], late["output"]) == ("ok", "1\n")
    assert read(await rest("POST", "executions", body), 201)["id"] == late["id"]


async def test_what_the_queue_does_not_hold_is_429_and_the_rest_finishes(
    rest: Callable[..., Any], exec_app: ExecApp
) -> None:
    # given
    exec_app.manager.max_queued = 2
    session = read(await rest("POST", "sessions", {"environment": "local"}), 201)["id"]
    body = {"session": session, "code": "import time; time.sleep(0.3)", "language": "python"}
    # when
    answers = [await rest("POST", "executions", body) for _ in range(6)]
    # then
    codes = [answer.code for answer in answers]
    assert codes == [201] * 3 + [429] * 3
    assert read(answers[-1], 429)["reason"] == "queue_full"
    for answer in answers[:3]:
        assert (await until_ended(rest, json.loads(answer.body)["id"]))["status"] == "ok"


# -- list, cancel, input, forget -----------------------------------------------------------------


async def test_the_list_is_newest_first_filtered_and_paged(rest: Callable[..., Any]) -> None:
    # given
    codes = ["print(1)", "raise SystemExit(3)", "print(3)"]
    ids = [read(await rest("POST", "executions", {"code": code}, wait=20), 201)["id"] for code in codes]
    # when
    everything = read(await rest("GET", "executions"))["executions"]
    failed = read(await rest("GET", "executions", status="failed"))["executions"]
    page = read(await rest("GET", "executions", limit=1, before=ids[2]))["executions"]
    elsewhere = read(await rest("GET", "executions", environment="venv:other"))["executions"]
    # then
    assert [one["id"] for one in everything] == ids[::-1]
    assert {one["output"] for one in everything} == {None}
    assert [one["id"] for one in failed] == [ids[1]]
    assert [one["id"] for one in page] == [ids[1]]
    assert elsewhere == []


async def test_cancel_ends_it_once(rest: Callable[..., Any]) -> None:
    # given
    execution = read(await rest("POST", "executions", SLEEP, wait=1), 201)
    path = f"executions/{execution['id']}"
    # when
    first = await rest("POST", f"{path}/cancel")
    ended = await until_ended(rest, execution["id"])
    late = await rest("POST", f"{path}/cancel")
    # then
    assert read(first)["id"] == execution["id"]
    assert (ended["status"], ended["exit_code"]) == ("cancelled", 130)
    assert ended["output"].startswith("begun\n")
    assert read(late, 409)["reason"] == "conflict"


async def test_input_is_answered(rest: Callable[..., Any], exec_app: ExecApp) -> None:
    # given
    body = {"code": "print('got', input('name? '))", "language": "python", "allow_stdin": True}
    execution = read(await rest("POST", "executions", body), 201)
    path = f"executions/{execution['id']}"
    async with following(exec_app, f"{path}/events") as reader:
        await reader.until(b"event: input_request\n")
    # when
    answer = await rest("POST", f"{path}/input", {"value": "Ada"})
    # then
    assert answer.code == 204
    assert (await until_ended(rest, execution["id"]))["output"].endswith("got Ada\n")
    assert read(await rest("POST", f"{path}/input", {"value": "late"}), 409)["reason"] == "conflict"


async def test_only_what_has_ended_is_forgotten(rest: Callable[..., Any]) -> None:
    # given
    execution = read(await rest("POST", "executions", SLEEP), 201)
    path = f"executions/{execution['id']}"
    # when
    early = await rest("DELETE", path)
    await rest("POST", f"{path}/cancel")
    await until_ended(rest, execution["id"])
    late = await rest("DELETE", path)
    # then
    assert read(early, 409)["reason"] == "conflict"
    assert late.code == 204
    assert (await rest("GET", path)).code == 404
