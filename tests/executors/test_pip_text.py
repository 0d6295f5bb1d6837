"""What a block says of pip: only what installs is made silent, and no text is touched for that."""

from __future__ import annotations

import time

import pytest

from jupyter_exec_ext.executors.quietpip import quiet_pip
from jupyter_exec_ext.languages import LANGUAGES

from .conftest import Make
from .pips import output


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("pip install a; python -m pip install b", {"PIP_QUIET": "2"}),
        ("pip install a; pip list", {}),
        ("pip --no-cache-dir install a", {}),
        ("pip install -q a", {}),
    ],
)
def test_where_pip_reads_no_such_folder_only_what_asks_for_nothing_else_is_silent(
    code: str, expected: dict[str, str]
) -> None:
    assert quiet_pip(code, LANGUAGES["cmd"], {}, by_folder=False) == expected


@pytest.mark.parametrize("language", ["css", "html", "javascript", "perl", "python"])
def test_only_in_shells_is_anything_done_about_pip(language: str) -> None:
    assert quiet_pip("pip install six", LANGUAGES[language], {}) == {}


@pytest.mark.parametrize(
    "piece",
    [
        "pip install ",
        "pip",
        ";a=x",
        "(",
        "a/",
        " ",
        "\tpip install x -",
        "pip 1",
        "'",
        "'\"",
        "=-",
        "a ",
        "-q=",
    ],
)
def test_a_long_block_is_looked_through_in_time(piece: str) -> None:
    started = time.monotonic()

    for length in (99_000, 2_000_000):
        quiet_pip("pip install x\n" + piece * (length // len(piece)), LANGUAGES["bash"], {})

    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("language", "code", "expected"),
    [
        ("bash", "echo 'first; pip install x'", "first; pip install x\n"),
        ("bash", "echo 'first\npip install x\n'", "first\npip install x\n\n"),
        ("bash", "cat <<A <<'B'\nA\npip install x\nB\n", "pip install x\n"),
        ("bash", "cat <<A; cat <<B\nx\nA\npip install x\nB\n", "x\npip install x\n"),
        ("python", "print('''\n!pip install x\n''')", "\n!pip install x\n\n"),
        ("python", "import os\nprint(os.getenv('PIP_QUIET'), '''\npip install''')", "None \npip install\n"),
    ],
)  # fmt: skip
async def test_text_that_speaks_of_pip_is_left_as_it_is(
    make: Make, language: str, code: str, expected: str
) -> None:
    assert await output(await make(), code, language) == (expected, 0)
