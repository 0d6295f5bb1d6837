"""`CodeExecutorFactory`: an executor by its name, by a configuration, or for an environment."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from ..environments.base import PythonEnvironment
from ..errors import InvalidRequest
from .base import CodeExecutor
from .routing import LanguageRouter

__all__ = ["GROUP", "CodeExecutorFactory"]

#: Packages add executors in this entry-point group: a name, and a `CodeExecutor` class.
GROUP = "jupyter_exec_ext.executors"

_JUPYTER = "jupyter_exec_ext.executors.jupyter:JupyterCodeExecutor"
_OWN = {
    "commandline-local": "jupyter_exec_ext.executors.local:LocalCommandLineCodeExecutor",
    "commandline-docker": "jupyter_exec_ext.executors.docker:DockerCommandLineCodeExecutor",
    "jupyter": _JUPYTER,
    "ipython-embedded": _JUPYTER,  # the kernel manager it is given makes the difference
}

#: Which executor runs the sessions of an environment, by the environment's kind.
_OF_KIND = {
    "kernel": "jupyter",
    "local": "commandline-local",
    "venv": "commandline-local",
    "sandbox": "commandline-sandbox",
    "docker": "commandline-docker",
    "slurm": "commandline-slurm",
}


class CodeExecutorFactory:
    """Makes executors.

    Parameters
    ----------
    settings : mapping, optional
        Keyword arguments for every executor whose constructor takes them (``output_limit``,
        ``grace``, ``fork``, ``namespace``).
    """

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self._settings = dict(settings or {})
        self._classes: dict[str, type[CodeExecutor]] = {}

    def names(self) -> list[str]:
        """The names `create` knows: our own, and those of installed packages."""
        return sorted({*_OWN, *(point.name for point in entry_points(group=GROUP))})

    def create(self, config: Mapping[str, Any]) -> CodeExecutor:
        """Make the executor a configuration describes.

        Parameters
        ----------
        config : mapping
            ``{"executor": NAME, NAME: {options}}``, the options being the executor's arguments;
            or ``{"executor": instance}``, which is returned as it is; or a mapping from language to
            either, ``{"executor": {"python": NAME, "bash": instance, "*": NAME}}`` (``*``: every other
            language), which makes a `LanguageRouter`. A name that is given twice makes one executor.

        Raises
        ------
        InvalidRequest
            For a name that is not known, or an option its executor does not take (a ValueError, too).
        """
        executor = config.get("executor")
        if isinstance(executor, Mapping):
            return self._route(executor, config)
        if isinstance(executor, CodeExecutor):
            return executor
        if not isinstance(executor, str):
            raise InvalidRequest(
                "executor: give the name of an executor, an executor, or languages and their executors.",
                field="executor",
            )
        options = config.get(executor, {})
        self._check(executor, options)
        given = {"workspace": os.getcwd(), **options}
        if "environment" not in given:
            given["environment"] = self._class(executor).default_environment()
        return self._make(executor, **given)

    def _check(self, name: str, options: Any) -> None:
        if not isinstance(options, Mapping):
            raise InvalidRequest(f"{name}: give a mapping of options to their values.", field=name)
        taken = inspect.signature(self._class(name)).parameters
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
            return
        for option in options:
            if option not in taken:
                raise InvalidRequest(
                    f"{name} takes no option {option!r}; it takes: {', '.join(sorted(taken))}.",
                    field=f"{name}.{option}",
                )

    def _route(self, languages: Mapping[str, Any], config: Mapping[str, Any]) -> LanguageRouter:
        made: dict[str, CodeExecutor] = {}
        for wanted in languages.values():
            if isinstance(wanted, str) and wanted not in made:
                made[wanted] = self.create({**config, "executor": wanted})
        return LanguageRouter(
            {
                language: made[wanted] if isinstance(wanted, str) else self.create({"executor": wanted})
                for language, wanted in languages.items()
            }
        )

    def for_environment(
        self,
        environment: PythonEnvironment,
        workspace: str | os.PathLike[str],
        private: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> CodeExecutor:
        """Make the executor for a session of this environment (the manager calls this)."""
        name = _OF_KIND[environment.kind]
        if "private" in inspect.signature(self._class(name)).parameters:
            settings["private"] = private
        return self._make(name, environment=environment, workspace=workspace, **settings)

    def _make(self, name: str, **options: Any) -> CodeExecutor:
        cls = self._class(name)
        taken = inspect.signature(cls).parameters
        settings = {key: value for key, value in self._settings.items() if key in taken}
        return cls(**{**settings, **options})

    def _class(self, name: str) -> type[CodeExecutor]:
        if name not in self._classes:
            self._classes[name] = self._load(name)
        return self._classes[name]

    def _load(self, name: str) -> type[CodeExecutor]:
        if name in _OWN:
            module, _, attribute = _OWN[name].partition(":")
            cls: type[CodeExecutor] = getattr(importlib.import_module(module), attribute)
            return cls
        for point in entry_points(group=GROUP, name=name):
            loaded: type[CodeExecutor] = point.load()
            return loaded
        raise InvalidRequest(
            f"There is no executor {name!r}; choose one of: {', '.join(self.names())}.", field="executor"
        )
