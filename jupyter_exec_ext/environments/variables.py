"""Which of the server's environment variables reach a block: an allow-list, and a rule that denies.

The server's environment holds tokens, keys and cloud credentials. A block gets what a program
needs to run, and what the administrator names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from functools import lru_cache

__all__ = ["ALLOWED", "DENIED", "allowed_variables", "denied", "prepended"]

#: What reaches a block by default.
ALLOWED: tuple[str, ...] = ("PATH", "HOME", "LANG", "LC_*", "TZ", "TMPDIR", "USER", "VIRTUAL_ENV")

# Without these no program starts on Windows.
_WINDOWS: tuple[str, ...] = (
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "TEMP",
    "TMP",
    "USERNAME",
    "USERPROFILE",
    "HOMEDRIVE",
    "HOMEPATH",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "PROGRAMFILES(X86)",
    "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE",
)

#: What never reaches a block, also where a pattern allows it; only its full name, given by the
#: administrator, lets one through.
DENIED: tuple[str, ...] = (
    "JUPYTER*", "JPY_*", "*TOKEN*", "*SECRET*", "*PASSWORD*", "*PASSWD*", "*PASSPHRASE*", "*CREDENTIAL*",
    "*_KEY", "*APIKEY*", "*_PAT", "*_AUTH", "AWS_*", "AZURE_*", "GOOGLE_*", "GCP_*", "KUBE*", "VAULT_*",
    "DATABASE_URL", "*_DSN", "*CONNECTION_STRING*",
)  # fmt: skip


def denied(name: str) -> bool:
    """Whether a variable of that name looks like a secret or belongs to the server."""
    return _matches(name, DENIED)


def allowed_variables(
    extra: Iterable[str] = (),
    source: Mapping[str, str] | None = None,
    base: tuple[str, ...] = (*ALLOWED, *(_WINDOWS if os.name == "nt" else ())),
) -> dict[str, str]:
    """Return the part of the server's environment that a block gets.

    Parameters
    ----------
    extra : iterable of str
        Names or patterns (``HPC_*``) which the administrator adds. A full name wins over the
        rule that denies, since somebody meant it; a pattern does not.
    source : mapping, optional
        Instead of `os.environ`.
    base : tuple of str
        What is allowed besides; nothing in a container, which is no part of this machine.
    """
    extra = tuple(extra)
    patterns = (*base, *extra)
    items = (os.environ if source is None else source).items()
    return {
        name: value
        for name, value in items
        if name in extra or (_matches(name, patterns) and not denied(name))
    }


def prepended(path: str, *directories: str) -> str:
    """Return a search path with these directories first, each of them once."""
    rest = [part for part in path.split(os.pathsep) if part not in directories]
    return os.pathsep.join([*directories, *rest])


@lru_cache(maxsize=64)
def _expression(patterns: tuple[str, ...]) -> re.Pattern[str]:
    # Without a pattern nothing matches, where an empty expression would match everything.
    return re.compile("|".join(translate(pattern.upper()) for pattern in patterns) or "(?!)")


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return _expression(patterns).match(name.upper()) is not None
