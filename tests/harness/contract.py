"""What a result must be: the rules of every case, and what the case itself expects."""

from __future__ import annotations

import re
from typing import Any

from jupyter_exec_ext.models import ENDED

from .backends import Result, Session
from .cases import KERNEL, Case, Expectation
from .watch import MEBIBYTE, Readings

__all__ = ["check_files", "check_readings", "check_result"]

Events = list[tuple[int, str, dict[str, Any]]]

#: Seconds beyond its timeout after which every execution has ended.
SLACK = 5.0
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
#: What separates head and tail where the middle is missing, with how many bytes and of how many.
_GAP = re.compile(r"\n\[([\d,]+) of ([\d,]+) bytes of output were dropped here")


def check_result(case: Case, copy: int, result: Result) -> None:
    """One terminal status in time, all output in order, and what the case says."""
    expect = case.expect
    if expect.refused is not None:
        _check_refusal(expect, result)
        return
    assert result.refused is None, f"{result.refused}: {result.answer}"
    told = f"{result.status} {result.exit_code} {result.verdict}"
    _check_every(case, result)
    assert result.status in expect.status, told
    assert expect.exit_code is None or result.exit_code in expect.exit_code, told
    assert expect.signal is None or result.verdict["signal"] == expect.signal, told
    assert expect.within is None or result.verdict["wall_seconds"] < expect.within, told
    for part in expect.cause:
        assert part in (result.verdict["cause"] or ""), told
    for limit in expect.limits_hit:
        assert limit in result.verdict["limits_hit"], told
    _check_output(expect, result, str(copy))


def _check_refusal(expect: Expectation, result: Result) -> None:
    assert result.refused == expect.refused, f"{result.refused}: {result.answer}"
    if "message" in result.answer:
        assert len(result.answer["message"]) > 10
        assert "Traceback" not in result.answer["message"]
    if expect.field is not None and result.answer:
        assert (result.answer["field"] or "").startswith(expect.field), result.answer


def _check_every(case: Case, result: Result) -> None:
    numbers = [number for number, _, _ in result.events]
    ends = [kind for _, kind, _ in result.events if kind == "end"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert result.status in ENDED
    if result.replay is not None:
        assert ends == ["end"]
        assert result.events[-1][1] == "end"
    if case.expect.late and result.replay is not None:
        _check_late(result, result.replay)
    else:
        assert result.replay in (None, result.events), "the replay is not what was seen live"
        _check_record(result, plain=KERNEL in case.places)
    assert result.verdict["survivors"] == 0, result.verdict
    assert result.verdict["wall_seconds"] < case.request["timeout"] + SLACK, result.verdict
    assert result.verdict["cause"] or result.status == "ok"


def _check_record(result: Result, *, plain: bool) -> None:
    """The record is what was seen; that of a kernel is without the escapes of terminals."""
    printed = _printed(result.events)
    assert result.output == (_ESCAPE.sub("", printed) if plain else printed)
    if result.replay is not None:
        assert result.events[-1][2] == {"time": result.answer["finished_at"], **result.answer}


def _check_late(result: Result, replay: Events) -> None:
    """The replay has what came after the end, too, in front of an end with a higher number."""
    live = result.events[:-1]
    assert replay[: len(live)] == live
    assert [number for number, _, _ in replay] == list(range(1, len(replay) + 1))
    assert [kind for _, kind, _ in replay].count("end") == 1
    assert replay[-1][1] == "end"
    assert result.output.startswith(_printed(live))
    assert _printed(replay).startswith(result.output)


def _printed(events: Events) -> str:
    return "".join(_shown(kind, data) for _, kind, data in events)


def _shown(kind: str, data: dict[str, Any]) -> str:
    """What an event adds to the output: what was printed as it is, all else as lines without colours."""
    if kind == "stream":
        return str(data["text"])
    if kind == "error":
        return _COLOUR.sub("", "\n".join(data["traceback"])) + "\n"
    shows = "data" in data and kind != "update_display_data"
    return _COLOUR.sub("", data["data"]["text/plain"]) + "\n" if shows else ""


def _check_output(expect: Expectation, result: Result, copy: str) -> None:
    output, shown = result.output, repr(result.output[-2000:])
    if expect.output is not None:
        assert output == expect.output.replace("@COPY@", copy), shown
    assert output.startswith(expect.begins), repr(output[:2000])
    assert output.endswith(expect.ends), shown
    assert expect.least <= len(output) <= expect.most, len(output)
    for part in expect.has:
        assert part in output, shown
    for part in expect.lacks:
        assert part not in output, shown
    for name, text in expect.streams.items():
        assert _stream(result, name) == text
    if expect.truncated is not None:
        assert result.truncated == bool(_GAP.search(output)) == expect.truncated, shown
        assert ("output" in result.verdict["limits_hit"]) == expect.truncated, result.verdict
    asked = [data["prompt"] for _, kind, data in result.events if kind == "input_request"]
    assert asked == list(expect.asked), asked


def _stream(result: Result, name: str) -> str:
    return "".join(
        data["text"] for _, kind, data in result.events if kind == "stream" and data["name"] == name
    )


def check_readings(readings: Readings) -> None:
    """The server answered within a second all along, and grew by less than 64 MiB."""
    assert readings.answers > 0
    assert readings.slowest < 1.0, f"an answer took {readings.slowest:.2f} s"
    assert readings.grown < 64 * MEBIBYTE, f"memory grew by {readings.grown / MEBIBYTE:.0f} MiB"


async def check_files(expect: Expectation, session: Session) -> None:
    """The workspace holds what it should, links are listed as links, and none is served."""
    if expect.files is None:
        return
    listed, more = await session.files()
    found: dict[str, Any] = {file["path"]: file["type"] for file in listed}
    assert more == expect.more_files
    if more:
        assert len(found) >= 1000
    else:
        assert found == dict(expect.files)
    for path, text in expect.contents.items():
        content = await session.read(path)
        assert content is not None
        assert content.decode() == text
    for path in expect.denied:
        assert await session.read(path) is None, f"{path} was served"
