"""Kernels behind a real jupyter_kernel_gateway, through REST of a real server with ``--gateway-url``."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from harness.gateway import Gateway
from harness.server import LiveServer

KERNEL = "kernel:python3"
SLEEP = "import time\nprint('on', flush=True)\ntime.sleep(60)"
SWALLOW = "import time\nwhile True:\n    try: time.sleep(10)\n    except KeyboardInterrupt: pass"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all tests of this module."""
    made = Gateway(tmp_path_factory.mktemp("gateway"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def server(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server whose kernels are the gateway's."""
    made = LiveServer(tmp_path_factory.mktemp("server"), f"--gateway-url={gateway.url}")
    kernels_of(made)
    yield made
    log = made.stop()
    assert "Traceback" not in log, log


@pytest.fixture
def session(server: LiveServer) -> Iterator[str]:
    """A session of its own."""
    made = server.call("POST", "sessions", {"environment": KERNEL})["id"]
    yield made
    server.call("DELETE", f"sessions/{made}")


def kernels_of(server: LiveServer, seconds: float = 10) -> dict[str, Any]:
    """The kernels' environments, once there are some."""
    for _ in range(int(seconds * 10)):
        listed = server.call("GET", "environments")["environments"]
        if found := {one["name"]: one for one in listed if one["kind"] == "kernel"}:
            return found
        time.sleep(0.1)
    return {}


def run(server: LiveServer, code: str, wait: float = 40, **fields: Any) -> Any:
    fields = fields if "session" in fields else {"environment": KERNEL, **fields}
    return server.call("POST", f"executions?wait={wait}", {"code": code, **fields})


def begin(server: LiveServer, code: str = SLEEP, **fields: Any) -> Any:
    """Run, and return once it has printed."""
    execution = run(server, code, 0, **fields)
    while not execution["output"] and not execution["finished_at"]:
        time.sleep(0.05)
        execution = server.call("GET", f"executions/{execution['id']}")
    return execution


def ended(server: LiveServer, execution: Any, seconds: float = 5) -> Any:
    """The execution, which has to end in that time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (now := server.call("GET", f"executions/{execution['id']}"))["finished_at"]:
            return now
        time.sleep(0.05)
    raise AssertionError(f"not ended within {seconds} s: {now}")


def kernel_of(server: LiveServer, session: str) -> str:
    return str(server.call("GET", f"sessions/{session}")["kernel_id"])


def told(execution: Any) -> tuple[Any, ...]:
    return execution["status"], execution["exit_code"], execution["output"]


def test_the_gateways_kernelspecs_are_environments_with_their_icons(server: LiveServer) -> None:
    found = kernels_of(server)

    assert {KERNEL, "kernel:faulty"} <= found.keys()
    assert found[KERNEL]["display_name"].startswith("Python 3")
    assert (found[KERNEL]["status"], found[KERNEL]["spec"]["origin"]) == ("ready", "gateway")
    assert found[KERNEL]["spec"]["note"].startswith("It runs in a gateway")
    assert found["kernel:faulty"]["languages"] == ["faults"]
    icon = found[KERNEL]["spec"]["icon"]
    assert icon == "kernelspecs/python3/logo-svg.svg"
    with urllib.request.urlopen(f"{server.url}{icon}?token={server.token}", timeout=10) as logo:
        assert b"<svg" in logo.read()


def test_a_session_keeps_its_variables_and_its_kernel_is_the_gateways(
    server: LiveServer, gateway: Gateway
) -> None:
    session = server.call("POST", "sessions", {"environment": KERNEL})

    assert told(run(server, "x = 6", session=session["id"])) == ("ok", 0, "")
    assert told(run(server, "x * 7", session=session["id"])) == ("ok", 0, "42\n")
    assert session["kernel_id"] in gateway.kernels

    server.call("DELETE", f"sessions/{session['id']}")
    assert session["kernel_id"] not in gateway.kernels


def test_rich_output_errors_and_a_large_display_come_through(server: LiveServer, session: str) -> None:
    rich = run(server, "from IPython.display import *\ndisplay(HTML('<b>x</b>'))\n1", session=session)
    error = run(server, "print('before')\n1/0", session=session)
    large = run(server, "HTML('x' * 20_000_000)", session=session)

    assert [output["output_type"] for output in rich["outputs"]] == ["display_data", "execute_result"]
    assert rich["outputs"][0]["data"]["text/html"] == "<b>x</b>"
    assert (error["status"], error["exit_code"]) == ("failed", 1)
    assert error["output"].startswith("before\n---")
    assert error["outputs"][-1]["ename"] == "ZeroDivisionError"
    assert "text/html of 20,000,002 bytes" in large["output"]


def test_what_the_gateway_drops_of_a_flood_is_told(server: LiveServer, session: str) -> None:
    flood = "for _ in range(400): print('x' * 50_000, flush=True)"
    dropped = run(server, flood, session=session)
    assert "IOPub data rate exceeded" in dropped["output"]
    assert (dropped["status"], dropped["truncated"]) == ("ok", True)
    assert dropped["verdict"]["limits_hit"] == ["output"]
    whole = run(server, "print('IOPub message rate exceeded.')", session=session)
    assert whole["status"] == "ok"


def test_input_is_asked_for_and_answered(server: LiveServer, session: str) -> None:
    execution = run(server, "print('hi', input('name? '))", 0, session=session, allow_stdin=True)
    for _ in range(100):
        try:
            server.call("POST", f"executions/{execution['id']}/input", {"value": "Ada"})
            break
        except urllib.error.HTTPError as refused:
            refused.close()
            time.sleep(0.1)
    assert told(ended(server, execution)) == ("ok", 0, "hi Ada\n")
    assert "StdinNotImplementedError" in run(server, "input()", session=session)["output"]


def test_the_timeout_interrupts_and_the_state_is_kept(server: LiveServer, session: str) -> None:
    run(server, "x = 1", session=session)

    result = run(server, SLEEP, session=session, timeout=1)

    assert (result["status"], result["exit_code"]) == ("timeout", 124)
    assert result["output"].startswith("on\n")
    assert result["verdict"]["wall_seconds"] < 3
    assert result["verdict"]["state_kept"]
    assert told(run(server, "x", session=session)) == ("ok", 0, "1\n")


def test_a_kernel_that_ignores_interrupts_is_restarted(server: LiveServer, session: str) -> None:
    run(server, "x = 1", session=session)

    result = run(server, SWALLOW, session=session, timeout=1)

    assert (result["status"], result["exit_code"]) == ("timeout", 124)
    assert result["verdict"]["wall_seconds"] < 1 + 5
    assert "did not react to the interrupt" in result["verdict"]["cause"]
    assert not result["verdict"]["state_kept"]
    assert told(run(server, "'x' in globals()", session=session)) == ("ok", 0, "False\n")


def test_cancel_interrupts_and_the_state_is_kept(server: LiveServer, session: str) -> None:
    run(server, "x = 1", session=session)
    execution = begin(server, session=session)

    server.call("POST", f"executions/{execution['id']}/cancel")

    result = ended(server, execution)
    assert (result["status"], result["exit_code"]) == ("cancelled", 130)
    assert told(run(server, "x", session=session)) == ("ok", 0, "1\n")


def test_a_kernel_that_dies_is_said_and_started_again(server: LiveServer, session: str) -> None:
    code = "import os, time\nprint('last', flush=True)\ntime.sleep(0.2)\nos._exit(1)"

    result = run(server, code, session=session)

    assert told(result) == ("failed", None, "last\n")  # a gateway does not tell the exit code
    assert result["verdict"]["wall_seconds"] < 5
    assert result["verdict"]["cause"].startswith("The kernel died")
    assert not result["verdict"]["state_kept"]
    assert told(run(server, "print(2)", session=session)) == ("ok", 0, "2\n")


def test_a_kernel_that_was_started_again_is_furnished_again(server: LiveServer, session: str) -> None:
    run(server, "import os; os._exit(1)", session=session)
    late = "import threading, time\nthreading.Thread(target=lambda: [time.sleep(.5), print('late')]).start()"
    run(server, late, session=session)
    assert told(run(server, "time.sleep(1); print('mine')", session=session)) == ("ok", 0, "mine\n")


def test_a_restart_by_somebody_else_is_lost_with_its_output(
    server: LiveServer, gateway: Gateway, session: str
) -> None:
    execution = begin(server, session=session)

    gateway.call("POST", f"kernels/{kernel_of(server, session)}/restart")

    result = ended(server, execution)
    assert (result["status"], result["exit_code"]) == ("lost", None)
    assert result["output"].startswith("on\n")
    assert "restarted by somebody else" in result["verdict"]["cause"]
    assert not result["verdict"]["state_kept"]
    assert told(run(server, "print(2)", session=session)) == ("ok", 0, "2\n")


def test_a_kernel_that_the_gateway_shuts_down_is_lost_and_another_one_takes_its_place(
    server: LiveServer, gateway: Gateway, session: str
) -> None:
    execution = begin(server, session=session)
    gateway.call("DELETE", f"kernels/{kernel_of(server, session)}")

    result = ended(server, execution)
    assert result["status"] == "lost"
    assert result["output"].startswith("on\n")
    assert told(run(server, "print(2)", session=session)) == ("ok", 0, "2\n")

    gateway.call("DELETE", f"kernels/{kernel_of(server, session)}")  # as it culls one that is idle
    time.sleep(1.5)
    assert told(run(server, "print(3)", session=session)) == ("ok", 0, "3\n")


def test_a_kernel_of_the_users_can_be_attached_to_and_lives_on(server: LiveServer, gateway: Gateway) -> None:
    request = urllib.request.Request(
        f"{server.url}api/kernels",
        method="POST",
        data=json.dumps({"name": "python3"}).encode(),
        headers={"Authorization": f"token {server.token}"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        kernel_id = json.load(response)["id"]

    session = server.call("POST", "sessions", {"environment": KERNEL, "kernel_id": kernel_id})
    assert session["kernel_id"] == kernel_id
    assert told(run(server, "x = 1; x", session=session["id"])) == ("ok", 0, "1\n")
    server.call("DELETE", f"sessions/{session['id']}")
    assert kernel_id in gateway.kernels


def test_a_kernel_of_the_gateway_that_this_server_has_not_started_cannot_be_attached_to(
    server: LiveServer, gateway: Gateway
) -> None:
    foreign = gateway.call("POST", "kernels", {"name": "python3"})["id"]

    with pytest.raises(urllib.error.HTTPError) as refused:
        server.call("POST", "sessions", {"environment": KERNEL, "kernel_id": foreign})

    assert refused.value.code == 400
    assert "this server has started" in json.load(refused.value)["message"]
    gateway.call("DELETE", f"kernels/{foreign}")


def test_the_working_directory_is_the_sessions_where_the_gateway_has_it(
    server: LiveServer, gateway: Gateway
) -> None:
    (server.root / "sub").mkdir()
    result = run(server, "import os; print(os.getcwd(), 'MINE' in os.environ)", path="sub")
    assert result["output"] == f"{(server.root / 'sub').resolve()} False\n"


def test_after_exit_the_next_block_has_a_fresh_kernel(server: LiveServer, session: str) -> None:
    left = run(server, "x = 1\nprint('last words')\nexit()", session=session)
    assert (left["status"], left["output"]) == ("ok", "last words\n")

    following = run(server, "print('x' in globals())", session=session)

    assert (following["status"], following["output"]) == ("ok", "False\n"), following


def test_a_run_waits_for_what_another_session_runs_in_the_same_kernel(
    server: LiveServer, session: str
) -> None:
    kernel = server.call("GET", f"sessions/{session}")["kernel_id"]
    other = server.call("POST", "sessions", {"environment": KERNEL, "kernel_id": kernel})["id"]
    first = begin(server, "import time\nprint('on', flush=True)\ntime.sleep(3)\nx = 5", session=session)

    second = run(server, "print(x)", session=other, timeout=1)

    assert (second["status"], second["output"]) == ("ok", "5\n")
    assert ended(server, first)["status"] == "ok"
    server.call("DELETE", f"sessions/{other}")
