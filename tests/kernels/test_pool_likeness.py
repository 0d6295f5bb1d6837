"""KernelPool: a kernel of the pool is like one just started in the folder where it is wanted."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.environments.kernel import KernelEnvironment
from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.kernels.client import JupyterClient
from jupyter_exec_ext.models import CodeBlock

from .conftest import filled

PYTHON = "kernel:python3"

#: What a program can see of where, how and after what its kernel was started.
LOOK_AROUND = """
import json as _json, multiprocessing as _mp, os as _os, sys as _sys, threading as _t
_shell = get_ipython()
print(_json.dumps({
    "globals": sorted(globals()),
    "cwd": _os.getcwd(),
    "path": _sys.path,
    "argv": len(_sys.argv),
    "environ": {k: v for k, v in _os.environ.items() if not k.startswith("JPY_")},
    "jpy": sorted(k for k in _os.environ if k.startswith("JPY_")),
    "In": In, "Out": Out, "_dh": [str(folder) for folder in _dh],
    "history": list(_shell.history_manager.get_range(raw=True)),
    "count": _shell.execution_count,
    "starting_dir": _shell.starting_dir,
    "children_start_in": _mp.process.ORIGINAL_DIR,
    "exception": [getattr(_sys, name, None) for name in ("last_type", "last_value", "last_traceback")],
    "threads": sorted(thread.name for thread in _t.enumerate()),
    "nothing": [_, __, ___, _i, _ii, _iii],
}))
"""


async def look(executor: JupyterCodeExecutor) -> dict[str, Any]:
    result = await executor.execute_code_blocks([CodeBlock(code=LOOK_AROUND)])
    assert result.outcome.status == "ok", result.output
    return json.loads(result.output)  # type: ignore[no-any-return]


@pytest.mark.parametrize("where", ["", "deep/er", "мій проєкт '\""])
async def test_a_kernel_of_the_pool_is_like_a_fresh_one_in_that_folder(
    client: JupyterClient, environment: Any, make_pool: Any, tmp_path: Path, where: str
) -> None:
    pool = await make_pool()
    (ready,) = await filled(pool)
    folder = tmp_path / where
    folder.mkdir(parents=True, exist_ok=True)
    fresh = JupyterCodeExecutor(environment(), folder, client=client)
    pooled = JupyterCodeExecutor(environment(), folder, client=client, pool=pool)

    async with fresh, pooled:
        assert pooled.kernel_id == ready
        expected = await look(fresh)
        assert await look(pooled) == expected
        assert expected["cwd"] == str(folder)

        await asyncio.gather(fresh.restart(), pooled.restart())  # it begins there again
        assert await look(pooled) == await look(fresh) == expected


async def test_first_cell_is_number_one_and_modules_of_the_folder_are_found(
    environment: Any, client: JupyterClient, make_pool: Any, tmp_path: Path
) -> None:
    pool = await make_pool()
    (ready,) = await filled(pool)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "mine_alone.py").write_text("x = 6")
    (folder / "json").mkdir()  # is in nobody's way, since it is no package

    async with JupyterCodeExecutor(environment(), folder, client=client, pool=pool) as executor:
        assert executor.kernel_id == ready
        code = CodeBlock(code="import mine_alone\nmine_alone.x * 7")
        events = [event async for event in executor.run([code])]

    (result,) = [event.data for event in events if event.type == "execute_result"]
    assert (result["execution_count"], result["data"]["text/plain"]) == (1, "42")


@pytest.mark.parametrize("beside", [False, True])
async def test_a_kernel_whose_modules_would_be_others_in_the_folder_is_not_used_there(
    environment: Any, client: JupyterClient, make_pool: Any, tmp_path: Path, beside: bool
) -> None:
    def find(name: str) -> KernelEnvironment:
        return environment(name, preload=["wanted"])  # type: ignore[no-any-return]

    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "wanted.py").write_text("x = 'root'")
    if beside:
        (folder / "wanted.py").write_text("x = 'project'")
    pool = await make_pool(find=find)
    (ready,) = await filled(pool)

    async with JupyterCodeExecutor(find(PYTHON), folder, client=client, pool=pool) as executor:
        result = await executor.execute_code_blocks([CodeBlock(code="import wanted; print(wanted.x)")])
        assert executor.kernel_id != ready
    assert result.output == "project\n" if beside else "ModuleNotFoundError" in result.output
    assert pool.ready == {PYTHON: 1}  # it stays for who wants it in the root
    assert await pool.take(find(PYTHON), tmp_path) == ready


async def test_preloaded_modules_are_there_before_the_first_cell(
    environment: Any, client: JupyterClient, make_pool: Any, tmp_path: Path
) -> None:
    def find(name: str) -> KernelEnvironment:
        return environment(name, preload=["colorsys", "nowhere_at_all"])  # type: ignore[no-any-return]

    pool = await make_pool(find=find)
    await filled(pool)
    async with JupyterCodeExecutor(find(PYTHON), tmp_path, client=client, pool=pool) as executor:
        result = await executor.execute_code_blocks(
            [CodeBlock(code="import sys; print('colorsys' in sys.modules, 'colorsys' in globals())")]
        )
    assert result.output == "True False\n"
