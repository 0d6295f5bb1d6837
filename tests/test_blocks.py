"""Blocks come out of Markdown by a real parser; a comment names a file only where it means to."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_exec_ext.blocks import check_file_name, extract_markdown, file_name_of, guess_language
from jupyter_exec_ext.errors import InvalidRequest, TooLarge
from jupyter_exec_ext.languages import LANGUAGES
from jupyter_exec_ext.models import MAX_BLOCKS, CodeBlock

PYTHON = LANGUAGES["python"]


def pairs(text: str) -> list[tuple[str, str]]:
    """The blocks as (language, code)."""
    return [(block.language, block.code) for block in extract_markdown(text)]


@pytest.mark.parametrize(
    ("info", "language"),
    [
        ("python", "python"),
        ("  Python  ", "Python"),
        ("c++", "c++"),
        ("c#", "c#"),
        ("objective-c", "objective-c"),
        ("{python}", "python"),
        ("{r, echo=FALSE}", "r"),
        ("{.python .numberLines}", "python"),
        ("{code-cell} ipython3", "ipython3"),
        ('python title="a.py" {1,3}', "python"),
        ("python:src/a.py", "python"),
        ("js{1,3}", "js"),
        ("x" * 500, "x" * 64),
    ],
)
def test_the_language_is_the_first_word_whatever_follows(info: str, language: str) -> None:
    assert pairs(f"```{info}\n1\n```\n") == [(language, "1")]


def test_tildes_empty_and_unterminated_blocks_are_found() -> None:
    text = "~~~python\na\n~~~\n\n```python\n```\n\n```python\nlast\n  line"

    assert pairs(text) == [("python", "a"), ("python", ""), ("python", "last\n  line")]


def test_a_longer_fence_holds_shorter_ones() -> None:
    assert pairs("````markdown\n```python\nx\n```\n````\n") == [("markdown", "```python\nx\n```")]


@pytest.mark.parametrize("indent", ["  ", "    ", "        ", "1. "])
def test_the_indentation_of_a_fence_is_taken_away(indent: str) -> None:
    # given a fence at that depth, the first line of which may be a list's
    space = " " * len(indent)
    lines = [f"{indent}```python", f"{space}def f():", f"{space}    return 1", f"{space}```"]

    assert pairs("\n".join(lines)) == [("python", "def f():\n    return 1")]


def test_fences_in_quotes_lists_and_with_crlf_are_found() -> None:
    text = "> ```sh\r\n> a\r\n> ```\r\n\r\n- item\r\n\r\n  ```js\r\n  b\r\n  ```\r\n"

    assert pairs(text) == [("sh", "a"), ("js", "b")]


def test_prose_inline_code_and_what_html_hides_are_no_blocks() -> None:
    assert pairs("Say `x = 1` or ```` ```py ````.\n\n<!--\n```python\nevil()\n```\n-->\n") == []


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("import os\nprint(os.getcwd())", "python"),
        ("x = 1\ny = x + 1", "python"),
        ("for i in range(3):\n    print(i)", "python"),
        ("@cache\ndef f(): ...", "python"),
        ("pip install six", "bash"),
        ("cd /tmp && ls -l", "bash"),
        ("export A=1\necho $A", "bash"),
        ("$ git status", "bash"),
        ("for f in *.txt; do\n  cat $f\ndone", "bash"),
        ("#!/usr/bin/env python3.11\n1", "python"),
        ("#!/bin/bash\nfoo", "bash"),
        ("#!/usr/bin/awk -f\n{}", ""),
        ("Hello, world", ""),
        ('{"a": 1}', ""),
        ("", ""),
    ],
)
def test_a_block_without_a_language_is_guessed_or_left_open(code: str, language: str) -> None:
    assert guess_language(code) == language
    assert pairs(f"```\n{code}\n```\n")[0][0] == language


def test_too_many_blocks_and_too_much_text_are_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match="limit of 1000") as caught:
        extract_markdown("```py\n1\n```\n" * (MAX_BLOCKS + 1))
    assert caught.value.field == "markdown"

    with pytest.raises(TooLarge, match="500000"):
        extract_markdown("a\n" * 1_000_001)


@pytest.mark.parametrize(
    "text", ["> " * 50_000, "- " * 50_000, "`" * 100_000, "[a]: <" * 20_000, "1. " * 30_000]
)
def test_hostile_markdown_takes_no_long_time(text: str) -> None:
    began = time.perf_counter()

    extract_markdown(text)

    assert time.perf_counter() - began < 5


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_any_code_comes_out_as_it_went_in(code: str) -> None:
    # given code which holds no fence of ours, and no characters that CommonMark itself replaces
    code = code.replace("\r", "").replace("\0", "").replace("~", "")

    assert extract_markdown(f"~~~python\n{code}\n~~~\n") == [CodeBlock(code=code, language="python")]


# ---- file names


@pytest.mark.parametrize(
    ("language", "line", "name"),
    [
        ("python", "# filename: a.py", "a.py"),
        ("python", "#filename:a.py", "a.py"),
        ("python", "# Filename: pkg/mod.py", "pkg/mod.py"),
        ("python", "# filename: notes for me.txt", "notes for me.txt"),
        ("python", "# pkg/mod.py", "pkg/mod.py"),
        ("python", "# ./a.py", "a.py"),
        ("javascript", "// filename: a.js", "a.js"),
        ("javascript", "/* filename: a.js */", "a.js"),
        ("javascript", "// lib/a.mjs", "lib/a.mjs"),
        ("css", "/* filename: a.css */", "a.css"),
        ("html", "<!-- filename: a.html -->", "a.html"),
        ("html", "<!-- index.htm -->", "index.htm"),
        ("cmd", "REM filename: a.bat", "a.bat"),
    ],
)
def test_a_first_comment_names_the_file(language: str, line: str, name: str) -> None:
    block = CodeBlock(code=f"{line}\nrest", language=language)

    assert file_name_of(block, LANGUAGES[language]) == name


@pytest.mark.parametrize(
    "line",
    [
        "# Compute the mean of x",
        "# see https://example.org/a.py",
        "# ../data",
        "# ../data.py",
        "# /etc/a.py",
        "# a.sh",
        "# data.csv",
        "# uses a.py",
        "# filename:",
        "#",
        "x = 1  # filename: a.py",
        "'# filename: a.py'",
        "// filename: a.py",
        "",
        "# " + "a" * 400 + ".py",
    ],
)
def test_any_other_first_comment_is_a_comment(line: str) -> None:
    assert file_name_of(CodeBlock(code=f"{line}\n# filename: later.py\n", language="python"), PYTHON) is None


def test_a_name_may_stand_below_the_line_that_names_the_interpreter() -> None:
    block = CodeBlock(code="#!/usr/bin/env python\n# filename: a.py\n", language="python")

    assert file_name_of(block, PYTHON) == "a.py"


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "a/../../x",
        "a/..",
        "/etc/passwd",
        "//server/x",
        "C:\\x.py",
        "C:x.py",
        "\\\\server\\x",
        "a\\b.py",
        "~/x",
        "~root/x",
        "a\0b",
        "a\tb\x1b]0;title\x07",
        "a\u202eyp.exe",
        "a" * 300,
        "\u00e9" * 128 + ".py",
        "/".join(["ab"] * 101),
        "a/",
        ".",
        "a/.",
    ],
)
def test_a_name_that_leads_out_or_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        file_name_of(CodeBlock(code=f"# filename: {name}\n1", language="python"), PYTHON)

    assert caught.value.field == "code"
    assert len(caught.value.message) < 300
    assert caught.value.message.isprintable()


@given(st.text(max_size=310))
def test_no_name_that_passes_leaves_the_workspace(name: str) -> None:
    try:
        checked = check_file_name(name)
    except InvalidRequest:
        return

    assert checked
    assert not checked.startswith("/")
    assert not {"", ".", ".."} & set(checked.split("/"))
    assert len(checked.encode()) < 300 * 4
    assert "\0" not in checked
