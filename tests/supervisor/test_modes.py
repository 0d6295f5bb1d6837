"""Permissions of files: those of the file that is replaced, or what any editor would give a new one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_exec_ext.supervisor import frames

from .session import Session

CODE = "print(1)"


@pytest.fixture(params=[False, True], ids=["posix", "portable"])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    """A session of its own, whose umask is the usual one."""
    before = os.umask(0o022)
    try:
        made = Session(tmp_path, portable=request.param)
    finally:
        os.umask(before)
    with made:
        yield made
    assert made.complaints == ""


def put(session: Session, path: str) -> None:
    assert session.ask("put", path=path)[-1][1]["op"] == "go"
    session.send(frames.frame(frames.DATA, session._number, CODE.encode()))
    session.send(frames.frame(frames.DATA, session._number, b""))
    assert session.receive()[2]["op"] == "done"


def run(session: Session, path: str) -> None:
    assert session.run(CODE, file=path).report["exit"] == 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("write", [put, run])
@pytest.mark.parametrize(
    ("old", "new"), [(0o755, 0o755), (0o600, 0o600), (0o664, 0o664), (0o444, 0o444), (0o6755, 0o755)]
)
def test_a_file_that_is_replaced_keeps_its_permissions(
    session: Session, write: object, old: int, new: int
) -> None:
    path = session.workspace / "tool.py"
    path.write_text("before")
    path.chmod(old)

    write(session, "tool.py")  # type: ignore[operator]

    assert path.read_text() == CODE
    assert mode(path) == new


@pytest.mark.parametrize("write", [put, run])
def test_what_is_new_in_the_workspace_is_as_an_editor_makes_it(session: Session, write: object) -> None:
    write(session, "folder/tool.py")  # type: ignore[operator]

    assert mode(session.workspace / "folder") == 0o755
    assert mode(session.workspace / "folder" / "tool.py") == 0o644


def test_a_secret_is_not_readable_while_it_is_replaced(session: Session) -> None:
    (session.workspace / "secret").touch(0o600)

    assert session.ask("put", path="secret")[-1][1]["op"] == "go"

    assert {mode(path) for path in session.workspace.iterdir()} == {0o600}
    session.send(frames.control(session._number, "abandon"))


def test_a_file_that_goes_or_comes_while_it_is_written_still_counts(session: Session) -> None:
    (session.workspace / "goes").touch(0o600)
    for path in ("goes", "comes"):
        assert session.ask("put", path=path)[-1][1]["op"] == "go"
        if path == "goes":
            (session.workspace / path).unlink()
        else:
            (session.workspace / path).touch()
            (session.workspace / path).chmod(0o700)
        session.send(frames.frame(frames.DATA, session._number, b""))
        assert session.receive()[2]["op"] == "done"

    assert [mode(session.workspace / path) for path in ("goes", "comes")] == [0o600, 0o700]


def test_the_file_of_a_block_without_a_name_is_the_users_only(session: Session) -> None:
    ended = session.run("import os\nprint(oct(os.stat(__file__).st_mode & 0o777))")

    assert ended.stdout == "0o600\n"
