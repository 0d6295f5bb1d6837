"""The route table, below the server's base URL. `rest-api.yml` describes the same."""

from __future__ import annotations

import re

from ..errors import NotFound
from .base import ExecHandler
from .environments import EnvironmentEventsHandler, EnvironmentHandler, EnvironmentRootHandler
from .executions import (
    ExecutionCancelHandler,
    ExecutionEventsHandler,
    ExecutionHandler,
    ExecutionInputHandler,
    ExecutionRootHandler,
)
from .files import FileHandler, FileRootHandler
from .sessions import (
    SessionHandler,
    SessionInterruptHandler,
    SessionRestartHandler,
    SessionRootHandler,
)

PREFIX = "/api/exec"


class UnknownPathHandler(ExecHandler):
    """Everything else below the prefix: JSON, too, and not before somebody is logged in."""

    @classmethod
    def verbs(cls) -> list[str]:
        """All of them, so that the answer is 404 rather than 405."""
        return list(cls.SUPPORTED_METHODS)

    async def begin(self) -> None:
        """Refuse. Raises `NotFound`."""
        raise NotFound("There is no such path below api/exec; the REST documentation lists those there are.")


#: Path below the prefix, with `{names}` in OpenAPI's notation, and what answers there.
ROUTES: list[tuple[str, type[ExecHandler]]] = [
    ("/environments", EnvironmentRootHandler),
    ("/environments/{name}", EnvironmentHandler),
    ("/environments/{name}/events", EnvironmentEventsHandler),
    ("/sessions", SessionRootHandler),
    ("/sessions/{id}", SessionHandler),
    ("/sessions/{id}/restart", SessionRestartHandler),
    ("/sessions/{id}/interrupt", SessionInterruptHandler),
    ("/sessions/{id}/files", FileRootHandler),
    ("/sessions/{id}/files/{path}", FileHandler),
    ("/executions", ExecutionRootHandler),
    ("/executions/{id}", ExecutionHandler),
    ("/executions/{id}/cancel", ExecutionCancelHandler),
    ("/executions/{id}/input", ExecutionInputHandler),
    ("/executions/{id}/events", ExecutionEventsHandler),
]


def patterns() -> list[tuple[str, type[ExecHandler]]]:
    """The table as tornado takes it. Only a file's path may hold slashes."""
    rows = [(PREFIX + _pattern(path), handler) for path, handler in ROUTES]
    return [*rows, (PREFIX + "(?:/.*)?", UnknownPathHandler)]


def _pattern(path: str) -> str:
    return re.sub(r"{\w+}", lambda found: "(.+)" if found[0] == "{path}" else "([^/]+)", path)
