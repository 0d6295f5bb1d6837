"""Run code blocks in the environment you pick, from Jupyter or from a program of your own.

The public names are below; each is imported when it is first used, because Jupyter Server imports
this package while it starts.

>>> from jupyter_exec_ext import CodeBlock, LocalCommandLineCodeExecutor
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .app import ExecApp
    from .containers.settings import ContainerSettings
    from .environments.base import PythonEnvironment
    from .environments.docker import DockerPythonEnvironment
    from .environments.registry import EnvironmentRegistry
    from .environments.system import SystemPythonEnvironment
    from .environments.venv import VenvPythonEnvironment
    from .errors import (
        Conflict,
        EnvironmentFailed,
        ExecError,
        InvalidRequest,
        NotFound,
        QueueFull,
        Refused,
        SessionLost,
        TooLarge,
        Unavailable,
        UnknownEnvironment,
        UnknownLanguage,
    )
    from .events import Event, Outcome
    from .executors.base import CodeExecutor, CodeResult, RunOptions
    from .executors.docker import DockerCommandLineCodeExecutor
    from .executors.factory import CodeExecutorFactory
    from .executors.local import LocalCommandLineCodeExecutor
    from .executors.routing import LanguageRouter
    from .lease import Lease
    from .log import EventLog
    from .manager import ExecutionManager
    from .models import (
        CodeBlock,
        Environment,
        EnvironmentRequest,
        Execution,
        ExecutionRequest,
        Session,
        SessionRequest,
        Verdict,
    )

# Which module each public name is in.
_MODULES = {
    "CodeBlock": "models",
    "CodeExecutor": "executors.base",
    "CodeExecutorFactory": "executors.factory",
    "CodeResult": "executors.base",
    "Conflict": "errors",
    "ContainerSettings": "containers.settings",
    "DockerCommandLineCodeExecutor": "executors.docker",
    "DockerPythonEnvironment": "environments.docker",
    "Environment": "models",
    "EnvironmentFailed": "errors",
    "EnvironmentRegistry": "environments.registry",
    "EnvironmentRequest": "models",
    "Event": "events",
    "EventLog": "log",
    "ExecApp": "app",
    "ExecError": "errors",
    "Execution": "models",
    "ExecutionManager": "manager",
    "ExecutionRequest": "models",
    "InvalidRequest": "errors",
    "LanguageRouter": "executors.routing",
    "Lease": "lease",
    "LocalCommandLineCodeExecutor": "executors.local",
    "NotFound": "errors",
    "Outcome": "events",
    "PythonEnvironment": "environments.base",
    "QueueFull": "errors",
    "Refused": "errors",
    "RunOptions": "executors.base",
    "Session": "models",
    "SessionLost": "errors",
    "SessionRequest": "models",
    "SystemPythonEnvironment": "environments.system",
    "TooLarge": "errors",
    "Unavailable": "errors",
    "UnknownEnvironment": "errors",
    "UnknownLanguage": "errors",
    "VenvPythonEnvironment": "environments.venv",
    "Verdict": "models",
}

__all__ = [
    "CodeBlock",
    "CodeExecutor",
    "CodeExecutorFactory",
    "CodeResult",
    "Conflict",
    "ContainerSettings",
    "DockerCommandLineCodeExecutor",
    "DockerPythonEnvironment",
    "Environment",
    "EnvironmentFailed",
    "EnvironmentRegistry",
    "EnvironmentRequest",
    "Event",
    "EventLog",
    "ExecApp",
    "ExecError",
    "Execution",
    "ExecutionManager",
    "ExecutionRequest",
    "InvalidRequest",
    "LanguageRouter",
    "Lease",
    "LocalCommandLineCodeExecutor",
    "NotFound",
    "Outcome",
    "PythonEnvironment",
    "QueueFull",
    "Refused",
    "RunOptions",
    "Session",
    "SessionLost",
    "SessionRequest",
    "SystemPythonEnvironment",
    "TooLarge",
    "Unavailable",
    "UnknownEnvironment",
    "UnknownLanguage",
    "VenvPythonEnvironment",
    "Verdict",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell Jupyter Server where the server extension is."""
    from .app import ExecApp

    return [{"module": "jupyter_exec_ext.app", "app": ExecApp}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Tell JupyterLab where the front end is."""
    return [{"src": "labextension", "dest": "jupyter_exec_ext"}]
