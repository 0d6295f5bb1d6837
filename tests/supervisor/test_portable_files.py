"""The workspace's files without directory handles: links are refused wherever they are."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from jupyter_exec_ext.supervisor.paths import FileRefused
from jupyter_exec_ext.supervisor.portable.files import Workspace, is_link, names_of


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory that is nobody's business, with one file."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret").write_text("untouched")
    return path


@pytest.fixture
def workspace(tmp_path: Path, outside: Path) -> Workspace:
    """A workspace with links to what is outside."""
    root = tmp_path / "workspace"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "file").write_bytes(b"line\r\n\x1a")
    (root / "folder").symlink_to(outside)
    (root / "link").symlink_to(outside / "secret")
    return Workspace(str(root))


def put(workspace: Workspace, path: str, data: bytes) -> None:
    file = workspace.create(path)
    file.write(data)
    os.close(file.commit())


def test_bytes_come_and_go_as_they_are(workspace: Workspace) -> None:
    put(workspace, "new/deep/file", b"a\r\nb\n\x1a\x00")

    descriptor, size = workspace.open("new/deep/file")
    data = os.read(descriptor, 100)
    os.close(descriptor)

    assert (data, size) == (b"a\r\nb\n\x1a\x00", 7)
    workspace.delete("new/deep/file")
    assert os.listdir(Path(workspace.root) / "new" / "deep") == []


def test_what_is_in_the_way_is_named(workspace: Workspace) -> None:
    cases = {
        "'sub/file' is not a directory": lambda: put(workspace, "sub/file/below/it", b""),
        "'sub' is a directory": lambda: put(workspace, "sub", b""),
        "'sub' is not empty": lambda: workspace.delete("sub"),
    }
    for text, do in cases.items():
        with pytest.raises(FileRefused, match=text) as refused:
            do()
        assert refused.value.reason == "conflict"
    with pytest.raises(FileRefused, match="no file"):
        workspace.open("sub/file/below")
    assert (Path(workspace.root) / "sub" / "file").read_bytes() == b"line\r\n\x1a"


@pytest.mark.parametrize("path", ["link", "folder/secret", "folder/new"])
def test_no_link_is_followed(workspace: Workspace, outside: Path, path: str) -> None:
    with pytest.raises(FileRefused) as read:
        workspace.open(path)
    with pytest.raises(FileRefused) as written:
        put(workspace, path, b"mine")

    assert {read.value.reason, written.value.reason} == {"refused"}
    assert [(file.name, file.read_text()) for file in outside.iterdir()] == [("secret", "untouched")]


def test_a_link_is_deleted_and_not_what_it_points_at(workspace: Workspace, outside: Path) -> None:
    workspace.delete("link")
    workspace.delete("folder")

    assert (outside / "secret").read_text() == "untouched"
    with pytest.raises(FileRefused, match="no file"):
        workspace.delete("link")


def test_a_link_that_takes_the_place_meanwhile_is_refused(workspace: Workspace, outside: Path) -> None:
    root = Path(workspace.root)
    file = workspace.create("new")
    file.write(b"mine")
    (root / "new").symlink_to(outside / "secret")

    with pytest.raises(FileRefused):
        file.commit()

    assert (outside / "secret").read_text() == "untouched"
    assert sorted(os.listdir(root)) == ["folder", "link", "new", "sub"]


def test_a_listing_names_links_as_links_and_does_not_enter_them(workspace: Workspace) -> None:
    listing = workspace.list()
    entries = listing.slice()

    assert {entry["path"]: entry["type"] for entry in entries} == {
        "sub": "directory", "sub/file": "file", "folder": "link", "link": "link",
    }  # fmt: skip
    assert listing.done
    assert not listing.more


def test_only_regular_files_are_read(workspace: Workspace) -> None:
    os.mkfifo(Path(workspace.root) / "fifo")

    for path in ("fifo", "sub"):
        with pytest.raises(FileRefused, match="not a regular file"):
            workspace.open(path)


@pytest.mark.parametrize(
    "path",
    ["C:/x", "C:x", "a\\b", "..\\x", "\\\\server\\share", "file:stream", "NUL", "con.txt", "sub/com1",
     "LPT¹.log", "CONIN$", "aux .txt", "x.", "sub /x", "a*", "a?", "a|b", "a\x01"],
)  # fmt: skip
def test_windows_names_that_mean_something_else_are_refused(path: str) -> None:
    with pytest.raises(FileRefused, match="Windows"):
        names_of(path, windows=True)


@pytest.mark.parametrize("path", ["a/b.txt", "console", "nullable.py", ".hidden", "com10", "ä ö.py"])
def test_windows_names_that_are_names_are_taken(path: str) -> None:
    assert names_of(path, windows=True) == path.split("/")


@pytest.mark.parametrize("path", ["", "../x", "/x", "a//b", "a/../b", ".", "\0"])
def test_paths_that_lead_out_are_refused_everywhere(path: str) -> None:
    for windows in (True, False):
        with pytest.raises(FileRefused):
            names_of(path, windows=windows)


def test_a_junction_counts_as_a_link() -> None:
    # What os.lstat says of one on Windows: a directory, with the attribute of a reparse point.
    junction = SimpleNamespace(st_mode=0o040777, st_file_attributes=0x410)
    folder = SimpleNamespace(st_mode=0o040777, st_file_attributes=0x10)

    assert is_link(junction)  # type: ignore[arg-type]
    assert not is_link(folder)  # type: ignore[arg-type]


def test_a_module_that_replaces_another_has_a_later_second_and_other_files_have_their_time(
    workspace: Workspace,
) -> None:
    for name in ("module.py", "data.txt"):
        put(workspace, name, b"1")
        before = (Path(workspace.root) / name).stat().st_mtime
        put(workspace, name, b"2")
        after = (Path(workspace.root) / name).stat().st_mtime
        assert (int(after) > int(before)) == (name == "module.py")
    # one that is dated far ahead is no reason to do the same
    os.utime(Path(workspace.root) / "module.py", (4e9, 4e9))
    put(workspace, "module.py", b"3")
    assert (Path(workspace.root) / "module.py").stat().st_mtime < 3e9
