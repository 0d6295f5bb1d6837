"""A lease says whether a server is alive, also when it was killed, and its leftovers can be swept."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jupyter_exec_ext.errors import Conflict, InvalidRequest, Unavailable
from jupyter_exec_ext.lease import Lease

HOLDER = """
import sys, time
from jupyter_exec_ext.lease import Lease
lease = Lease(sys.argv[1], sys.argv[2])
lease.acquire()
lease.session_path("s1").joinpath("file").write_text("x")
print("held", flush=True)
time.sleep(60)
"""


def holder(server: str, root: Path) -> subprocess.Popen[str]:
    """Another process that holds a lease."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, server, str(root)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    """Kill it as nobody can prevent, and wait."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_lease_is_a_private_directory_that_goes_with_its_server(tmp_path: Path) -> None:
    with Lease("one", tmp_path / "root") as lease:
        session = lease.session_path("s1")
        for path in (lease.root, lease.path, session.parent, session):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert session == lease.path / "sessions" / "s1"
        assert stat.S_IMODE((lease.path / "lock").stat().st_mode) == 0o600
        assert lease.held
        assert lease.alive("one")
    assert not lease.path.exists()
    assert not lease.held
    lease.release()


def test_a_lease_is_held_once(tmp_path: Path) -> None:
    with Lease("one", tmp_path) as lease:
        lease.acquire()  # by the same object: it has it
        with pytest.raises(Conflict, match="one"):
            Lease("one", tmp_path).acquire()
    Lease("one", tmp_path).acquire()


def test_each_lease_has_an_identifier_of_its_own(tmp_path: Path) -> None:
    assert Lease(root=tmp_path).id != Lease(root=tmp_path).id


@pytest.mark.parametrize("server", ["../x", "a/b", ".", "a\0b", "x" * 200, "-"])
def test_an_identifier_cannot_lead_out_of_the_root(tmp_path: Path, server: str) -> None:
    with pytest.raises(InvalidRequest):
        Lease(server, tmp_path)


def test_a_killed_server_is_dead_at_once_and_swept_with_all_it_left(tmp_path: Path) -> None:
    # given a live server and one that is killed
    doomed, living = holder("doomed", tmp_path), holder("living", tmp_path)
    with Lease("mine", tmp_path) as lease:
        assert lease.sweep() == []
        assert lease.alive("doomed")
        kill(doomed)
        # when, then
        assert not lease.alive("doomed")
        assert lease.sweep() == ["doomed"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["living", "mine"]
        assert lease.alive("living")
        kill(living)
        assert lease.sweep() == ["living"]


def test_children_of_a_server_do_not_keep_it_alive(tmp_path: Path) -> None:
    with Lease("parent", tmp_path) as lease:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
        lease.release()
        other = Lease("parent", tmp_path)
        other.acquire()
        other.release()
        child.communicate(b"\n")


def test_sweeping_spares_a_server_that_is_just_starting(tmp_path: Path) -> None:
    (tmp_path / "starting").mkdir()
    lease = Lease("mine", tmp_path)
    assert lease.sweep() == []
    assert lease.alive("starting")
    long_ago = time.time() - 3600
    os.utime(tmp_path / "starting", (long_ago, long_ago))
    assert not lease.alive("starting")
    assert lease.sweep() == ["starting"]


def test_sweeping_never_follows_a_link_out(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("x")
    root = tmp_path / "root"
    process = holder("dead", root)
    (root / "dead" / "sessions" / "link").symlink_to(victim)
    (root / "link").symlink_to(victim)
    closed = root / "dead" / "sessions" / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0)
    kill(process)
    assert Lease("mine", root).sweep() == ["dead"]
    assert (victim / "precious").exists()
    assert [path.name for path in root.iterdir()] == ["link"]


def test_a_lease_can_be_taken_while_others_sweep(tmp_path: Path) -> None:
    # given three processes that sweep all the time
    code = "import sys\nfrom jupyter_exec_ext.lease import Lease\nwhile True: Lease('s', sys.argv[1]).sweep()"
    sweepers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    try:
        # when leases come and go
        for number in range(200):
            with Lease(f"server{number}", tmp_path) as lease:
                # then none is swept while it is held
                assert (lease.path / "lock").exists()
                assert Lease("other", tmp_path).alive(lease.id)
    finally:
        for sweeper in sweepers:
            sweeper.kill()
            sweeper.wait()


def test_nothing_to_sweep_where_there_is_no_root(tmp_path: Path) -> None:
    assert Lease("mine", tmp_path / "none").sweep() == []


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A tree that is not the server's."""
    folder = tmp_path / "victim"
    (folder / "s1").mkdir(parents=True)
    (folder / "s1" / "precious").write_text("x")
    for path in (folder, folder / "s1"):
        path.chmod(0o755)
    return folder


def untouched(victim: Path) -> bool:
    """Whether it is as the fixture made it."""
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (victim, victim / "s1")}
    return modes == {0o755} and sorted(path.name for path in victim.rglob("*")) == ["precious", "s1"]


def swap(place: Path, target: Path) -> None:
    """What a block does to a directory of the server: move it away, and leave a link."""
    place.rename(place.with_name(f"{place.name}-moved-{time.monotonic_ns()}"))
    place.symlink_to(target)


