"""`LiveExecution`: one execution on its way from queued to its one end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import EnvironmentFailed, ExecError, SessionLost
from ..events import Event, Outcome
from ..executors.base import RunOptions
from ..models import ENDED, Execution, Verdict, now

if TYPE_CHECKING:
    import logging

    from ..log import EventLog
    from .session import LiveSession

    Logger = logging.Logger | logging.LoggerAdapter[Any]

__all__ = ["LiveExecution", "ended_as", "outcome_of"]

#: What an executor may call an end that somebody forced on it.
FORCED = frozenset({"cancelled", "lost", "env_error"})
#: Exit codes that belong to a status, where an executor names none.
EXIT_CODES = {"timeout": 124, "cancelled": 130}


def ended_as(status: str, cause: str, *, state_kept: bool = True) -> Outcome:
    """An end that no executor told of."""
    return Outcome(status, EXIT_CODES.get(status), Verdict(cause=cause, state_kept=state_kept))


def overdue(seconds: float) -> Outcome:
    """The end of a run that its executor did not end so many seconds after its timeout."""
    cause = f"The environment did not end the run within {seconds:g} seconds of its timeout, "
    return ended_as("lost", cause + "so the session was stopped.", state_kept=False)


def late(environment: str, seconds: float) -> Outcome:
    """The end of an execution whose session did not start in time."""
    return ended_as(
        "timeout",
        f"Timeout: {environment} had not started after {seconds:g} s, so nothing ran; allow more time, "
        "or start a session first.",
        state_kept=False,
    )


def outcome_of(error: Exception, environment: str) -> Outcome:
    """What an execution ends with when this came out of its executor."""
    if isinstance(error, SessionLost):
        return ended_as("lost", error.message, state_kept=False)
    if isinstance(error, ExecError):
        return ended_as("env_error", error.message)
    return ended_as(
        "env_error",
        f"The environment {environment} failed unexpectedly ({type(error).__name__}: {str(error)[:500]}); "
        "the server's log has the details.",
        state_kept=False,
    )


def checked(outcome: object) -> Outcome:
    """An executor's word on the end, where it is one.

    Raises
    ------
    EnvironmentFailed
        It is not: executors may come from anywhere (an entry point).
    """
    if isinstance(outcome, Outcome) and outcome.status in ENDED and _is_well_typed(vars(outcome)):
        return outcome
    raise EnvironmentFailed("The environment ended the run with something that is not an outcome.")


def _is_well_typed(fields: dict[str, Any]) -> bool:
    files = [*fields["code_files"], *fields["output_files"]]
    return (
        isinstance(fields["verdict"], Verdict)
        and isinstance(fields["exit_code"], (int, type(None)))
        and all(isinstance(file, str) for file in files)
    )


def _record_late(event_log: EventLog, execution_id: str, ended: asyncio.Future[None], event: Event) -> None:
    """Record what comes after the end; its executor knows of an end before the log does."""
    ended.add_done_callback(lambda _: event_log.add_late(execution_id, event))


class LiveExecution:
    """An execution that has not ended, and what it needs to run.

    It has one end: the first call of `end` wins, whoever makes it, and every later one does nothing.

    Parameters
    ----------
    execution : Execution
        The record; nobody else changes it.
    session : LiveSession
        Where it will run.
    options : RunOptions
    user : str
        Who asked for it.
    event_log : EventLog
        Has the record already.
    logger : logging.Logger
    changed : callable
        Is told ``started`` and ``ended``; must not raise.
    """

    def __init__(
        self,
        execution: Execution,
        session: LiveSession,
        options: RunOptions,
        user: str,
        event_log: EventLog,
        logger: Logger,
        changed: Callable[[LiveExecution, str], None],
    ) -> None:
        self.execution = execution
        self.session = session
        self.user = user
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # It holds nothing of this execution but its name: an executor may keep it for a long time.
        self.options = replace(options, late=partial(_record_late, event_log, execution.id, self.ended))
        #: Whether the executor has been asked for events, so that it is its to end the run.
        self.in_executor = False
        self.cancelling = False
        #: Whether it is in its session's queue; `Schedule` sets it.
        self.waiting = False
        self._event_log = event_log
        self._logger = logger
        self._changed = changed
        self._forced: Outcome | None = None
        self._yields = False
        self._began = 0.0
        self._append(Event("status", {"status": "queued"}))

    @property
    def id(self) -> str:
        """The execution's identifier."""
        return self.execution.id

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.ended.done()

    async def record(self, event: Event) -> None:
        """Record what the executor yielded; waits while the log has more than it can write."""
        if event.truncated and not self.execution.truncated:
            # At once: if the server is killed, nobody else will tell.
            self.execution.truncated = True
            self._event_log.update(self.execution)
        if event.type == "status":
            self.execution.status = event.data["status"]
            self._event_log.update(self.execution)
        if event.type == "block" and event.data.get("file") not in (None, *self.execution.code_files):
            self.execution.code_files.append(event.data["file"])
            self._event_log.update(self.execution)
        self._append(event)
        await self._event_log.drain()

    def _append(self, event: Event) -> None:
        self.execution.last_event = self._event_log.append(self.id, event)

    def begin(self, session: str) -> None:
        """Its turn has come."""
        self._began = time.monotonic()
        self.execution.session = session
        self.execution.status = "running"
        self.execution.started_at = now()
        self._event_log.update(self.execution)
        self._append(Event("status", {"status": "running"}))
        self._changed(self, "started")

    def expect(self, outcome: Outcome, *, yields: bool = False) -> None:
        """Say how a forced end is to be called, whatever the executor makes of it.

        A program that ended by itself at the same moment keeps its own status. One that `yields` counts
        only where nothing else is expected, and the executor does not call the end the same.
        """
        if self._forced is None or not yields:
            self._forced, self._yields = outcome, yields

    def end_by_executor(self, outcome: object) -> None:
        """End with the executor's outcome.

        Raises
        ------
        EnvironmentFailed
            It is not an outcome.
        """
        known = checked(outcome)
        forced = self._forced
        if forced and known.status in FORCED and not (self._yields and known.status == forced.status):
            known.status, known.exit_code = forced.status, forced.exit_code
            known.verdict.cause = forced.verdict.cause
            known.verdict.state_kept = forced.verdict.state_kept
        self.end(known)

    def end(self, outcome: Outcome) -> None:
        """End, unless it has ended already."""
        if self.over:
            return
        outcome.apply(self.execution)
        if outcome.exit_code is None:
            self.execution.exit_code = EXIT_CODES.get(outcome.status)
        if self._began and outcome.verdict.wall_seconds is None:
            outcome.verdict.wall_seconds = time.monotonic() - self._began
        self.execution.finished_at = now()
        # First of all, so that nothing that happens in here can end it again.
        self.ended.set_result(None)
        try:
            self._event_log.finish(self.execution)
        except Exception:
            self._logger.exception("The end of execution %s could not be recorded.", self.id)
        self._changed(self, "ended")
