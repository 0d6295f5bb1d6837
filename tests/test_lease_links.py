"""What else lies where a lease is, a link or somebody's folder, is neither followed nor swept."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from jupyter_exec_ext.errors import Unavailable
from jupyter_exec_ext.lease import Lease


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

    if above:
        with pytest.raises(Unavailable, match="a link or a file in its place"):
            lease.session_path("s2")
    else:  # it gives way, as it does where a session has its directory
        lease.session_path("s2").joinpath("file").touch()
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
