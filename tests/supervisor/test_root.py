"""The workspace itself: a link that takes its place leads nowhere, and one that is made anew is found."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.supervisor.files import Workspace
from jupyter_exec_ext.supervisor.paths import FileRefused
from jupyter_exec_ext.supervisor.portable.files import Workspace as PortableWorkspace

from .session import Session

#: What a block does to its working directory, or to the one above it.
SWAP = "import os\nhere = {here!r}\nos.rename(here, here + '-old')\nos.symlink({there!r}, here)"


@pytest.fixture(params=[False, True], ids=["posix", "portable"])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    """A session of its own, two directories below the one that is ours."""
    with Session(tmp_path / "above", portable=request.param) as made:
        yield made
    assert made.complaints == ""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Somewhere else, with a file; it looks the same from `above` on."""
    for folder in (tmp_path / "outside", tmp_path / "outside" / "workspace"):
        folder.mkdir()
        (folder / "secret").write_text("untouched")
    return tmp_path / "outside"


def answers(session: Session) -> list[dict[str, Any]]:
    """What the last frame says of a list, of a file each way, of a removal, and of runs."""
    requests = [("list", ""), ("get", "secret"), ("put", "planted"), ("put", "secret"), ("delete", "secret")]
    asked = [session.ask(op, path=path)[-1][1] for op, path in requests]
    code = "open('planted', 'w')"
    runs = [session.run(code), session.run(code, file="named.py"), session.run("touch planted", "bash")]
    return [*asked, *(run.report for run in runs)]


@pytest.mark.parametrize("above", [False, True], ids=["itself", "above"])
def test_a_link_in_the_place_of_the_workspace_leads_nowhere(
    session: Session, outside: Path, above: bool
) -> None:
    here = session.workspace.parent if above else session.workspace
    session.run(SWAP.format(here=str(here), there=str(outside)))

    refused = answers(session)

    assert {answer["op"] for answer in refused} == {"refused"}
    assert {"replaced by a link" in answer["message"] for answer in refused} == {True}
    for folder in (outside, outside / "workspace"):
        assert (folder / "secret").read_text() == "untouched"
    assert {path.name for path in outside.rglob("*")} == {"secret", "workspace"}


def test_a_session_goes_on_when_the_directory_is_put_back(session: Session, outside: Path) -> None:
    session.run(SWAP.format(here=str(session.workspace), there=str(outside)))
    assert session.run("print(1)").report["op"] == "refused"

    session.workspace.unlink()
    session.workspace.with_name("workspace-old").rename(session.workspace)

    assert session.run("import os; print(os.getcwd())").stdout == f"{session.workspace}\n"
    assert session.ask("list")[-1][1]["op"] == "done"


def test_what_is_made_anew_is_the_workspace(session: Session) -> None:
    session.run("print('the next process waits here')")
    session.run("import os, shutil; shutil.rmtree(os.getcwd())")
    assert "is gone" in session.run("print(1)").report["message"]

    session.workspace.mkdir()

    for number, language in enumerate(("python", "bash", "python")):
        code = f"open('{number}', 'w').close()" if language == "python" else f"touch {number}"
        assert session.run(code, language).report["exit"] == 0
    assert sorted(os.listdir(session.workspace)) == ["0", "1", "2"]
    assert session.ask("put", path="3")[-1][1]["op"] == "go"


@pytest.mark.parametrize("kind", [Workspace, PortableWorkspace])
@pytest.mark.parametrize("replaced", ["above/workspace", "above"])
def test_a_file_in_the_place_of_the_workspace_or_above_it_is_named(
    tmp_path: Path, kind: type[Workspace | PortableWorkspace], replaced: str
) -> None:
    folder, file = tmp_path / "above/workspace", tmp_path / replaced
    folder.mkdir(parents=True)
    workspace = kind(str(folder))
    shutil.rmtree(file)
    file.touch()

    with pytest.raises(FileRefused) as refused:
        workspace.open("any")

    assert str(folder) in str(refused.value)
    assert f"{file} was replaced by a file" in str(refused.value)


def test_a_link_in_the_place_of_the_private_directory_is_refused(session: Session, outside: Path) -> None:
    shutil.rmtree(session.private)
    session.private.symlink_to(outside)

    refused = session.run("print(1)").report

    assert refused["op"] == "refused"
    assert "replaced by a link" in refused["message"]
    assert sorted(os.listdir(outside)) == ["secret", "workspace"]


@pytest.mark.parametrize("kind", [Workspace, PortableWorkspace])
def test_what_lies_behind_a_linked_folder_is_told_so(tmp_path: Path, kind: Any) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.py").touch()
    (tmp_path / "ld").symlink_to("real")
    (tmp_path / "file").touch()
    workspace = kind(str(tmp_path))

    for request in (workspace.open, workspace.create, workspace.delete):
        with pytest.raises(FileRefused, match="lies behind one; links are not followed") as refused:
            request("ld/x.py")
        assert refused.value.reason == "refused"
    with pytest.raises(FileRefused, match="There is no file") as missing:
        workspace.open("file/x.py")
    assert missing.value.reason == "not_found"
