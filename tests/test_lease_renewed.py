"""A lease whose files a block has moved or removed is made anew when the next session begins."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from harness.server import LiveServer

from jupyter_exec_ext.errors import Unavailable
from jupyter_exec_ext.lease import Lease


@pytest.fixture
def lease(tmp_path: Path) -> Lease:
    taken = Lease("server", tmp_path / "runtime" / "leases")
    taken.acquire()
    return taken


def test_a_runtime_directory_that_was_removed_is_made_anew(lease: Lease) -> None:
    shutil.rmtree(lease.root.parent)

    path = lease.session_path("one")

    assert path.is_dir()
    assert Lease(root=lease.root).alive("server")
    lease.release()
    assert not lease.path.exists()


def test_a_lock_that_was_removed_is_made_anew_and_the_records_stay(lease: Lease) -> None:
    with lease.kernels(make=True):
        pass
    (lease.path / "lock").unlink()

    path = lease.session_path("one")

    assert path.is_dir()
    assert (lease.path / "kernels").is_dir()
    assert Lease(root=lease.root).alive("server")
    lease.release()


def test_a_directory_that_was_moved_away_is_made_anew(lease: Lease, tmp_path: Path) -> None:
    lease.path.rename(tmp_path / "moved")

    assert lease.session_path("one").is_dir()
    lease.release()


def test_where_it_cannot_be_made_the_error_says_so(lease: Lease) -> None:
    shutil.rmtree(lease.root)
    lease.root.write_text("in the way")

    with pytest.raises(Unavailable, match="remove that"):
        lease.session_path("one")

    lease.root.unlink()
    assert lease.session_path("one").is_dir()
    lease.release()


@pytest.mark.parametrize("what", ["", "lock"], ids=["all of it", "the lock"])
def test_a_block_that_removes_it_harms_no_later_run(tmp_path: Path, what: str) -> None:
    server = LiveServer(tmp_path)
    server.call("GET", "environments")  # which waits until it has started
    (mine,) = server.leases.iterdir()
    victim = mine / what if what else server.leases
    code = f"import os, shutil\nshutil.rmtree({str(victim)!r}, ignore_errors=True)\n"
    code += f"if os.path.isfile({str(victim)!r}): os.unlink({str(victim)!r})"

    def run(code: str) -> str:
        body = {"environment": "local", "language": "python", "code": code}
        return str(server.call("POST", "executions?wait=30", body)["status"])

    try:
        assert run(code) == "ok"
        assert not victim.exists()
        assert run("print('next')") == "ok"
        assert victim.exists()
    finally:
        log = server.stop()
    assert "Traceback" not in log
    assert list(server.leases.iterdir()) == []
