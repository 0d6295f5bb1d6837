"""Images and HTML as files in `output_dir`. Real kernels, and messages as kernels may send them."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.errors import InvalidRequest
from jupyter_exec_ext.events import Event
from jupyter_exec_ext.executors import outputfiles
from jupyter_exec_ext.executors.base import CodeResult
from jupyter_exec_ext.executors.outputfiles import OutputFiles
from jupyter_exec_ext.kernels.heavy import HUGE
from jupyter_exec_ext.kernels.wire import Message
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

#: The bytes need not be an image: nobody here looks at them.
BYTES = b"\x00\xff some bytes"
ENCODED = base64.encodebytes(BYTES).decode()
SHOW = f"""
from IPython.display import display
def show(**data):
    display({{kind.replace("_", "/", 1): value for kind, value in data.items()}}, raw=True)
encoded = {ENCODED!r}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "shown"
    made.mkdir()
    return made


async def run(executor: Any, code: str) -> CodeResult:
    result: CodeResult = await executor.execute_code_blocks([CodeBlock(code=SHOW + code)])
    return result


def saved(result: CodeResult) -> dict[str, bytes]:
    """The files' contents, by suffix."""
    return {Path(path).suffix: Path(path).read_bytes() for path in result.outcome.output_files}


async def test_each_kind_is_a_file_with_the_right_suffix(make: Make, folder: Path) -> None:
    executor = await make(output_dir=folder)
    kinds = ["image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf"]
    kinds += ["image/bmp", "image/avif", "image/x-icon"]
    code = f"for kind in {kinds}: display({{kind: encoded, 'text/plain': '<image>'}}, raw=True)\n"
    code += "show(**{'image_svg+xml': '<svg>é</svg>'}); show(text_html='<b>é</b>')\n1"

    result = await run(executor, code)

    assert saved(result) == {
        **dict.fromkeys([".png", ".jpg", ".gif", ".webp", ".pdf", ".bmp", ".avif", ".ico"], BYTES),
        ".svg": "<svg>é</svg>".encode(),
        ".html": "<b>é</b>".encode(),
    }
    assert [Path(path) for path in result.outcome.output_files] == sorted(folder.iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert result.output == "<image>\n" * 8 + "\n\n1\n"


async def test_each_form_of_a_result_that_is_an_image_or_html_is_saved(make: Make, folder: Path) -> None:
    executor = await make(output_dir=folder)
    code = """
class Table:
    def _repr_html_(self): return "<table></table>"
    def _repr_png_(self): return b"png"
Table()"""

    result = await run(executor, code)

    assert saved(result) == {".html": b"<table></table>", ".png": b"png"}
    assert len(list(folder.iterdir())) == 2


async def test_nothing_is_saved_without_a_directory_and_plain_text_never(
    make: Make, folder: Path, tmp_path: Path
) -> None:
    assert (await run(await make(), "show(text_html='x')")).outcome.output_files == []
    assert (await run(await make(output_dir=folder), "print(1)\n1")).outcome.output_files == []
    assert list(folder.iterdir()) == []


async def test_executions_do_not_overwrite_each_other(make: Make, folder: Path) -> None:
    executor = await make(output_dir=folder)
    for _ in range(2):
        await run(executor, "show(text_html='x'); show(text_html='y')")
    assert sorted(path.read_text() for path in folder.iterdir()) == ["x", "x", "y", "y"]


async def test_an_animation_is_its_first_and_its_last_picture(make: Make, folder: Path) -> None:
    executor = await make(output_dir=folder)
    code = """
handle = display({"text/html": "0"}, raw=True, display_id=True)
for number in range(1, 50): handle.update({"text/html": str(number)}, raw=True)"""

    result = await run(executor, code)

    assert [Path(path).read_text() for path in result.outcome.output_files] == ["0", "49"]


async def test_what_was_shown_before_a_timeout_is_saved(make: Make, folder: Path) -> None:
    from jupyter_exec_ext.executors.base import RunOptions

    executor = await make(output_dir=folder)
    block = CodeBlock(code=SHOW + "show(image_png=encoded)\nimport time; time.sleep(60)")

    result = await executor.execute_code_blocks([block], RunOptions(timeout=2))

    assert result.outcome.status == "timeout"
    assert saved(result) == {".png": BYTES}


async def test_broken_base64_is_a_note_and_the_rest_is_saved(make: Make, folder: Path) -> None:
    executor = await make(output_dir=folder)
    code = SHOW + "show(image_png='no base64!', text_plain='x'); show(image_png='é'); show(text_html='y')"

    events: list[Event] = [event async for event in executor.run([CodeBlock(code=code)])]

    notes = [event.data["label"] for event in events if event.type == "progress"]
    assert notes == ["A display of image/png was not saved: it is not base64."]
    outcome = events[-1].data["outcome"]
    assert (outcome.status, [Path(path).suffix for path in outcome.output_files]) == ("ok", [".html"])


async def test_an_image_that_is_too_large_to_be_read_is_a_note(folder: Path) -> None:
    files = OutputFiles(folder)
    files.take(Message("iopub", "display_data", "p", "execute_request", "k", {}, HUGE + 1))
    (note,) = await files.finish()
    assert note == f"A display of {HUGE + 1:,} bytes was not saved: it is over the limit of one message."


@pytest.mark.parametrize("name", ["missing", "file"])
async def test_an_output_directory_that_is_none_is_refused(make: Make, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidRequest, match="There is no directory .* for output files") as caught:
        await make(output_dir=tmp_path / name)
    assert isinstance(caught.value, ValueError)
    assert caught.value.field == "output_dir"


# -- without a kernel ----------------------------------------------------------------------------------


def html(text: Any, kind: str = "display_data", **more: Any) -> Message:
    return Message("iopub", kind, "", "", "", {"data": {"text/html": text}, "metadata": {}, **more})


async def test_number_and_bytes_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputfiles, "MAX_FILES", 3)
    monkeypatch.setattr(outputfiles, "MAX_BYTES", 100)

    many, large = OutputFiles(folder), OutputFiles(folder)
    for _ in range(10):
        many.take(html("x"))
    for text in ("x" * 101, "é" * 60, "y"):
        large.take(html(text))

    for files, count in ((many, 3), (large, 1)):
        (note,) = await files.finish()
        assert note.startswith("Some displays were not saved: ")
        assert len(files.paths) == count
    assert len(list(folder.iterdir())) == 4


