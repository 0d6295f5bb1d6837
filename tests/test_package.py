"""What the package promises to those who install it and to its own other half."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import jupyter_exec_ext

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "jupyter_exec_ext"


def read_json(name: str) -> Any:
    return json.loads((ROOT / name).read_text(encoding="utf-8"))


def dependencies() -> dict[str, str]:
    """The dependencies of pyproject.toml, with their versions as they are written there."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert block
    return dict(re.findall(r'^    "([\w-]+)(.*)",', block[1], re.MULTILINE))


def test_front_end_and_server_part_have_one_version() -> None:
    assert jupyter_exec_ext.__version__ == read_json("package.json")["version"]
    assert read_json("package-lock.json")["version"] == read_json("package.json")["version"]


def test_installed_package_has_that_version_too() -> None:
    try:
        installed = importlib.metadata.version("jupyter_exec_ext")
    except importlib.metadata.PackageNotFoundError:
        assert Path(jupyter_exec_ext.__file__).parents[1] == ROOT, "neither installed nor a checkout"
    else:
        assert installed == jupyter_exec_ext.__version__


def test_the_server_finds_the_server_part() -> None:
    (point,) = jupyter_exec_ext._jupyter_server_extension_points()

    assert point["module"] == "jupyter_exec_ext.app"
    assert point["app"].name == "jupyter_exec_ext"
    config = read_json("jupyter-config/server-config/jupyter_exec_ext.json")
    assert config["ServerApp"]["jpserver_extensions"] == {"jupyter_exec_ext": True}


def test_jupyterlab_finds_the_front_end() -> None:
    (path,) = jupyter_exec_ext._jupyter_labextension_paths()

    package = read_json("package.json")
    assert path["dest"] == package["name"]
    assert package["jupyterlab"]["outputDir"] == f"jupyter_exec_ext/{path['src']}"
    assert (ROOT / package["jupyterlab"]["schemaDir"] / "panel.json").is_file()
    assert package["jupyterlab"]["discovery"]["server"]["base"]["name"] == "jupyter_exec_ext"


def test_install_json_says_which_package_to_uninstall() -> None:
    install = read_json("install.json")

    assert install["packageManager"] == "python"
    assert install["packageName"] == "jupyter_exec_ext"
    assert "jupyter_exec_ext" in install["uninstallInstructions"]


def test_the_lock_file_names_no_registry() -> None:
    locked = read_json("package-lock.json")["packages"].values()

    assert [entry for entry in locked if "resolved" in entry] == []
    assert all("integrity" in entry or entry.get("link") for entry in list(locked)[1:])


def test_the_lowest_versions_that_are_tested_are_those_that_are_allowed() -> None:
    pins = dict(
        line.split("==") for line in (ROOT / "scripts/minimum.txt").read_text().splitlines() if "==" in line
    )

    assert pins.keys() == dependencies().keys()
    for name, pin in pins.items():
        lower = re.search(r">=([\d.]+)", dependencies()[name])
        assert lower, f"{name} has no lower bound"
        assert (pin + ".0").startswith(lower[1]), name


def test_the_panel_follows_the_event_that_the_server_emits() -> None:
    schema = yaml.safe_load((PACKAGE / "event_schemas/environment.yaml").read_text(encoding="utf-8"))

    model = (ROOT / "src/model.ts").read_text(encoding="utf-8")
    followed = re.search(r"ENVIRONMENT_EVENT =\s*'([^']+)'", model)
    assert followed
    assert schema["$id"].startswith(followed[1] + "/")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, jupyter_exec_ext; "
        "heavy = {'pydantic', 'jupyter_server', 'sqlite3', 'markdown_it', 'asyncio'}; "
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", ".ci/run"])
def test_what_a_newcomer_looks_for_is_there(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8").strip()


def test_the_changelog_begins_with_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    assert newest
    assert newest[1] == jupyter_exec_ext.__version__


def test_links_between_the_documents_lead_somewhere() -> None:
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    broken = [
        f"{document.name}: {link}"
        for document in documents
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8"))
        if not (document.parent / link).exists()
    ]

    assert broken == []
