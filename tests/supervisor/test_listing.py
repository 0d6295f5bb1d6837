"""The list of a workspace: bounded in bytes, depth and time, whatever a program makes of its directories."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.supervisor import frames, paths
from jupyter_exec_ext.supervisor.files import Workspace
from jupyter_exec_ext.supervisor.portable.files import Workspace as PortableWorkspace

from .session import Session

NESTED = "import os\nfor _ in range({times}):\n    os.mkdir({name!r})\n    os.chdir({name!r})"


@pytest.fixture(params=[False, True], ids=["posix", "portable"])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    """A session whose workspace is emptied by a program: Python's own rmtree would not get that deep."""
    with Session(tmp_path, portable=request.param) as made:
        yield made
        assert made.run("rm -rf -- *", "bash").report["exit"] == 0
    assert made.complaints == ""


def listed(answers: list[tuple[int, Any]]) -> list[dict[str, Any]]:
    return [entry for _, data in answers for entry in data.get("entries", [])]


@pytest.mark.parametrize("name", ["n" * 200, "\u00e4" * 100], ids=["ascii", "escaped"])
def test_a_tree_of_long_names_does_not_end_the_session(session: Session, name: str) -> None:
    session.run(NESTED.format(times=1200, name=name))

    answers = session.ask("list")  # the session's splitter refuses what is over frames.MAX_UP

    found = [entry["path"] for entry in listed(answers)]
    assert found == ["/".join([name] * depth) for depth in range(1, 20)]  # 19 of them are below 4000 bytes
    assert answers[-1][1] == {"op": "done", "more": True, "limit": paths.MAX_ENTRIES}
    assert session.ask("get", path=found[-1])[0][1]["reason"] == "refused"  # a directory, and not 'invalid'


def test_many_long_paths_are_bounded_in_bytes(session: Session) -> None:
    name = "\u00e4" * 100
    code = NESTED.format(times=15, name=name) + "\nfor i in range(2000): open(str(i), 'w').close()"
    session.run(code)

    answers = session.ask("list")

    sizes = [len(json.dumps(data)) for _, data in answers]
    assert max(sizes) < 2 * frames.CHUNK
    assert paths.MAX_LISTED / 2 < sum(sizes) < paths.MAX_LISTED * 1.1
    assert answers[-1][1]["more"] is True


def test_a_deep_tree_does_not_hold_up_a_timeout(session: Session) -> None:
    session.run(NESTED.format(times=9500, name="d"))
    run = session.begin("import time; time.sleep(30)", timeout=0.5)
    session._number += 1
    session.send(frames.control(session._number, "list"))

    got: dict[int, list[tuple[int, Any]]] = {run: [], session._number: []}
    while not all(answers and answers[-1][1]["op"] in ("end", "done") for answers in got.values()):
        kind, channel, data = session.receive()
        if kind == frames.CONTROL:
            got[channel].append((kind, data))

    assert len(listed(got[session._number])) == paths.MAX_DEPTH
    assert got[session._number][-1][1]["more"] is True
    assert got[run][-1][1]["stopped"] == "timeout"
    assert got[run][-1][1]["wall"] < 2.0


def test_a_slice_of_a_list_takes_a_few_milliseconds(tmp_path: Path) -> None:
    deep = tmp_path / "/".join(["d"] * (paths.MAX_DEPTH - 1))
    for number in range(500):
        (deep / f"{number}").mkdir(parents=True)
    listing = Workspace(str(tmp_path)).list()
    times, found = [], 0

    while not listing.done:
        start = time.thread_time()
        found += len(listing.slice())
        times.append(time.thread_time() - start)

    assert found == paths.MAX_DEPTH - 1 + 500
    assert sorted(times)[len(times) * 9 // 10] < 0.01


def test_lists_that_go_on_at_once_take_turns(session: Session) -> None:
    session.run("for i in range(3000): open(str(i), 'w').close()")
    channels = range(session._number + 1, session._number + 6)
    session._number = channels[-1]
    for channel in channels:
        session.send(frames.control(channel, "list"))

    counts, done = dict.fromkeys(channels, 0), set()
    while len(done) < len(channels):
        _, channel, data = session.receive()
        counts[channel] += len(data.get("entries", []))
        done |= {channel} if data["op"] == "done" else set()

    assert set(counts.values()) == {3000}


def test_every_field_of_an_entry_is_of_its_type_whatever_the_entry_is(session: Session) -> None:
    for name in (b"plain", b"bad-\xff", b"\xc3\xa4"):
        (session.workspace / os.fsdecode(name)).write_bytes(b"1")
    os.utime(session.workspace / "plain", (0, -(2**33)))
    os.mkfifo(session.workspace / "pipe")
    (session.workspace / "link").symlink_to("nowhere")

    entries = listed(session.ask("list"))

    assert len(entries) == 5
    for entry in entries:
        encoded = {"encoded": str} if "\ufffd" in entry["path"] else {}
        assert {name: type(value) for name, value in entry.items()} == {
            "path": str, "type": str, "size": int, "modified": float, **encoded,
        }  # fmt: skip
        entry["path"].encode()


@pytest.mark.parametrize("kind", [Workspace, PortableWorkspace])
def test_an_entry_that_vanishes_while_it_is_listed_has_the_same_fields(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / os.fsdecode(b"gone-\xff")
    path.touch()
    with os.scandir(tmp_path) as found:
        (entry,) = list(found)
    path.unlink()

    assert kind(str(tmp_path)).list()._describe(entry.name, entry) == {
        "path": "gone-\ufffd", "encoded": "gone-%FF", "type": "other", "size": 0, "modified": 0.0,
    }  # fmt: skip
    assert type(paths.describe(entry.name, entry)["modified"]) is float
