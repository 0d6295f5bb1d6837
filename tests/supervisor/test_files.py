"""Files of a workspace: nothing outside is named, read or written, whatever a program makes of the paths."""

from __future__ import annotations

import ctypes
import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.supervisor import frames

from .session import Session


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A session of its own, since these tests spoil its workspace."""
    with Session(tmp_path) as made:
        yield made
    assert made.complaints == ""


def refusal(session: Session, op: str, path: str) -> str:
    """The reason for which a request is refused."""
    (answer,) = session.ask(op, path=path)
    assert answer[1]["op"] == "refused"
    assert answer[1]["message"]
    return str(answer[1]["reason"])


def read(session: Session, path: str) -> bytes:
    answers = session.ask("get", path=path)
    assert answers[-1][1]["op"] == "done", answers
    return b"".join(data for kind, data in answers if kind == frames.DATA)


def write(session: Session, path: str, data: bytes) -> dict[str, Any]:
    (answer,) = session.ask("put", path=path)
    assert answer[1]["op"] == "go", answer
    for start in range(0, len(data), frames.CHUNK):
        session.send(frames.frame(frames.DATA, session._number, data[start : start + frames.CHUNK]))
    session.send(frames.frame(frames.DATA, session._number, b""))
    return session.receive()[2]  # type: ignore[no-any-return]


def names(session: Session) -> dict[str, str]:
    entries = [entry for _, data in session.ask("list") for entry in data.get("entries", [])]
    return {entry["path"]: entry["type"] for entry in entries}


@pytest.mark.parametrize("data", [b"", b"x", os.urandom(300_000)], ids=["empty", "byte", "many pieces"])
def test_what_is_written_is_read_again(session: Session, data: bytes) -> None:
    assert write(session, "folder/below/file.bin", data)["op"] == "done"

    assert read(session, "folder/below/file.bin") == data
    assert names(session) == {
        "folder": "directory",
        "folder/below": "directory",
        "folder/below/file.bin": "file",
    }


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "../x",
        "a/../../x",
        "/etc/passwd",
        "//x",
        "a//b",
        "./a",
        "a/.",
        "a/",
        "\0",
        "a\0b",
        "x" * 256,
        "a/" * 2500 + "a",
        "\u00e4" * 128,
        "\ud800",
        "a/\udfff/b",
    ],
)
@pytest.mark.parametrize("op", ["get", "put", "delete"])
def test_a_path_that_is_none_is_refused(session: Session, op: str, path: str) -> None:
    assert refusal(session, op, path) == "invalid"
    assert session.ask("list")[-1][1]["op"] == "done"


@pytest.mark.parametrize(
    "path", ["../x.py", "/tmp/x.py", "a/../../x.py", "x\0.py", "\ud800.py", "y" * 300 + ".py"]
)
def test_a_block_with_such_a_name_is_refused_and_nothing_runs(session: Session, path: str) -> None:
    ended = session.run("open('ran', 'w')", file=path)

    assert ended.report["op"] == "refused"
    assert os.listdir(session.workspace) == []


def test_links_are_named_and_never_followed(session: Session, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "victim").write_text("untouched")
    (session.workspace / "file").symlink_to(secret / "victim")
    (session.workspace / "folder").symlink_to(secret)
    (session.workspace / "dangling").symlink_to(tmp_path / "nowhere")

    assert names(session) == {"file": "link", "folder": "link", "dangling": "link"}
    for path in ("file", "folder", "folder/victim", "dangling"):
        assert refusal(session, "get", path) == "refused"
    for path in ("file", "folder", "folder/victim", "folder/new", "dangling"):
        assert refusal(session, "put", path) == "refused"
    assert refusal(session, "delete", "folder/victim") == "refused"
    assert session.run("print(1)", file="file").report["op"] == "refused"
    assert session.run("print(1)", file="folder/new.py").report["op"] == "refused"
    assert (secret / "victim").read_text() == "untouched"
    assert os.listdir(secret) == ["victim"]
    for path in ("file", "folder", "dangling"):
        assert session.ask("delete", path=path)[-1][1]["op"] == "done"
    assert os.listdir(secret) == ["victim"]


def test_a_pipe_a_socket_and_a_device_are_refused_at_once(session: Session) -> None:
    os.mkfifo(session.workspace / "pipe")
    kinds = {"pipe": "other"}
    if os.geteuid() == 0:
        try:
            os.mknod(session.workspace / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
            kinds["device"] = "other"
        except PermissionError:
            pass  # root of a container may not; the pipe has shown it

    assert names(session) == kinds
    for path in kinds:
        assert refusal(session, "get", path) == "refused"
        assert refusal(session, "put", path) == "refused"
        assert session.run("1", file=path).report["op"] == "refused"


def test_a_directory_is_not_a_file_and_is_removed_only_when_empty(session: Session) -> None:
    write(session, "folder/file", b"x")

    assert refusal(session, "get", "folder") == "refused"
    assert refusal(session, "put", "folder") == "conflict"
    assert refusal(session, "delete", "folder") == "conflict"
    assert refusal(session, "get", "folder/file/below") == "not_found"
    assert refusal(session, "get", "nothing") == "not_found"
    for path in ("folder/file", "folder"):
        assert session.ask("delete", path=path)[-1][1]["op"] == "done"
    assert names(session) == {}


def test_a_file_is_named_where_a_directory_would_have_to_be(session: Session) -> None:
    write(session, "folder/file", b"kept")

    (answer,) = session.ask("put", path="folder/file/below/it")

    assert answer[1]["reason"] == "conflict"
    assert "'folder/file' is not a directory" in answer[1]["message"]
    assert refusal(session, "delete", "folder/file/below") == "not_found"
    assert read(session, "folder/file") == b"kept"


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")
def test_a_directory_that_is_swapped_for_a_link_all_the_time_leads_nowhere(
    session: Session, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("secret")
    inside, link = session.workspace / "folder", session.workspace / "link"
    inside.mkdir()
    (inside / "file").write_text("public")
    link.symlink_to(outside)
    done = threading.Event()
    exchange = ctypes.CDLL(None).renameat2
    here = -100  # AT_FDCWD

    def swap() -> None:
        while not done.is_set():
            assert exchange(here, os.fsencode(inside), here, os.fsencode(link), 2) == 0  # RENAME_EXCHANGE

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(150):
            answers = session.ask("get", path="folder/file")
            assert b"secret" not in [data for kind, data in answers if kind == frames.DATA]
            assert not {"folder/victim", "link/victim"} & set(names(session))
            (outside / "victim").write_text("")
            session.ask("delete", path="folder/victim")
            answer = session.ask("put", path="folder/new")[-1][1]
            if answer["op"] == "go":
                session.send(frames.frame(frames.DATA, session._number, b""))
                session.receive()
            assert sorted(os.listdir(outside)) == ["file", "victim"]
    finally:
        done.set()
        swapper.join()


def test_the_directory_of_a_file_may_go_while_it_is_written(session: Session) -> None:
    assert session.ask("put", path="folder/file")[-1][1]["op"] == "go"
    channel = session._number
    session.send(frames.frame(frames.DATA, channel, b"half"))
    session.run("rm -rf folder", "bash")

    session.send(frames.frame(frames.DATA, channel, b""))

    assert session.receive()[2]["op"] == "refused"
    assert names(session) == {}


def test_an_abandoned_file_leaves_nothing(session: Session) -> None:
    (session.workspace / "file").write_text("old")
    assert session.ask("put", path="file")[-1][1]["op"] == "go"
    session.send(frames.frame(frames.DATA, session._number, b"new"))
    session.send(frames.control(session._number, "abandon"))

    assert read(session, "file") == b"old"
    assert os.listdir(session.workspace) == ["file"]


def test_the_end_of_the_session_leaves_no_half_written_file(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        assert session.ask("put", path="file")[-1][1]["op"] == "go"
        session.send(frames.frame(frames.DATA, session._number, b"half"))

    assert os.listdir(tmp_path / "workspace") == []


def test_a_file_on_its_way_is_not_lost_when_the_interpreter_is_renewed(session: Session) -> None:
    assert session.ask("put", path="file")[-1][1]["op"] == "go"
    channel = session._number
    session.run(
        "import sys, pathlib\nfor p in sys.path:\n    if p.endswith('-packages'): pathlib.Path(p).touch()"
    )

    session.send(frames.frame(frames.DATA, channel, b"whole"))
    session.send(frames.frame(frames.DATA, channel, b""))

    assert session.receive()[2]["op"] == "done"
    assert (session.workspace / "file").read_text() == "whole"


def test_names_that_are_not_utf8_are_shown_and_can_be_asked_for_by_their_bytes(session: Session) -> None:
    for name in (b"bad-\xff", b"bad-\xfe", b"bad \xe4%", "gut-\u00e4".encode()):
        (session.workspace / os.fsdecode(name)).write_bytes(name)

    entries = [entry for _, data in session.ask("list") for entry in data.get("entries", [])]
    assert sorted((entry["path"], entry.get("encoded", "")) for entry in entries) == [
        ("bad \ufffd%", "bad%20%E4%25"),
        ("bad-\ufffd", "bad-%FE"),
        ("bad-\ufffd", "bad-%FF"),
        ("gut-\u00e4", ""),
    ]
    assert read(session, "bad-\udcff") == b"bad-\xff"
    assert write(session, "bad-\udcfe", b"new")["op"] == "done"
    assert session.ask("delete", path="bad \udce4%")[-1][1]["op"] == "done"
    assert sorted(os.listdir(os.fsencode(session.workspace))) == [b"bad-\xfe", b"bad-\xff", b"gut-\xc3\xa4"]
    assert refusal(session, "get", "bad-\ufffd") == "not_found"


def test_twenty_thousand_entries_are_cut_and_told(session: Session) -> None:
    for number in range(20_000):
        (session.workspace / f"{number}").touch()

    answers = session.ask("list")

    assert sum(len(data.get("entries", [])) for _, data in answers) == 10_000
    assert answers[-1][1] == {"op": "done", "more": True, "limit": 10_000}


def test_deep_directories_are_listed(session: Session) -> None:
    deep = "/".join(["d"] * 200)
    (session.workspace / deep).mkdir(parents=True)

    assert len(names(session)) == 200
    assert write(session, deep + "/file", b"x")["op"] == "done"


def test_the_workspace_may_go_and_come_again(session: Session) -> None:
    session.workspace.rename(session.workspace.with_name("gone"))

    assert session.run("print(1)").report["op"] == "refused"
    assert names(session) == {}
    assert refusal(session, "put", "file") in ("refused", "not_found")

    session.workspace.mkdir()
    for language, code in (("python", "import os; print(os.getcwd())"), ("bash", "pwd")):
        assert session.run(code, language).stdout == f"{session.workspace}\n"