async def test_a_link_in_the_place_of_the_directory_is_not_followed(folder: Path, tmp_path: Path) -> None:
    files = OutputFiles(folder.resolve())
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")

    files.take(html("x"))

    (note,) = await files.finish()
    assert note == f"A display of text/html was not saved in {folder}: Not a directory."
    assert files.paths == []
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_a_link_in_the_place_of_a_file_is_not_written_through(folder: Path, tmp_path: Path) -> None:
    files = OutputFiles(folder.resolve())
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (folder / f"{files._name}-001.html").symlink_to(precious)

    for text in ("x", "y"):
        files.take(html(text))

    (note,) = await files.finish()
    assert note.endswith("File exists.")
    assert [Path(path).read_text() for path in files.paths] == ["y"]
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("data", [None, [], "x", {"text/html": 3}, {"text/html": [1]}, {"text/html": ""}])
async def test_what_is_no_display_is_left_out(folder: Path, data: Any) -> None:
    files = OutputFiles(folder)
    for kind in ("display_data", "update_display_data"):
        files.take(Message("iopub", kind, "", "", "", {"data": data, "transient": {"display_id": []}}))
    files.take(Message("iopub", "display_data", "", "", ""))
    assert await files.finish() == []
    assert files.paths == []


async def test_lines_as_nbformat_has_them_and_what_is_not_unicode(folder: Path) -> None:
    files = OutputFiles(folder)
    files.take(html(["<b>\n", "\ud800</b>"]))
    assert await files.finish() == []
    assert Path(files.paths[0]).read_text(encoding="utf-8") == "<b>\n\ufffd</b>"


# -- in the server -------------------------------------------------------------------------------------


class TestServer:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: dict[str, Any], folder: Path) -> dict[str, Any]:
        return {**jp_server_config, "ExecApp": {"executor_settings": {"output_dir": str(folder)}}}

    async def test_an_execution_names_its_output_files(self, rest: Callable[..., Any], folder: Path) -> None:
        body = {"code": SHOW + "show(image_png=encoded)", "environment": "kernel:python3"}

        answered = json.loads((await rest("POST", "executions", body, wait=60)).body)

        assert answered["status"] == "ok"
        assert [Path(path) for path in answered["output_files"]] == list(folder.iterdir())
