"""From what a kernel says at the end of a cell to status, exit code and cause."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_exec_ext.errors import KernelDied
from jupyter_exec_ext.executors.kernelverdict import judge_death, judge_reply

FAILED = "Command 'b'...'' "
EXITED, KILLED = f"{FAILED}returned non-zero exit status 3.", f"{FAILED}died with <Signals.SIGKILL: 9>."


@pytest.mark.parametrize(
    ("name", "value", "script", "code", "cause"),
    [
        ("SystemExit", "3", False, 3, "It ended with exit code 3."),
        ("SystemExit", "257", False, 1, "It ended with exit code 1."),
        ("SystemExit", "words", False, 1, "It ended with SystemExit: words."),
        ("", "127", False, 127, "It ended with exit code 127."),
        ("CalledProcessError", EXITED, True, 3, "It ended with exit code 3."),
        ("CalledProcessError", KILLED, True, 137, "It was ended by SIGKILL."),
        (
            "CalledProcessError",
            f"{FAILED}died with unknown signal 70.",
            True,
            198,
            "It was ended by signal 70.",
        ),
        ("CalledProcessError", "unheard of", True, 1, "It ended with CalledProcessError: unheard of."),
    ],
)
def test_an_error_says_how_it_ended(name: str, value: str, script: bool, code: int, cause: str) -> None:
    told = judge_reply({"status": "error", "ename": name, "evalue": value}, script=script)
    assert (told.status, told.exit_code, told.cause) == ("failed", code, cause)


def test_a_program_that_a_cell_of_python_starts_has_an_exit_code_of_its_own() -> None:
    told = judge_reply({"status": "error", "ename": "CalledProcessError", "evalue": EXITED})
    assert told.exit_code == 1  # as of a script, which ends with a traceback


@pytest.mark.parametrize("value", ["", "0", "None"])
def test_an_exit_that_says_nothing_is_ok(value: str) -> None:
    told = judge_reply({"status": "error", "ename": "SystemExit", "evalue": value})
    assert (told.status, told.exit_code, told.cause) == ("ok", 0, None)


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        ({"status": "aborted"}, "The kernel did not run it"),
        ({}, "The kernel gave no reply"),
        ({"status": "unheard of"}, "The kernel gave no reply"),
        ({"status": [1]}, "The kernel gave no reply"),
    ],
)
def test_what_does_not_say_that_it_went_well_is_no_success(reply: dict[str, Any], cause: str) -> None:
    told = judge_reply(reply)
    assert (told.status, told.exit_code) == ("failed", 1)
    assert str(told.cause).startswith(cause)


@pytest.mark.parametrize(("code", "shown"), [(0, None), (None, None), (1, 1), (-9, 137)])
def test_a_cell_whose_kernel_has_ended_has_no_exit_code_that_says_ok(
    code: int | None, shown: int | None
) -> None:
    told = judge_death(KernelDied("The kernel died.", code=code))
    assert (told.status, told.exit_code) == ("failed", shown)
