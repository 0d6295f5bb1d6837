"""The events of an execution over HTTP: numbered, complete, replayed, and for readers of every speed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from answers import read
from streams import SLEEP, following, parse, until_ended

from jupyter_exec_ext.app import ExecApp


async def test_events_are_numbered_complete_and_end(rest: Callable[..., Any]) -> None:
    # given
    execution = read(await rest("POST", "executions", {"code": "print('a\\nb')"}, wait=20), 201)
    # when
    response = await rest("GET", f"executions/{execution['id']}/events")
    # then
    assert response.code == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Accel-Buffering"] == "no"
    events = parse(response.body.decode())
    assert [number for number, _, _ in events] == list(range(1, execution["last_event"] + 1))
    assert [kind for _, kind, _ in events][0] == "status"
    assert all(data["time"].endswith("Z") for _, _, data in events)
    assert "".join(data["text"] for _, kind, data in events if kind == "stream") == "a\nb\n"
    end = {key: value for key, value in events[-1][2].items() if key != "time"}
    assert events[-1][1] == "end"
    assert end == execution


async def test_events_are_replayed_from_any_number(rest: Callable[..., Any]) -> None:
    # given
    execution = read(await rest("POST", "executions", {"code": "print(1)"}, wait=20), 201)
    path, last = f"executions/{execution['id']}/events", execution["last_event"]
    everything = parse((await rest("GET", path)).body.decode())
    for since in range(last):
        # when
        by_query = await rest("GET", path, since=since)
        by_header = await rest("GET", path, since=0, headers={"Last-Event-ID": str(since)})
        # then
        assert parse(by_query.body.decode()) == everything[since:]
        assert parse(by_header.body.decode()) == everything[since:]


async def test_a_reader_that_has_everything_is_told_not_to_come_back(rest: Callable[..., Any]) -> None:
    # given
    execution = read(await rest("POST", "executions", {"code": "print(1)"}, wait=20), 201)
    # when
    response = await rest("GET", f"executions/{execution['id']}/events", since=execution["last_event"])
    # then
    assert (response.code, response.body) == (204, b"")


async def test_a_reader_that_asks_for_more_than_there_is_yet_gets_the_end_when_it_comes(
    rest: Callable[..., Any], exec_app: ExecApp
) -> None:
    # given
    execution = read(await rest("POST", "executions", SLEEP, wait=1), 201)
    path = f"executions/{execution['id']}/events?since=1000000"
    async with following(exec_app, path, "Connection: close") as reader:
        await reader.until(b"\r\n\r\n")
        # when
        await rest("POST", f"executions/{execution['id']}/cancel")
        # then
        events = await reader.rest()
    ended = await until_ended(rest, execution["id"])
    assert events.count(b"event: ") == 1
    assert b"id: %d\nevent: end\n" % ended["last_event"] in events


async def test_a_reader_that_asks_for_more_than_there_ever_was_gets_the_end_at_once(
    rest: Callable[..., Any],
) -> None:
    # given: as after a server was killed that had sent more than it had written
    execution = read(await rest("POST", "executions", {"code": "print(1)"}, wait=20), 201)
    path, last = f"executions/{execution['id']}/events", execution["last_event"]
    end = parse((await rest("GET", path)).body.decode())[-1:]
    for since in (last + 1, 2**53 - 1):
        # when
        by_query = await rest("GET", path, since=since)
        by_header = await rest("GET", path, headers={"Last-Event-ID": str(since)})
        # then
        assert parse(by_query.body.decode()) == end
        assert parse(by_header.body.decode()) == end


async def test_events_arrive_while_it_runs_and_leaving_ends_nothing(
    rest: Callable[..., Any], exec_app: ExecApp
) -> None:
    # given
    code = "import time\nprint('begun', flush=True)\ntime.sleep(1)\nprint('done')"
    execution = read(await rest("POST", "executions", {"code": code, "language": "python"}), 201)
    # when
    async with following(exec_app, f"executions/{execution['id']}/events") as reader:
        head = await reader.until(b"begun")
        running = read(await rest("GET", f"executions/{execution['id']}"))
    # then
    assert b"200 OK" in head
    assert running["status"] == "running"
    ended = await until_ended(rest, execution["id"])
    assert (ended["status"], ended["output"]) == ("ok", "begun\ndone\n")


async def test_silence_is_filled_with_heartbeats(rest: Callable[..., Any], exec_app: ExecApp) -> None:
    # given
    exec_app.heartbeat_seconds = 0.1
    execution = read(await rest("POST", "executions", SLEEP, wait=1), 201)
    # when
    async with following(exec_app, f"executions/{execution['id']}/events") as reader:
        for _ in range(3):
            await reader.until(b": heartbeat\n\n")
    # then
    await rest("POST", f"executions/{execution['id']}/cancel")
    await until_ended(rest, execution["id"])


async def test_the_stream_of_one_that_is_cancelled_ends(rest: Callable[..., Any], exec_app: ExecApp) -> None:
    # given
    execution = read(await rest("POST", "executions", SLEEP, wait=1), 201)
    async with following(exec_app, f"executions/{execution['id']}/events", "Connection: close") as reader:
        await reader.until(b"begun")
        # when
        await rest("POST", f"executions/{execution['id']}/cancel")
        # then
        assert b"event: end\n" in await reader.rest()


async def test_a_reader_that_stops_reading_is_disconnected_and_resumes(
    rest: Callable[..., Any], exec_app: ExecApp
) -> None:
    # given: more output than the network between the two holds
    exec_app.stalled_reader_seconds = 0.5
    code = "import sys\nfor n in range(40000):\n    sys.stdout.write(f'{n:06d}' + 'x' * 249 + '\\n')"
    execution = read(await rest("POST", "executions", {"code": code, "language": "python"}, wait=60), 201)
    path = f"executions/{execution['id']}/events"
    everything = parse((await rest("GET", path)).body.decode())
    # when: it reads nothing for a while
    async with following(exec_app, path, "Connection: close") as reader:
        head = await reader.until(b"\r\n\r\n")
        await asyncio.sleep(1.5)
        received = await reader.rest()
    # then
    assert b"200 OK" in head
    assert b"event: end\n" not in received
    seen = [int(line[4:]) for line in received.split(b"\n") if line.startswith(b"id: ")]
    complete = seen[-2]  # the last one may have been cut
    resumed = parse((await rest("GET", path, since=complete)).body.decode())
    assert resumed == everything[complete:]


async def test_a_long_answer_that_nobody_reads_is_cut_off(
    rest: Callable[..., Any], exec_app: ExecApp
) -> None:
    # given
    exec_app.stalled_reader_seconds = 0.5
    code = "print('x' * 255 * 40000)"
    execution = read(await rest("POST", "executions", {"code": code, "language": "python"}, wait=60), 201)
    # when
    async with following(exec_app, f"executions/{execution['id']}") as reader:
        await reader.until(b"\r\n\r\n")
        await asyncio.sleep(1.5)
        received = await reader.rest()
    # then
    assert 0 < len(received) < 9_000_000