def test_the_end_of_a_session_removes_a_link_and_leaves_its_target(tmp_path: Path, victim: Path) -> None:
    with Lease("one", tmp_path / "root") as lease:
        session = lease.session_path("s1")
        swap(session, victim)
        lease.remove_session_path("s1")
        assert not os.path.lexists(session)
        # the same one level above: nothing is removed, made or opened up behind it
        swap(session.parent, victim)
        lease.remove_session_path("s1")
        assert untouched(victim)
    assert untouched(victim)
    assert os.listdir(tmp_path / "root") == []


def test_a_session_gets_a_directory_of_its_own_in_the_place_of_a_link(tmp_path: Path, victim: Path) -> None:
    with Lease("one", tmp_path / "root") as lease:
        swap(lease.session_path("s1"), victim)
        for linked in ("s1", "s2"):
            path = lease.session_path(linked)
            for made in (path, path.parent):
                assert stat.S_ISDIR(made.lstat().st_mode)
                assert stat.S_IMODE(made.lstat().st_mode) == 0o700
            swap(path.parent, victim)
    assert untouched(victim)


@pytest.mark.parametrize("above", [False, True], ids=["itself", "above"])
def test_a_lease_that_was_moved_away_ends_without_a_trace_in_what_a_link_leads_to(
    tmp_path: Path, victim: Path, above: bool
) -> None:
    lease = Lease("one", tmp_path / "root")
    lease.acquire()
    lease.session_path("s1").joinpath("file").touch()
    swap(lease.root if above else lease.path, victim)

    with pytest.raises(Unavailable, match="was moved or removed"):
        lease.session_path("s2")
    lease.remove_session_path("s1")
    lease.release()

    assert untouched(victim)
    assert not any(path.is_file() for path in tmp_path.rglob("*") if victim not in path.parents)
    assert not os.path.lexists(lease.path) or above


def old(place: Path) -> Path:
    """A directory with something in it, from a while ago."""
    place.mkdir(parents=True)
    (place / "thesis").mkdir()
    (place / "thesis" / "file").write_text("mine")
    for path in (place / "thesis" / "file", place / "thesis", place):
        os.utime(path, (time.time() - 7200,) * 2)
    return place


@pytest.mark.parametrize("depth", [1, 2])
def test_a_link_in_the_place_of_the_root_leads_nowhere(tmp_path: Path, depth: int) -> None:
    place = old(tmp_path / "elsewhere") if depth == 1 else old(tmp_path / "elsewhere" / "root").parent
    base = tmp_path / "base"
    base.mkdir()
    (base / "using").symlink_to(place)
    root = base / "using" if depth == 1 else base / "using" / "root"
    lease = Lease("one", root, below=base)

    assert lease.sweep() == []
    assert not lease.alive("thesis")
    with pytest.raises(Unavailable, match="link"):
        lease.acquire()

    assert [path.name for path in place.rglob("*") if path.is_file()] == ["file"]
    assert (base / "using").is_symlink()


def test_what_no_server_made_is_not_swept(tmp_path: Path) -> None:
    root = old(tmp_path / "root")
    empty = root / "empty"
    empty.mkdir()
    os.utime(empty, (time.time() - 7200,) * 2)

    assert Lease("one", root).sweep() == ["empty"]
    assert (root / "thesis" / "file").read_text() == "mine"
    assert os.listdir(root / "thesis") == ["file"]


def test_what_is_in_the_way_of_a_lease_is_a_conflict_or_gives_way(tmp_path: Path) -> None:
    for number, obstacle in enumerate(("file", "link")):
        root, blocked = tmp_path / f"{number}", tmp_path / f"blocked{number}"
        root.mkdir()
        for path in (root / "one", blocked):
            path.touch() if obstacle == "file" else path.symlink_to(tmp_path / "nowhere")
        with pytest.raises(Unavailable, match="No lease can be taken"):
            Lease("one", blocked).acquire()
        with Lease("one", root) as lease:
            assert stat.S_ISDIR(lease.path.lstat().st_mode)
    assert not (tmp_path / "nowhere").exists()


CONTENDER = """
import os, sys, threading, time
from jupyter_exec_ext.errors import Conflict
from jupyter_exec_ext.lease import Lease

def contend():
    while time.monotonic() < until:
        lease = Lease("one", sys.argv[1])
        try:
            lease.acquire()
        except Conflict:
            continue
        try:
            os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL))
            time.sleep(0.002)
            assert os.path.exists(lease.path / "lock")
            os.unlink(sys.argv[2])
            held.append(1)
        except (OSError, AssertionError) as error:
            print(repr(error), flush=True)
        lease.release()
        try:
            os.rmdir(sys.argv[1])
        except OSError:
            pass

until, held = time.monotonic() + 2.5, []
threads = [threading.Thread(target=contend) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("held" if held else "never held")
"""


def test_never_do_two_hold_a_lease(tmp_path: Path) -> None:
    # given two processes, and threads in each, that take it and give it up, and remove even the root
    command = [sys.executable, "-c", CONTENDER, str(tmp_path / "root"), str(tmp_path / "holder")]
    contenders = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    # when they have done so for a while, then no one has ever met another one
    assert [contender.communicate()[0] for contender in contenders] == ["held\n"] * 2
    assert not (tmp_path / "root").exists()
