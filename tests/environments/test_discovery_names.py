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
from jupyter_exec_ext.models import LABEL


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
        ("\u65e5\u672c", "environment"),
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
    assert listed.display_name == "gpj-img-src-x"


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
