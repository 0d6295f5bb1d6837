"""Escape sequences leave text, in whatever pieces it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_exec_ext.escapes import EscapeFilter, without_escapes

PIECES = st.sampled_from(
    [
        "\x1b",
        "[",
        "31",
        ";",
        "m",
        "]",
        "0;title",
        "\x07",
        "\\",
        "text",
        "é",
        "\n",
        "\x1b[0m",
        "\x1b]8;;x\x1b\\",
    ]
)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[1;38;2;10;20;30mfine\x1b[m", "fine"),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
        ("50%\r\x1b[2K100%", "50%\r100%"),
        ("no escapes [31m", "no escapes [31m"),
        ("ends with one\x1b[3", "ends with one\x1b[3"),
    ],
)
def test_what_a_terminal_would_not_show_is_taken_out(text: str, plain: str) -> None:
    assert without_escapes(text) == plain


@given(st.lists(PIECES))
def test_in_pieces_it_is_the_same_as_at_once(pieces: list[str]) -> None:
    one = EscapeFilter()
    assert "".join([*map(one.feed, pieces), one.finish()]) == without_escapes("".join(pieces))
    assert one.empty
