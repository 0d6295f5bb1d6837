"""`Notices`: tells the server what happens: Jupyter events, metrics, and that it is not idle."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jupyter_server._tz import utcnow

from . import metrics
from .log.notice import code_hash

if TYPE_CHECKING:
    from jupyter_events import EventLogger
    from jupyter_server.serverapp import ServerApp

    from .environments.registry import EnvironmentRegistry
    from .log.notice import Notice
    from .manager import ExecutionManager
    from .models import Execution, Session

__all__ = ["SCHEMAS", "Notices"]

_ROOT = "https://schema.jupyter.org/jupyter_exec_ext"
#: The schemas of the Jupyter events, by what they tell of.
SCHEMAS = {noun: f"{_ROOT}/{noun}/v1" for noun in ("environment", "session", "execution")}

#: `ServerWebApplication.last_activity` takes the latest of all settings that are named so.
LAST_ACTIVITY = "jupyter_exec_ext_last_activity"
# Cullers look once a minute at most.
_ACTIVITY_SECONDS = 30.0


class Notices:
    """Passes on what the manager, its log and the registry tell.

    Parameters
    ----------
    serverapp : ServerApp
        Has the event logger and the settings.
    manager : ExecutionManager
    registry : EnvironmentRegistry
    """

    def __init__(
        self, serverapp: ServerApp, manager: ExecutionManager, registry: EnvironmentRegistry
    ) -> None:
        self._serverapp = serverapp
        self._events = cast("EventLogger", serverapp.event_logger)
        self._manager = manager
        self._registry = registry
        self._ticking: asyncio.Task[None] | None = None
        # Of what has not ended: user and code are those of the request, and hashing long code costs.
        self._audits: dict[str, dict[str, str]] = {}

    def start(self) -> None:
        """Begin to listen."""
        for noun in SCHEMAS:
            self._register(Path(__file__).parent / "event_schemas" / f"{noun}.yaml", SCHEMAS[noun])
        self._manager.observers.append(self._on_manager)
        self._manager.event_log.observers.append(self._on_log)
        self._registry.on_change.append(self._on_environment)
        metrics.watch(self._manager)
        self._ticking = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Listen no more."""
        metrics.forget(self._manager)
        self._manager.observers.remove(self._on_manager)
        self._manager.event_log.observers.remove(self._on_log)
        self._registry.on_change.remove(self._on_environment)
        if self._ticking:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking

    def _register(self, path: Path, schema_id: str) -> None:
        # Another instance of the extension may have registered it with the same server.
        if schema_id not in self._events.schemas:
            self._events.register_event_schema(path)

    async def _tick(self) -> None:
        """A long run that prints nothing is activity, too."""
        while True:
            await asyncio.sleep(_ACTIVITY_SECONDS)
            if self._manager.queued or self._manager.running:
                self._active()

    def _active(self) -> None:
        self._serverapp.web_app.settings[LAST_ACTIVITY] = utcnow()

    def _on_manager(self, noun: str, action: str, thing: Any) -> None:
        self._active()
        if noun == "session":
            self._session(action, thing)
        else:
            self._execution(action, thing)

    def _session(self, action: str, session: Session) -> None:
        shown = session.model_dump(include={"id", "environment", "name", "status"})
        self._emit("session", {"action": action, **shown})

    def _execution(self, action: str, execution: Execution) -> None:
        audit = self._audits.pop(execution.id, None) or self._audit(execution)
        if action == "ended":
            metrics.count(execution)
        elif action != "deleted":
            self._audits[execution.id] = audit
        self._emit_execution(action, execution, audit)

    def _on_log(self, notice: Notice) -> None:
        # That is no activity: nobody asked for it.
        if notice.action == "ended":
            # It ended some time before the log found that out.
            metrics.count(notice.execution, timed=False)
        code = {} if notice.code_sha256 is None else {"code_sha256": notice.code_sha256}
        self._emit_execution(notice.action, notice.execution, {"user": notice.user, **code})

    def _emit_execution(self, action: str, execution: Execution, audit: dict[str, str]) -> None:
        shown = execution.model_dump(
            include={
                "id",
                "environment",
                "session",
                "status",
                "exit_code",
                "created_at",
                "started_at",
                "finished_at",
            }
        )
        self._emit("execution", {"action": action, **shown, **audit})

    def _audit(self, execution: Execution) -> dict[str, str]:
        code = code_hash(block.code for block in execution.code_blocks)
        return {"user": self._manager.user_of(execution.id), "code_sha256": code}

    def _on_environment(self, name: str, what: str) -> None:
        self._active()
        data: dict[str, Any] = {"action": what, "name": name, "status": None, "reason": None}
        for environment in self._registry.list():
            if environment.name == name:
                data.update(status=environment.status, reason=environment.reason)
        self._emit("environment", data)

    def _emit(self, noun: str, data: dict[str, Any]) -> None:
        try:
            self._events.emit(schema_id=SCHEMAS[noun], data=data)
        except Exception:
            # A sink or listener that fails must not fail what it is told of.
            self._serverapp.log.exception("The Jupyter event %s %s was not emitted.", noun, data["action"])
