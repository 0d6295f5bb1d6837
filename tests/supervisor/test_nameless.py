"""A file that comes in has no name before it is whole: whoever is killed meanwhile leaves nothing of it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from jupyter_exec_ext.supervisor import frames, newfile
from jupyter_exec_ext.supervisor.files import Workspace
from jupyter_exec_ext.supervisor.paths import FileRefused

from .session import Session, until

LINUX = hasattr(os, "O_TMPFILE")
#: The system as it is; one on which they can get no name; one that takes their flag for that of a directory,
#: as old ones do; and a Python that does not know of them.
WITHOUT: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "as it is": lambda patch: None,
    "without /proc": lambda patch: patch.setattr(newfile, "_DESCRIPTOR", "/nowhere/{}"),
    "taken for a directory": lambda patch: patch.setattr(os, "O_TMPFILE", os.O_DIRECTORY, raising=False),
    "unknown": lambda patch: patch.delattr(os, "O_TMPFILE", raising=False),
}


@pytest.fixture(params=WITHOUT)
def folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A workspace, on a system that has files without a name, or has none in one way or another."""
    WITHOUT[request.param](monkeypatch)
    (tmp_path / "workspace").mkdir()
    return (tmp_path / "workspace").resolve()


def write(workspace: Workspace, name: str, data: bytes) -> None:
    file = workspace.create(name)
    file.write(data)
    descriptor = file.commit()
    assert os.read(descriptor, 100) == data
    os.close(descriptor)


def test_files_come_go_and_replace_each_other_in_every_system(folder: Path) -> None:
    workspace = Workspace(str(folder))
    before = set(os.listdir("/dev/fd"))

    for data in (b"one", b"two"):
        write(workspace, "below/file", data)
        (folder / "below" / "file").chmod(0o751)
    workspace.create("below/other").discard()

    assert (folder / "below" / "file").read_bytes() == b"two"
    assert stat.S_IMODE((folder / "below" / "file").stat().st_mode) == 0o751
    assert os.listdir(folder / "below") == ["file"]
    assert set(os.listdir("/dev/fd")) == before


def test_a_file_that_comes_meanwhile_is_replaced_and_a_link_leads_nowhere(folder: Path) -> None:
    workspace = Workspace(str(folder))
    victim = folder.with_name("victim")
    victim.write_text("untouched")
    file = workspace.create("file")
    file.write(b"mine")
    (folder / "file").write_text("another's")
    os.close(file.commit())
    assert (folder / "file").read_text() == "mine"
    # given a link that comes between the last look and the end
    file = workspace.create("file")
    file.write(b"again")
    (folder / "file").unlink()
    (folder / "file").symlink_to(victim)
    file._temporary.place(file._handle, "file")
    file.discard()

    assert not (folder / "file").is_symlink()
    assert (folder / "file").read_text() == "again"
    assert victim.read_text() == "untouched"
    assert os.listdir(folder) == ["file"]


def test_a_directory_that_comes_meanwhile_stays_and_nothing_is_left(folder: Path) -> None:
    file = Workspace(str(folder)).create("file")
    (folder / "file").mkdir()

    with pytest.raises(IsADirectoryError):
        file._temporary.place(file._handle, "file")
    file.discard()

    assert os.listdir(folder) == ["file"]


@pytest.mark.skipif(not LINUX, reason="only Linux has /proc")
def test_where_no_file_can_be_made_it_is_told_why() -> None:
    with pytest.raises(FileRefused, match="cannot be used|no file"):
        Workspace(f"/proc/{os.getpid()}/task").create("file")


KILLS = {
    "the supervisor": {},
    "its guard": {"guard": True},
    "its namespace": {"namespace": True},
}


@pytest.mark.skipif(not LINUX, reason="only Linux has files without a name")
@pytest.mark.parametrize("who", KILLS)
def test_half_an_upload_is_gone_when_its_supervisor_is_killed(tmp_path: Path, who: str) -> None:
    session = Session(tmp_path, **KILLS[who])  # type: ignore[arg-type]
    (session.workspace / "file").write_text("old")
    assert session.ask("put", path="file")[-1][1]["op"] == "go"
    channel = session._number
    assert session.ask("put", path="folder/new")[-1][1]["op"] == "go"
    for number in (channel, session._number):
        for _ in range(10):
            session.send(frames.frame(frames.DATA, number, bytes(frames.CHUNK)))
    session.ask("get", path="file")  # what came before it has been taken
    below = psutil.Process(session.process.pid).children(recursive=True)
    # when
    session.process.kill()
    # then
    session.process.wait(10)
    psutil.wait_procs(below, 10)
    for stream in (session.process.stdin, session.process.stdout, session.process.stderr):
        assert stream is not None
        stream.close()
    assert until(lambda: sorted(os.listdir(session.workspace)) == ["file", "folder"])
    assert os.listdir(session.workspace / "folder") == []
    assert (session.workspace / "file").read_text() == "old"


@pytest.mark.skipif(not LINUX, reason="only Linux has /proc")
def test_where_proc_is_not_mounted_files_have_a_name_and_come_into_their_place(tmp_path: Path) -> None:
    package = str(Path(frames.__file__).parents[2])
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from jupyter_exec_ext.supervisor.files import Workspace\n"
        "file = Workspace(sys.argv[2]).create('file'); file.write(b'whole')\n"
        "print(*(name[-5:] for name in os.listdir(sys.argv[2])), end=' ')\n"
        "os.close(file.commit()); print(*os.listdir(sys.argv[2]))\n"
    )
    hide = 'mount -t tmpfs none /proc && exec "$@"'
    room = ["unshare", "--map-root-user", "--mount", "sh", "-c", hide, "sh"]
    if subprocess.run([*room, "true"], capture_output=True, timeout=30, check=False).returncode:
        pytest.skip("nothing may be mounted here, also in a namespace")

    ended = subprocess.run(
        [*room, sys.executable, "-c", code, package, str(tmp_path.resolve())],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (ended.stdout, ended.stderr) == (".part file\n", "")
