"""A kernelspec that starts IPython by a script: nothing but the kernel itself says what it is."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from .conftest import Make, run


@pytest.fixture
def wrapped(specs: KernelSpecManager, tmp_path: Path) -> str:
    """The name of a kernelspec whose program is a shell script."""
    folder = Path(specs.kernel_dirs[0], "wrapped")
    folder.mkdir()
    script = tmp_path / "start-kernel"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m ipykernel_launcher -f "$1"\n')
    script.chmod(0o700)
    spec = {"argv": [str(script), "{connection_file}"], "language": "python", "display_name": "Wrapped"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    return "wrapped"


async def test_it_is_prepared_like_any_other(make: Make, wrapped: str) -> None:
    executor = await make(wrapped)
    first = await run(executor, "import threading, time\ngo = threading.Event()\n"
                      "threading.Thread(target=lambda: [go.wait(), print('late')]).start()")  # fmt: skip
    second = await run(executor, "go.set(); time.sleep(.5); print('mine')")
    assert (first.output, second.output) == ("", "mine\n")


async def test_what_an_old_kind_of_thread_prints_is_not_the_next_blocks(make: Make) -> None:
    # given: a thread of `_thread`, which `threading` knows nothing of
    executor = await make()
    code = """
import _thread, time
go = _thread.allocate_lock(); go.acquire()
def speak(*words, end):
    go.acquire()
    print(*words, end=end)
_thread.start_new_thread(speak, ("late", "words"), {"end": "!"})
print("soon")
"""
    late: list[str] = []
    # when
    first = await run(executor, code, late=lambda event: late.append(event.data.get("text", "")))
    second = await run(executor, "go.release(); time.sleep(.5); print('mine')")
    await asyncio.sleep(0.5)
    # then
    assert (first.output, second.output) == ("soon\n", "mine\n")
    assert "".join(late) == "late words!"


async def test_a_wrong_start_of_such_a_thread_is_told_as_python_tells_it(make: Make) -> None:
    executor = await make()
    for call in ("(5, ())", "(print, [])", "(print, (), 5)"):
        result = await run(executor, f"import _thread; _thread.start_new_thread{call}")
        assert "TypeError" in result.output, call


async def test_what_cannot_be_preloaded_is_warned_of_once(
    make: Make, environment: object, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    from jupyter_exec_ext.environments.kernel import KernelEnvironment

    executor = await make()
    assert isinstance(executor.environment, KernelEnvironment)
    executor.environment.preload = ("json", "missing_module")
    for _ in range(2):
        await executor.restart()
    warned = [record.message for record in caplog.records if "preload" in record.message]
    assert warned == [
        "kernel:python3 could not preload missing_module, and starts without it: "
        "ModuleNotFoundError(\"No module named 'missing_module'\")"
    ]
    assert (await run(executor, "import sys; 'json' in sys.modules")).output == "True\n"
