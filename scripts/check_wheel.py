"""Look into a wheel: both parts are in it, and nothing of the machine that built it.

Usage: ``check_wheel.py WHEEL``
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from zipfile import ZipFile

EXTENSION = "share/jupyter/labextensions/jupyter_exec_ext/"
NEEDED = (
    "etc/jupyter/jupyter_server_config.d/jupyter_exec_ext.json",
    EXTENSION + "install.json",
    EXTENSION + "package.json",
    EXTENSION + "schemas/jupyter_exec_ext/panel.json",
    EXTENSION + "static/style.js",
    "jupyter_exec_ext/_version.py",
    "jupyter_exec_ext/app.py",
    "jupyter_exec_ext/executors/quiet/pip/pip.conf",
    "jupyter_exec_ext/handlers/rest-api.yml",
    "jupyter_exec_ext/py.typed",
)
# A development bundle is evaluated piece by piece, or names its sources. (The loader of style sheets
# holds the words "/*# sourceMappingURL" in every bundle.)
FOREIGN = (b"sourceURL=webpack", b"//# sourceMappingURL")


def faults(wheel: ZipFile) -> list[str]:
    """Everything that is wrong with a wheel, one sentence each."""
    names = wheel.namelist()
    found = [f"{name} is missing." for name in NEEDED if not any(have.endswith(name) for have in names)]
    found += [f"{name} must not be in a wheel." for name in names if _unwanted(name)]
    own = [f"{path}/".encode() for path in {Path.cwd(), Path.home()} if path != Path("/")]
    for name in names:
        content = wheel.read(name)
        found += [f"{name} names {mark.decode()}." for mark in own if mark in content]
        if EXTENSION in name and name.endswith(".js"):
            found += [f"{name} is of a development bundle." for mark in FOREIGN if mark in content]
    return found + _versions(wheel, names)


def _unwanted(name: str) -> bool:
    return "node_modules/" in name or "__pycache__" in name or name.startswith(("tests/", "src/"))


def _versions(wheel: ZipFile, names: list[str]) -> list[str]:
    package = next((name for name in names if name.endswith(EXTENSION + "package.json")), None)
    if package is None:
        return []
    front = json.loads(wheel.read(package))["version"]
    metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
    if f"\nVersion: {front}\n" in wheel.read(metadata).decode():
        return []
    return [f"The front end is of version {front}, the package is not."]


def main() -> int:
    """Print the faults; there are none in a good wheel."""
    with ZipFile(sys.argv[1]) as wheel:
        found = faults(wheel)
        print(*found, f"{len(wheel.namelist())} files, {len(found)} faults", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
