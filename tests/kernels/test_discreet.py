"""A block in somebody else's kernel leaves the notebook's results, and its last error, as they were."""

from __future__ import annotations

from .conftest import Make, run

LOOK = "print(_, __, ___, sorted(Out), _1, sys.last_value)"


async def test_results_and_errors_of_a_notebook_are_there_after_a_block_of_ours(make: Make) -> None:
    # given
    notebook = await make()
    for code in ("import sys; 'one'", "'two'", "'three'", "1/0"):
        await run(notebook, code)
    before = await run(notebook, LOOK)
    attached = await make(kernel_id=notebook.kernel_id)
    # when
    results = [
        await run(attached, code) for code in ("'ours'", "unknown", "'ours'; _", "mine = 'kept'; mine")
    ]
    # then
    assert [result.output.splitlines()[-1] for result in results] == [
        "'ours'",
        "NameError: name 'unknown' is not defined",
        "'three'",
        "'kept'",
    ]
    assert before.output == "three two one [1, 2, 3] one division by zero\n"
    assert (await run(notebook, LOOK)).output == before.output
    assert (await run(notebook, "print(mine, get_ipython().execution_count)")).output == "kept 8\n"


async def test_what_a_block_assigns_stays(make: Make) -> None:
    notebook = await make()
    await run(notebook, "'one'")
    attached = await make(kernel_id=notebook.kernel_id)
    await run(attached, "_ = 'assigned'; Out[1] = 'other'; 5")
    assert (await run(notebook, "_")).output == "'assigned'\n"


async def test_a_session_of_its_own_has_them_as_a_notebook_has(make: Make) -> None:
    own = await make()
    await run(own, "6 * 7")
    assert (await run(own, "print(_, Out[1])")).output == "42 42\n"


async def test_two_attached_sessions_tell_the_kernel_once_and_again_after_its_restart(make: Make) -> None:
    notebook = await make()
    first, second = await make(kernel_id=notebook.kernel_id), await make(kernel_id=notebook.kernel_id)
    callbacks = "print(len(get_ipython().events.callbacks['pre_run_cell']))"

    before = (await run(first, callbacks)).output
    assert (await run(second, callbacks)).output == before
    await notebook.restart()
    assert (await run(first, callbacks)).output == before
