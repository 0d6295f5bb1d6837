"""Languages are data: a name, its other names, the file's suffix, and the command that runs a file.

To add one, add a line to the table, or name it in the server's configuration
(``EnvironmentRegistry.extra_languages``).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .errors import UnknownLanguage

__all__ = ["LANGUAGES", "Language", "Policy", "declared", "resolve", "with_policies"]

#: ``run`` it, ``save`` it to its file only, or ``refuse`` the request.
Policy = Literal["run", "save", "refuse"]

HASH = (("#", ""),)
SLASHES = (("//", ""), ("/*", "*/"))


@dataclass(frozen=True)
class Language:
    """What it takes to run a file of one language.

    Parameters
    ----------
    name : str
        In lower case.
    aliases : tuple of str
        Other names, in lower case. Two languages may share one: the first that an environment
        has is meant (``shell`` is bash, and sh where there is no bash).
    suffix : str
        Of a file of this language, with its dot.
    command : tuple of str
        ``{file}`` stands for the file, ``{python}`` for the environment's interpreter. Empty for
        a language that is only saved.
    policy : Policy
    comments : tuple of pairs of str
        How a comment on one line begins and ends.
    suffixes : tuple of str
        More suffixes that a file of this language may have.
    others : tuple of commands
        Tried in order where the interpreter of `command` is not there.
    paths : tuple of pairs of str
        Variables that hold search paths, and the folder that comes first there; ``{workspace}``
        stands for the directory in which the code runs.
    """

    name: str
    aliases: tuple[str, ...]
    suffix: str
    command: tuple[str, ...]
    policy: Policy = "run"
    comments: tuple[tuple[str, str], ...] = HASH
    suffixes: tuple[str, ...] = ()
    others: tuple[tuple[str, ...], ...] = ()
    paths: tuple[tuple[str, str], ...] = ()

    def fits(self, file_name: str) -> bool:
        """Whether a file of that name can be one of this language."""
        return file_name.lower().endswith((self.suffix, *self.suffixes))

    def search_paths(self, workspace: str | os.PathLike[str], known: Mapping[str, str]) -> dict[str, str]:
        """Return `paths` as variables, each with what is known of it behind its folder."""
        folders = {name: folder.replace("{workspace}", os.fspath(workspace)) for name, folder in self.paths}
        return {
            name: os.pathsep.join(filter(None, (folder, known.get(name)))) for name, folder in folders.items()
        }


def declared(name: str, given: Mapping[str, Any]) -> Language:
    """Make a language of an administrator's words: the names of `Language`'s fields and their values.

    Raises
    ------
    ValueError
        With what is wrong with them.
    """
    fields = {field.name for field in dataclasses.fields(Language)} - {"name"}
    if not {"suffix", "command"} <= set(given) <= fields:
        raise ValueError(
            f"language {name}: needs suffix and command, knows {sorted(fields)}; was given {sorted(given)}"
        )
    words = {key: _tuples(value) for key, value in given.items()}
    language = Language(name.lower(), words.pop("aliases", ()), **words)
    if not str(language.suffix).startswith(".") or language.policy not in ("run", "save", "refuse"):
        raise ValueError(f"language {name}: its suffix begins with a dot, its policy is run, save or refuse")
    if language.policy == "run" and not any("{file}" in word for word in language.command):
        raise ValueError(f"language {name}: its command has no {{file}}, which stands for the file to run")
    if not _pairs(language.paths):
        raise ValueError(f"language {name}: its paths are pairs, of a variable and a folder")
    return language


def _pairs(value: Any) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(word, str) for word in pair)
        for pair in value
    )


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def _table(languages: Iterable[Language]) -> dict[str, Language]:
    return {language.name: language for language in languages}


# A block without a name of its own lies outside of the workspace, and yet finds what is installed there.
_NODE = (("NODE_PATH", "{workspace}/node_modules"),)
_TYPESCRIPT = (("deno", "run", "--quiet", "{file}"), ("bun", "run", "{file}"), ("ts-node", "{file}"))
_POWERSHELL = (("powershell", "-NoLogo", "-NoProfile", "-ExecutionPolicy", "Bypass", "-File", "{file}"),)

# fmt: off
#: In the order in which an environment lists them; the first is the default.
LANGUAGES: dict[str, Language] = _table(
    [
        Language(
            "python", ("py", "python3", "py3", "ipython", "ipython3"), ".py", ("{python}", "-u", "{file}"),
            suffixes=(".pyw",),
        ),
        Language("bash", ("shell", "shell-script"), ".sh", ("bash", "{file}"), suffixes=(".bash",)),
        Language("sh", ("shell", "shell-script", "posix-sh"), ".sh", ("sh", "{file}")),
        Language("zsh", (), ".zsh", ("zsh", "{file}"), suffixes=(".sh",)),
        Language(
            "pwsh", ("powershell", "ps1", "ps"), ".ps1", ("pwsh", "-NoLogo", "-NoProfile", "-File", "{file}"),
            comments=(*HASH, ("<#", "#>")), others=_POWERSHELL,
        ),
        Language(
            "cmd", ("bat", "batch"), ".bat", ("cmd", "/d", "/c", "{file}"),
            comments=(("rem ", ""), ("::", "")), suffixes=(".cmd",),
        ),
        Language("javascript", ("js", "node", "nodejs"), ".js", ("node", "{file}"), comments=SLASHES,
                 suffixes=(".mjs", ".cjs"), paths=_NODE),
        Language("typescript", ("ts",), ".ts", ("tsx", "{file}"), comments=SLASHES, suffixes=(".mts",),
                 others=_TYPESCRIPT, paths=_NODE),
        Language("r", ("rscript",), ".r", ("Rscript", "--vanilla", "{file}")),
        Language("perl", ("pl",), ".pl", ("perl", "{file}"), suffixes=(".pm",)),
        Language("ruby", ("rb",), ".rb", ("ruby", "{file}")),
        Language("php", (), ".php", ("php", "{file}"), comments=(*HASH, *SLASHES)),
        Language("lua", (), ".lua", ("lua", "{file}"), comments=(("--", ""),)),
        Language("julia", ("jl",), ".jl", ("julia", "{file}")),
        Language("html", ("htm",), ".html", (), "save", comments=(("<!--", "-->"),), suffixes=(".htm",)),
        Language("css", (), ".css", (), "save", comments=(("/*", "*/"),)),
    ]
)
# fmt: on


def resolve(name: str, languages: Mapping[str, Language] = LANGUAGES) -> Language:
    """Find a language by its name or one of its aliases, in any case.

    Raises
    ------
    UnknownLanguage
        With the names that there are.
    """
    wanted = name.strip().lower()
    if wanted in languages:
        return languages[wanted]
    for language in languages.values():
        if wanted in language.aliases:
            return language
    known = ", ".join(languages) or "none"
    raise UnknownLanguage(f"There is no language {name[:64]!r} here; use one of: {known}.", field="language")


def with_policies(languages: Mapping[str, Language], policies: Mapping[str, Policy]) -> dict[str, Language]:
    """Return the table with each named language's policy replaced; ``*`` names all the others."""
    unknown = set(policies) - {"*"} - set(languages)
    if unknown:
        raise UnknownLanguage(f"A policy names {', '.join(sorted(unknown))}, which is no language here.")
    others = policies.get("*")
    return {
        name: dataclasses.replace(language, policy=policies.get(name, others or language.policy))
        for name, language in languages.items()
    }
