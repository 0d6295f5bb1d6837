"""pip in a shell's block prints only errors where it installs, and all it has to say otherwise.

pip takes settings for one command, ``[install]``, from its files alone. Of those, the ones in the
folders of ``XDG_CONFIG_DIRS`` are read besides all others: ``PIP_CONFIG_FILE`` would take the
place of the user's own file, and ``PIP_QUIET`` would silence ``pip list``, too.

Its ``-q`` and ``-v`` are counted on top of what the files say: after ours, ``-q`` would hide errors.
So a block in which an installation is told how loud to be gets nothing from us.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from ..languages import Language

__all__ = ["counts", "quiet_pip"]

_SHELLS = frozenset({"bash", "sh", "zsh", "pwsh", "cmd"})
_FOLDER = Path(__file__).with_name("quiet")
#: pip looks into the folders of that variable, except on Windows and macOS.
_BY_FOLDER = sys.platform not in ("win32", "darwin")
_LOUDNESS = frozenset({"PIP_QUIET", "PIP_VERBOSE"})

#: Characters of a block above which it is not looked through: that is done on the event loop. All
#: expressions are linear in its length.
_LOOKED_THROUGH = 100_000
_CONTINUED = re.compile(r"[\\`^]\r?\n")
_COMMAND = re.compile(r"""(?:"[^"\n]*"|'[^'\n]*'|[^;&|\n])+""")
_PIP = re.compile(r"""(?<![\w.-])pip[\d.]*(?:\.exe)?["'}]*\s+""", re.IGNORECASE)
_INSTALL = re.compile(r"\binstall\b")
# Among short options in one word, as -Uq; long ones may be abbreviated. A dry run is made to be read.
_FLAG = re.compile(r"""(?<![^\s"'=(,])(?:-[UIVhqv]*[qv]|--q|--verb|--dry-run)""")
_ASSIGNMENT = re.compile(r"\s*(?:\w+\s+)?\$?[\w:]+\s*\+?=")

_DIST_INFO = re.compile(r"pip-(\d+)\.(\d+)")
_SITE_PACKAGES = ("lib/python3*/site-packages", "Lib/site-packages")


def quiet_pip(
    code: str, language: Language, variables: Mapping[str, str], *, by_folder: bool = _BY_FOLDER
) -> dict[str, str]:
    """Return the variables that make a block's installations print only errors; none where all is said.

    Parameters
    ----------
    code : str
    language : Language
        Only shells call pip in lines.
    variables : mapping
        Those that the block gets otherwise. Whoever names ``PIP_QUIET`` or ``PIP_VERBOSE`` there, or
        ``-q`` or ``-v`` in the code, says how much of pip is to be seen.
    by_folder : bool
        Whether pip reads ``XDG_CONFIG_DIRS``. Where it does not, ``PIP_QUIET`` has to do, in blocks
        that ask pip for nothing else.
    """
    if language.name not in _SHELLS or "pip" not in code or "install" not in code:
        return {}
    if len(code) > _LOOKED_THROUGH or _LOUDNESS & variables.keys():
        return {}
    code = _CONTINUED.sub(" ", code)
    if "PIP_VERBOSE" in code or any(map(_says_how_loud, _COMMAND.findall(code))):
        return {}
    if by_folder:
        folders = variables.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        return {"XDG_CONFIG_DIRS": f"{folders}{os.pathsep}{_FOLDER}"}
    only = all(_INSTALL.match(code, pip.end()) for pip in _PIP.finditer(code))
    return {"PIP_QUIET": "2"} if only else {}


def _says_how_loud(command: str) -> bool:
    command = command.partition(" #")[0]
    if _ASSIGNMENT.match(command):
        return _FLAG.search(command) is not None  # it may be pip's, by way of a variable
    pip = _PIP.search(command)
    if pip is None or _INSTALL.search(command, pip.end()) is None:
        return False
    return _FLAG.search(command, pip.end()) is not None


def counts(python: Path) -> bool:
    """Whether the pip beside an interpreter takes a number for ``quiet``: 20.3 does, older ones fail."""
    prefix = python.parent.parent
    found = [name for folder in _SITE_PACKAGES for name in prefix.glob(f"{folder}/pip-*.dist-info")]
    versions = [match.groups() for match in map(_DIST_INFO.match, (name.name for name in found)) if match]
    return all((int(major), int(minor)) >= (20, 3) for major, minor in versions)
