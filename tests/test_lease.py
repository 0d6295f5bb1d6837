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

from jupyter_exec_ext.errors import Conflict, InvalidRequest
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
