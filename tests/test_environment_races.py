"""Clients that create and delete one environment at once get clear answers, and no trace is logged."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable

import httpx
import pytest
from harness.server import LiveServer

NAME = "venv:race"
SECONDS = 5.0
#: What each request may be answered with.
ALLOWED = {"POST": {201, 409}, "DELETE": {204, 404, 409}, "GET": {200, 404}, "EVENTS": {200, 404}}


class Race:
    """Requests to servers that share their data, and what they were answered with."""

    def __init__(self, servers: list[LiveServer]) -> None:
        self.servers = servers
        self.answers: Counter[tuple[str, int]] = Counter()
        self.wrong: list[tuple[str, int, str]] = []
        self.endless: list[str] = []
        self._until = time.monotonic() + SECONDS

    async def run(self) -> None:
        """Four that create, three that delete, one that lists and two that follow, at each server."""
        verbs = ["POST"] * 4 + ["DELETE"] * 3 + ["GET"] + ["EVENTS"] * 2
        await asyncio.gather(*(self._client(server, verb) for server in self.servers for verb in verbs))

    async def _client(self, server: LiveServer, verb: str) -> None:
        url, headers = f"{server.url}api/exec/", {"Authorization": f"token {server.token}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False) as http:
            for number in itertools.count():
                if time.monotonic() > self._until:
                    return
                self._note(verb, await self._ask(http, verb))
                await asyncio.sleep((number * 7 % 5) * 0.01)

    async def _ask(self, http: httpx.AsyncClient, verb: str) -> httpx.Response:
        if verb == "POST":
            return await http.post("environments", json={"kind": "venv", "name": NAME})
        path = f"environments/{NAME}" + ("/events" if verb == "EVENTS" else "")
        return await http.request("GET" if verb == "EVENTS" else verb, path)

    def _note(self, verb: str, answer: httpx.Response) -> None:
        self.answers[verb, answer.status_code] += 1
        said = answer.text and json.loads(answer.text).get("message", "") if verb != "EVENTS" else ""
        if answer.status_code not in ALLOWED[verb] or (answer.status_code == 409 and NAME not in said):
            self.wrong.append((verb, answer.status_code, answer.text))
        if verb == "EVENTS" and answer.status_code == 200 and "event: status\n" not in answer.text:
            self.endless.append(answer.text)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("count", [1, 2])
def test_creating_and_deleting_one_environment_at_once_is_answered_clearly(
    live_server: Callable[..., LiveServer], count: int
) -> None:
    # given servers that share their data
    race = Race([live_server() for _ in range(count)])
    # when
    asyncio.run(race.run())
    # then
    assert race.wrong == []
    assert race.endless == []
    assert race.answers.total() > 200
    assert {("POST", 201), ("DELETE", 204)} <= race.answers.keys()
    # and afterwards it can be created, and deleted, and nothing is left
    server = race.servers[-1]
    remove(server)
    server.call("POST", "environments", {"kind": "venv", "name": NAME})
    remove(server)
    folder = server.home / "data" / "exec" / "environments"
    assert sorted(path.name for path in folder.iterdir()) == [".making", ".using"]
    logs = [server.stop() for server in race.servers]
    assert [log for log in logs if "Traceback" in log or "ERROR" in log or "was never retrieved" in log] == []


def remove(server: LiveServer) -> None:
    """Delete it, once nobody is at it any more."""
    for _ in range(100):
        with httpx.Client(headers={"Authorization": f"token {server.token}"}, trust_env=False) as http:
            answer = http.delete(f"{server.url}api/exec/environments/{NAME}", timeout=30)
        if answer.status_code in (204, 404):
            return
        time.sleep(0.1)
    raise AssertionError(answer.text)
