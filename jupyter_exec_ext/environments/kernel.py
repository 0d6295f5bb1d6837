"""`KernelEnvironment`: a kernelspec, as a place where code can run."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from ..errors import EnvironmentFailed, InvalidRequest, UnknownLanguage
from ..languages import Language, resolve
from ..models import Environment, ExecutionRequest, Kind
from .base import PythonEnvironment
from .variables import allowed_variables

__all__ = ["KernelEnvironment"]

#: The cell magics of IPython that run or show another language, by that language's name.
_IPYTHON_MAGICS = {
    "bash": "%%bash",
    "sh": "%%sh",
    "perl": "%%perl",
    "ruby": "%%ruby",
    "javascript": "%%script node",
    "html": "%%html",
}
#: How IPython is recognized by its command line: any kernel of it is started by one of these modules.
_IPYTHON = re.compile(r"^(ipykernel|ipykernel_launcher|IPython|xpython_launcher|spyder_kernels\.console)$")
#: What a kernel's process is given besides what any block is.
_OWN = ("IPYTHONDIR",)
#: What is not as elsewhere; the rest is in docs/kernels.md.
_GATEWAY = (
    "It runs in a gateway, with the gateway's files and variables; the session's directory is used where the "
    "gateway has it, too, and the exit code of a kernel that dies is not told."
)


class KernelEnvironment(PythonEnvironment):
    """What the kernels of one kernelspec offer: state from block to block, and rich output.

    Parameters
    ----------
    name : str
        ``kernel:`` and the kernelspec's name.
    found : mapping
        ``spec``, the contents of its ``kernel.json``; ``icon``, where its logo can be fetched, relative to
        the server's base URL; ``gateway``, whether its kernels run in one; and ``reason``, why it cannot be
        used now.
    """

    kind: ClassVar[Kind] = "kernel"

    def __init__(self, name: str, found: Mapping[str, Any], **options: Any) -> None:
        self.found = found
        spec = found.get("spec") or {}
        options["display_name"] = str(spec.get("display_name") or name.partition(":")[2])
        super().__init__(name, **options)
        self.kernel_name = name.partition(":")[2]
        self._argv = [str(word) for word in spec.get("argv") or []]
        self.own_language = _language(str(spec.get("language") or ""), self._table)

    def get_executable(self) -> str:
        """Return the program that the kernelspec starts."""
        if not self._argv:
            raise EnvironmentFailed(f"{self.name} names no program; correct its kernel.json.")
        return self._argv[0]

    @property
    def reason(self) -> str | None:
        """Why it cannot be used now; None where it can."""
        reason = self.found.get("reason")
        return str(reason) if reason else None

    @property
    def spec(self) -> dict[str, Any]:
        """Where it is from, its program, language and icon."""
        remote = bool(self.found.get("gateway"))
        return {
            **({"note": _GATEWAY} if remote else {}),
            "origin": "gateway" if remote else "kernelspec",
            "executable": self._argv[0] if self._argv else None,
            "language": self.own_language.name,
            "icon": self.found.get("icon"),
        }

    @property
    def is_ipython(self) -> bool:
        """Whether its kernels are IPython's, with its magics."""
        return self.own_language.name == "python" and any(map(_IPYTHON.match, self._argv))

    @property
    def is_ipykernel(self) -> bool:
        """Whether they are ipykernel's own, and not another kernel with the magics."""
        return self.is_ipython and "xpython_launcher" not in self._argv

    def languages(self) -> dict[str, Language]:
        """Return the kernel's own language, and those it has a cell magic for."""
        own = self.own_language
        if not self.is_ipython:
            return {own.name: own}
        others = {name: language for name, language in super().languages().items() if name in _IPYTHON_MAGICS}
        return {
            own.name: own,
            **{name: dataclasses.replace(item, policy=_runs(item)) for name, item in others.items()},
        }

    def language(self, name: str) -> Language:
        """Return the language of that name or alias: see `PythonEnvironment.language`."""
        own = self.own_language
        if name in ("", own.name) and own.policy != "refuse":
            return own  # without a look at what else is installed, which takes as long as the message
        return super().language(name)

    def _find(self, name: str, here: Mapping[str, Language]) -> Language:
        try:
            return resolve(name, here)
        except UnknownLanguage as error:
            raise UnknownLanguage(
                f"{self.name} runs {self.own_language.name}, and has no cell magic for {name[:64]!r}; "
                f"use one of: {', '.join(here)}, or another environment.",
                field="language",
            ) from error

    def cell(self, code: str, language: Language) -> str:
        """Return what the kernel is to run for a block of that language."""
        if language.name == self.own_language.name:
            return code
        return f"{_IPYTHON_MAGICS[language.name]}\n{code}"

    def variables(self) -> dict[str, str]:
        """Return the allowed variables, and where the user has put IPython's configuration."""
        return {**allowed_variables(_OWN), **super().variables()}

    def check(self, request: ExecutionRequest) -> None:
        """Refuse variables: a kernel that runs has its own already."""
        if request.env:
            raise InvalidRequest(
                f"env: {self.name} has its variables already; set them in the code.", field="env"
            )

    def describe(self) -> Environment:
        """Return what a list shows of this environment."""
        described = super().describe()
        described.stateful = True
        return described


def _runs(language: Language) -> Any:
    return "refuse" if language.policy == "refuse" else "run"  # a kernel shows HTML, where others save it


def _language(name: str, table: Mapping[str, Language]) -> Language:
    try:
        return resolve(name, table)
    except UnknownLanguage:
        return Language(name.strip().lower() or "text", (), ".txt", ("{file}",))
