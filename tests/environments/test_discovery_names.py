"""Every environment that is found gets a plain name, and keeps it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from folders import make_venv
from hypothesis import given
from hypothesis import strategies as st
from registries import Make, names

from jupyter_exec_ext.environments.discovery import Discovery, Walk, label_of
from jupyter_exec_ext.fields import LABEL


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("analysis", "analysis"),
        ("My Project (old)", "My-Project-old"),
        ("d\u00e9j\u00e0 vu", "deja-vu"),
        ("\u202egpj.exe", "gpj.exe"),
        ("../../etc", "etc"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("<script>alert(1)</script>", "script-alert-1-script"),
        ("\u65e5\u672c", "environment-cf2abf"),
        ("<\u0430\u043d\u0430\u043b\u0456\u0437>", "environment-7cbc77"),
        ("\u0444" + "a" * 100, "a" * 57 + "-ecc4c3"),
        ("", "environment"),
        ("a" * 100, "a" * 64),
        ("a\nb\0c", "a-b-c"),
    ],
)
def test_a_label_is_made_of_any_name(text: str, label: str) -> None:
    assert label_of(text) == label


@given(st.text())
def test_every_label_fits_the_pattern(text: str) -> None:
    assert re.fullmatch(LABEL, label_of(text))


def test_a_folder_with_bidi_controls_and_markup_gets_a_plain_name(root: Path, make_registry: Make) -> None:
    make_venv(root / "\u202egpj<img src=x>" / ".venv")

    (listed,) = (environment for environment in make_registry().list() if environment.kind == "venv")

    assert listed.name == "venv:gpj-img-src-x"
    assert listed.display_name == "\ufffdgpj<img src=x>"


def test_a_name_in_another_script_is_shown_as_it_is_and_its_label_depends_on_it_alone(
    root: Path, make_registry: Make
) -> None:
    # given folders whose names have no ASCII letter, or few
    projects = ["\u0430\u043d\u0430\u043b\u0456\u0437", "\u65e5\u672c\u8a9e", "b \u0444 b"]
    for project in projects:
        make_venv(root / project / ".venv")

    # when they are listed, and again by another server after the others have gone
    first = {item.display_name: item.name for item in make_registry().list() if item.kind == "venv"}
    for project in projects[:-1]:
        (root / project / ".venv" / "pyvenv.cfg").unlink()
    later = {item.display_name: item.name for item in make_registry().list() if item.kind == "venv"}

    # then people see the folders' names, and no name depends on the others
    assert set(first) == set(projects)
    assert len({name.rpartition("-")[0] for name in first.values()}) == 2
    assert later == {"b \u0444 b": first["b \u0444 b"]}


def test_of_two_of_one_title_the_second_has_the_number_of_its_name(root: Path, make_registry: Make) -> None:
    for parent in ("a", "b"):
        make_venv(root / parent / "\u65e5\u672c" / ".venv")
        make_venv(root / parent / "plain" / ".venv")

    shown = {item.name: item.display_name for item in make_registry().list() if item.kind == "venv"}

    assert sorted(shown.values()) == ["plain", "plain-2", "\u65e5\u672c", "\u65e5\u672c-2"]
    assert shown["venv:plain-2"] == "plain-2"


def test_a_blank_folder_is_called_by_its_label(root: Path, make_registry: Make) -> None:
    make_venv(root / "\u3000" / ".venv")

    (listed,) = (item for item in make_registry().list() if item.kind == "venv")

    assert (listed.name, listed.display_name) == ("venv:environment", "environment")


def test_a_folder_whose_name_is_not_utf_8_is_listed(root: Path, make_registry: Make) -> None:
    # given one that can be used, and one whose interpreter is gone
    make_venv(Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfebad")) / ".venv")
    make_venv(Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfebad")) / "gone", python="/no\udcff/python")

    # when they are listed
    rows = {item.name: item.model_dump_json() for item in make_registry().list()}

    # then each has a form in JSON, with what cannot be shown marked
    assert set(rows) == {"local", "venv:bad", "venv:gone"}
    assert "\ufffd\ufffdbad/.venv" in rows["venv:bad"]
    assert "/no\ufffd/python, which is not there" in rows["venv:gone"]


def test_a_prompt_names_a_venv_whose_folder_says_nothing(root: Path, make_registry: Make) -> None:
    make_venv(root / "x" / ".venv", config="prompt = 'sales'\n")

    assert names(make_registry()) == ["venv:sales"]


def test_of_two_of_one_name_the_older_has_it_also_after_a_restart(root: Path, make_registry: Make) -> None:
    # given three projects in folders of one name, the second the oldest
    for number, project in enumerate(("b", "a", "c")):
        prefix = make_venv(root / project / "work" / ".venv")
        os.utime(prefix / "pyvenv.cfg", (1000 - (project == "a") * 500 + number,) * 2)
    first = make_registry()
    held = {item.name: item.spec["path"] for item in first.list() if item.kind == "venv"}
    assert {name: Path(path).parts[-3] for name, path in held.items()} == {
        "venv:work": "a",
        "venv:work-2": "b",
        "venv:work-3": "c",
    }

    # then another server gives the same names
    again = {item.name: item.spec["path"] for item in make_registry().list() if item.kind == "venv"}
    assert again == held
    # and none changes while the server runs, whatever goes or comes
    (root / "a" / "work" / ".venv" / "pyvenv.cfg").unlink()
    make_venv(root / "0" / "work" / ".venv")
    later = {item.name: item.spec["path"] for item in first.list() if item.kind == "venv"}
    assert later["venv:work-2"] == held["venv:work-2"]
    assert later["venv:work-3"] == held["venv:work-3"]


def test_long_names_that_collide_stay_within_the_pattern(root: Path) -> None:
    for parent in ("a", "b"):
        make_venv(root / parent / ("x" * 100))

    found_ones = Discovery(Walk(str(root))).look((), 10)

    assert sorted(found_ones) == sorted([f"venv:{'x' * 64}", f"venv:{'x' * 62}-2"])


def test_the_servers_own_environment_is_local_and_not_listed_twice(
    root: Path, make_registry: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(make_venv(root / "own")))
    make_venv(root / "other")

    assert names(make_registry()) == ["venv:other"]
