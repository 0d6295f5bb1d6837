"""What an administrator says about environments: the traits, and what they mean for one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from traitlets import Bool, Dict, Enum, Float, Integer, List, TraitError, Unicode, default
from traitlets.config import LoggingConfigurable

from ..languages import LANGUAGES, Language, declared, with_policies
from .base import Limits
from .created import Record

__all__ = ["EnvironmentSettings"]


class EnvironmentSettings(LoggingConfigurable):
    """The configuration of an `EnvironmentRegistry`, under whose name it is given."""

    default_environment = Unicode("local", help="Where code runs that names no environment.").tag(config=True)
    data_dir = Unicode(help="Where created environments are kept.").tag(config=True)
    # Not to be configured: it is the server's own, which whoever makes the registry gives.
    root_dir = Unicode(help="Below this folder virtual environments are looked for.")
    allow = List(
        Unicode(), ["*"], help="Patterns of the names that may be used, for example local or venv:*."
    ).tag(config=True)
    allow_create = Bool(True, help="Whether environments may be created and deleted.").tag(config=True)
    discover = Bool(True, help="Whether to offer existing virtual and conda environments.").tag(config=True)
    discover_depth = Integer(4, min=0, help="How many levels below the server's root are searched.").tag(
        config=True
    )
    discover_folders = Integer(5000, min=1, help="How many folders are searched at most.").tag(config=True)
    discover_seconds = Float(
        15.0,
        min=0.0,
        help="Seconds between two looks for environments that come and go on disk, so that who follows the "
        "server's events is told of them; 0: only when somebody asks for the list.",
    ).tag(config=True)
    conda_roots = List(Unicode(), help="Conda installations besides the known ones.").tag(config=True)
    env_allow = List(
        Unicode(),
        help="Environment variables of the server that blocks get, besides PATH, HOME, LANG, LC_*, TZ, "
        "TMPDIR, USER and VIRTUAL_ENV. A pattern (HPC_*) matches no name that looks like a secret's; "
        "a full name does.",
    ).tag(config=True)
    preload = Dict(
        value_trait=List(Unicode()),
        help='Modules the warm interpreter imports, by environment or "*": {"local": ["numpy"]}.',
    ).tag(config=True)
    limits = Dict(
        value_trait=Dict(),
        help='Limits of a process, by environment or "*": memory_bytes, cpu_seconds, file_bytes, open_files.',
    ).tag(config=True)
    policies = Dict(
        value_trait=Enum(["run", "save", "refuse"]),
        help='What happens with a language, or with all others by "*": {"css": "refuse"}.',
    ).tag(config=True)
    extra_languages = Dict(
        value_trait=Dict(),
        help='More languages: {"awk": {"suffix": ".awk", "command": ["awk", "-f", "{file}"]}}.',
    ).tag(config=True)
    installer: Literal["auto", "uv", "pip"] = Enum(  # type: ignore[assignment]
        ["auto", "uv", "pip"], "auto", help="What makes environments; auto is uv where it is found."
    ).tag(config=True)
    installer_memory_bytes = Integer(
        4 * 1024**3,
        min=0,
        help="Memory that each process of an installer may have while an environment is made, in bytes "
        "(RLIMIT_DATA: what is only reserved does not count); 0: no limit. It has no effect on Windows.",
    ).tag(config=True)
    max_preparing = Integer(2, min=1, help="How many environments are made at once.").tag(config=True)
    prepare_timeout = Float(3600.0, help="Seconds after which a preparation has failed.").tag(config=True)

    @default("data_dir")
    def _default_data_dir(self) -> str:
        from jupyter_core.paths import jupyter_data_dir

        return str(Path(jupyter_data_dir()) / "exec" / "environments")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._languages = self._all_languages()

    def _all_languages(self) -> dict[str, Language]:
        try:
            extra = {name.lower(): declared(name, given) for name, given in self.extra_languages.items()}
            return with_policies({**LANGUAGES, **extra}, self.policies)
        except (ValueError, TypeError) as error:
            raise TraitError(f"EnvironmentRegistry.extra_languages or policies: {error}") from error

    def options_of(self, name: str, record: Record | None = None) -> dict[str, Any]:
        """Return what the configuration says about that environment."""
        given = self.limits.get(name, self.limits.get("*", {}))
        try:
            limits = Limits.of(given)
        except ValueError as error:
            raise TraitError(f"EnvironmentRegistry.limits of {name}: {error}.") from error
        preload = self.preload.get(name, self.preload.get("*", []))
        return {
            "preload": dict.fromkeys([*preload, *(record.preload if record else [])]),
            "limits": limits,
            "env_allow": self.env_allow,
            "languages": self._languages,
            "display_name": record.display_name if record else None,
        }
