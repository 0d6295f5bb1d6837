"""What a cell has come to whose kernel forgets how it ended. Real kernels."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from jupyter_exec_ext.executors.base import CodeResult, RunOptions
from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.kernels import request
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "SECOND_END", 1.0)


async def run(executor: JupyterCodeExecutor, *codes: str) -> CodeResult:
    blocks = [CodeBlock(code=code) for code in codes]
    return await executor.execute_code_blocks(blocks, RunOptions(timeout=30))


async def test_a_cell_that_the_kernel_never_ran_is_no_success(make: Make, tmp_path: Path) -> None:
    executor = await make()
    await run(executor, "import sys; sys.stdout = None")  # then ipykernel fails before each cell

    result = await run(executor, f"open({str(tmp_path / 'ran')!r}, 'w')", "print('the next block')")

    assert (result.outcome.status, result.exit_code) == ("failed", 1)
    assert "The kernel gave no reply" in str(result.outcome.verdict.cause)
    assert not (tmp_path / "ran").exists()
    assert result.outcome.verdict.state_kept


async def test_without_a_reply_nothing_is_ok_and_without_idle_it_is(make: Make) -> None:
    executor = await make("faulty")

    unanswered = await run(executor, "raise it")
    ran = await run(executor, "forget_idle")
    after = await run(executor, "say after")

    assert (unanswered.outcome.status, unanswered.exit_code) == ("failed", 1)
    assert "The kernel gave no reply" in str(unanswered.outcome.verdict.cause)
    assert (ran.outcome.status, ran.output) == ("ok", "ran")
    assert (after.outcome.status, after.output) == ("ok", "after")


@pytest.mark.parametrize(
    "code",
    [
        'send display_data {"data": {"text/plain": [1, 2]}, "metadata": [1]}',
        'send execute_result {"data": {"text/plain": [null]}, "execution_count": "x"}',
        'send update_display_data {"data": {"text/html": {"a": 1}}, "transient": {"display_id": {"a": [1]}}}',
        'send error {"ename": 5, "evalue": {"a": 1}, "traceback": [1, null]}',
        'send stream {"name": [1], "text": {"a": 1}}',
        'send input_request {"prompt": [1]}',
        'reply {"payload": 5}',
        'reply {"payload": [5, {"source": {"a": 1}}, {"source": "page", "data": {"text/plain": 5}}]}',
        *(
            f'reply {{"payload": [{{"source": "page", "data": {data}}}]}}'
            for data in ("5", "null", "[1]", '"a"')
        ),
    ],
)
async def test_whatever_a_kernel_sends_the_run_keeps_its_own_verdict(make: Make, code: str) -> None:
    executor = await make("faulty")
    before = executor.kernel_id

    result = await run(executor, code, "say after")

    assert (result.outcome.status, result.exit_code) == ("ok", 0)
    assert result.output.endswith("after")
    cell = nbformat.v4.new_code_cell(outputs=result.outputs)
    nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))
    assert executor.kernel_id == before, "it is another kernel"


@pytest.mark.parametrize(
    ("depth", "note"),
    [
        (600, "text\n[left out, since it is nested more than 200 deep: application/json]\n"),
        (200_000, "bytes was left out, since it is nested too deep]\n"),
    ],
)
async def test_what_is_nested_too_deep_is_left_out_and_ends_no_run(make: Make, depth: int, note: str) -> None:
    executor = await make("faulty")
    before = executor.kernel_id

    result = await run(executor, f"deep {depth}")

    assert (result.outcome.status, result.exit_code) == ("ok", 0)
    assert result.output.endswith(note)
    assert result.outcome.truncated
    assert (await run(executor, "deep 100")).outputs[0]["data"]["text/plain"] == "text"
    assert executor.kernel_id == before
