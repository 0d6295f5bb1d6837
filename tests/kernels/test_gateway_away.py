"""Gateways that are away, in the middle or from the start, or not as others are; and the server's stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.gateway import Gateway
from harness.server import LiveServer

from .test_gateway import KERNEL, begin, ended, kernels_of, run, told


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that has not been started."""
    (tmp_path / "gateway").mkdir()
    made = Gateway(tmp_path / "gateway")
    yield made
    made.resume()
    made.kill()


Start = Callable[..., LiveServer]


def named(server: LiveServer) -> dict[str, Any]:
    return {one["name"]: one for one in server.call("GET", "environments")["environments"]}


def test_a_gateway_killed_mid_run_is_lost_and_later_runs_say_so_until_it_is_back(
    gateway: Gateway, live_server: Start
) -> None:
    gateway.start()
    server = live_server(f"--gateway-url={gateway.url}")
    kernels_of(server)
    session = server.call("POST", "sessions", {"environment": KERNEL})["id"]
    execution = begin(server, session=session)

    gateway.kill()

    result = ended(server, execution)
    assert told(result) == ("lost", None, "on\n")
    assert "connection to the gateway was lost" in result["verdict"]["cause"]
    for later in (run(server, "1", session=session), run(server, "1")):
        assert later["status"] == "env_error"
        assert "the gateway does not answer; try again when it is back" in later["verdict"]["cause"]
    assert told(run(server, "print(1)", environment="local", language="python")) == ("ok", 0, "1\n")
    for _ in range(200):  # the list is asked for again after some seconds
        if (kernel := named(server)[KERNEL])["status"] == "unavailable":
            break
        time.sleep(0.1)
    assert "the gateway does not answer" in kernel["reason"]

    gateway.start()
    assert told(run(server, "print(2)", session=session)) == ("ok", 0, "2\n")
    assert told(run(server, "print(3)")) == ("ok", 0, "3\n")
    for _ in range(100):
        if named(server)[KERNEL]["status"] == "ready":
            return
        time.sleep(0.1)
    raise AssertionError(named(server))


def test_a_gateway_that_hangs_is_lost_within_5_seconds_and_the_server_goes_on(
    gateway: Gateway, live_server: Start
) -> None:
    gateway.start()
    server = live_server(f"--gateway-url={gateway.url}")
    kernels_of(server)
    session = server.call("POST", "sessions", {"environment": KERNEL})["id"]
    execution = begin(server, session=session)

    gateway.pause()

    began = time.monotonic()
    assert told(run(server, "print(1)", environment="local", language="python")) == ("ok", 0, "1\n")
    result = ended(server, execution, 5 - (time.monotonic() - began))
    assert told(result) == ("lost", None, "on\n")
    assert "has not answered" in result["verdict"]["cause"]
    gateway.resume()
    later = run(server, "print(2)", session=session)
    assert told(later) == ("ok", 0, "2\n")
    assert later["verdict"]["wall_seconds"] < 10  # what was lost does not go on before it


def test_a_gateway_that_is_down_at_the_start_heals_by_itself(gateway: Gateway, live_server: Start) -> None:
    server = live_server(f"--gateway-url={gateway.url}")

    assert named(server)["local"]["status"] == "ready"
    assert KERNEL not in named(server)
    assert told(run(server, "print(1)", environment="local", language="python")) == ("ok", 0, "1\n")

    gateway.start()
    assert kernels_of(server)[KERNEL]["status"] == "ready"
    assert told(run(server, "print(2)")) == ("ok", 0, "2\n")


def test_the_servers_stop_leaves_no_kernel_in_the_gateway_and_ends_at_once(
    gateway: Gateway, live_server: Start
) -> None:
    gateway.start()
    server = live_server(f"--gateway-url={gateway.url}")
    kernels_of(server)
    server.call("POST", "sessions", {"environment": KERNEL})
    begin(server)
    run(server, "1", 0)  # its kernel is only just being started
    time.sleep(0.1)
    began = time.monotonic()

    log = server.stop()

    assert time.monotonic() - began < 15  # a thread that waits for a websocket would keep it
    assert gateway.kernels == []
    assert "Traceback" not in log


def test_a_gateway_that_speaks_only_the_older_protocol_does_as_well(
    gateway: Gateway, live_server: Start
) -> None:
    gateway.start("--ZMQChannelsWebsocketConnection.kernel_ws_protocol=")
    server = live_server(f"--gateway-url={gateway.url}")
    kernels_of(server)

    result = run(server, "print('ä</b>')\nfrom IPython.display import HTML\nHTML('x' * 1_000_000)\n")
    assert result["output"].startswith("ä</b>\n")
    assert len(result["outputs"][-1]["data"]["text/html"]) == 1_000_000


def test_a_token_that_the_gateway_asks_for_is_sent(
    gateway: Gateway, live_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.start("--KernelGatewayApp.auth_token=secret")
    monkeypatch.setenv("JUPYTER_GATEWAY_AUTH_TOKEN", "secret")
    server = live_server(f"--gateway-url={gateway.url}")
    kernels_of(server)
    assert told(run(server, "print(1)")) == ("ok", 0, "1\n")


def test_output_that_the_gateway_drops_is_said(gateway: Gateway, live_server: Start) -> None:
    gateway.start("--ZMQChannelsWebsocketConnection.iopub_msg_rate_limit=100")
    server = live_server(f"--gateway-url={gateway.url}")
    kernels_of(server)

    result = run(server, "flood 3000", environment="kernel:faulty")

    assert (result["status"], result["exit_code"]) == ("ok", 0)
    assert result["output"].startswith("0\n1\n")
    assert "IOPub message rate exceeded" in result["output"]
