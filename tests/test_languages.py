"""Languages are data: found by name or alias, with the administrator's policies and additions."""

from __future__ import annotations

import os

import pytest

from jupyter_exec_ext.errors import InvalidRequest, UnknownLanguage
from jupyter_exec_ext.languages import LANGUAGES, Language, declared, resolve, with_policies


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("python", "python"),
        ("PY", "python"),
        (" Python3 ", "python"),
        ("shell", "bash"),
        ("Shell", "bash"),
        ("sh", "sh"),
        ("js", "javascript"),
        ("NodeJS", "javascript"),
        ("ps1", "pwsh"),
        ("powershell", "pwsh"),
        ("ts", "typescript"),
        ("R", "r"),
        ("htm", "html"),
    ],
)
def test_a_name_or_an_alias_in_any_case_is_found(name: str, expected: str) -> None:
    assert resolve(name).name == expected


def test_an_alias_means_the_first_language_that_is_there() -> None:
    # given an image without bash
    languages = {name: language for name, language in LANGUAGES.items() if name != "bash"}

    assert resolve("shell", languages).name == "sh"


@pytest.mark.parametrize("name", ["", "cobol", "python2", "x" * 1000, "\u202epy"])
def test_an_unknown_language_is_an_error_that_names_the_field_and_the_choices(name: str) -> None:
    with pytest.raises(UnknownLanguage, match="python, bash") as caught:
        resolve(name)

    assert caught.value.field == "language"
    assert isinstance(caught.value, InvalidRequest)
    assert len(caught.value.message) < 500


def test_every_line_of_the_table_is_sound() -> None:
    for name, language in LANGUAGES.items():
        assert name == language.name == name.lower()
        assert language.suffix.startswith(".")
        assert all(alias == alias.lower() for alias in language.aliases)
        assert bool(language.command) == (language.policy == "run")
        for command in filter(None, (language.command, *language.others)):
            assert "{file}" in command


def test_html_and_css_are_saved_and_javascript_runs() -> None:
    assert {name for name, language in LANGUAGES.items() if language.policy == "save"} == {"html", "css"}


def test_policies_replace_those_of_the_table_and_a_star_names_all_others() -> None:
    table = with_policies(LANGUAGES, {"*": "refuse", "python": "run", "css": "save"})

    assert table["python"].policy == "run"
    assert table["css"].policy == "save"
    assert table["bash"].policy == "refuse"
    assert list(table) == list(LANGUAGES)


def test_a_policy_for_a_language_that_there_is_not_is_an_error() -> None:
    with pytest.raises(UnknownLanguage, match="pyhton"):
        with_policies(LANGUAGES, {"pyhton": "refuse"})


def test_an_administrator_declares_a_language_in_words() -> None:
    given = {
        "suffix": ".awk",
        "command": ["awk", "-f", "{file}"],
        "aliases": ["gawk"],
        "comments": [["#", ""]],
        "paths": [["AWKPATH", "{workspace}"]],
    }

    language = declared("Awk", given)

    assert language == Language(
        "awk", ("gawk",), ".awk", ("awk", "-f", "{file}"), paths=(("AWKPATH", "{workspace}"),)
    )


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"suffix": ".x"},
        {"suffix": ".x", "command": ["x"]},
        {"suffix": ".x", "command": ["x", "{file}"], "no": 1},
        {"suffix": ".x", "command": "x {file}"},
        {"suffix": "x", "command": ["x", "{file}"]},
        {"suffix": ".x", "command": ["x", "{file}"], "policy": "perhaps"},
        {"suffix": ".x", "command": ["x", "{file}"], "paths": {"X": "{workspace}"}},
        {"suffix": ".x", "command": ["x", "{file}"], "paths": "X"},
        {"suffix": ".x", "command": ["x", "{file}"], "paths": [["X"]]},
    ],
)
def test_a_declaration_that_cannot_be_right_names_the_language(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="language x"):
        declared("x", given)


def test_a_suffix_fits_in_any_case() -> None:
    assert resolve("python").fits("pkg/Mod.PY")
    assert not resolve("python").fits("mod.sh")


@pytest.mark.parametrize("known", [{}, {"NODE_PATH": ""}, {"NODE_PATH": "/a"}])
def test_the_folder_of_a_search_path_comes_before_what_is_there(known: dict[str, str]) -> None:
    expected = os.pathsep.join(["/w/node_modules", *filter(None, known.values())])

    for name in ("javascript", "typescript"):
        assert resolve(name).search_paths("/w", known) == {"NODE_PATH": expected}
    assert resolve("python").search_paths("/w", known) == {}
