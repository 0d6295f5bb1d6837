"""The text of a kernel's result has no colour codes; its outputs have what was printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .conftest import Make, run

CODE = r"""
print("\x1b[31mred\x1b[0m", flush=True)
print("\x1b[3", end="", flush=True)
import time; time.sleep(.5)
print("2mgreen\x1b[0m")
"""


async def test_colours_leave_the_text_and_stay_in_the_outputs(make: Make) -> None:
    result = await run(await make(), CODE)
    assert result.output == "red\ngreen\n"
    assert [output["text"] for output in result.outputs] == ["\x1b[31mred\x1b[0m\n\x1b[32mgreen\x1b[0m\n"]


async def test_so_it_is_over_rest(rest: Callable[..., Any]) -> None:
    import json

    response = await rest("POST", "executions", {"code": CODE, "environment": "kernel:python3"}, wait=30)
    execution = json.loads(response.body)
    assert execution["output"] == "red\ngreen\n"
    assert execution["outputs"][0]["text"] == "\x1b[31mred\x1b[0m\n\x1b[32mgreen\x1b[0m\n"
