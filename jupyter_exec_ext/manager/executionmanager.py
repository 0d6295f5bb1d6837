"""`ExecutionManager`: every execution, from the request to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from traitlets import Float, Int

from ..errors import Conflict, EnvironmentFailed, QueueFull
from ..events import Event
from ..executors.base import RunOptions
from ..models import CodeBlock, Execution, ExecutionRequest
from .admission import blocks_as_given, blocks_of, body_hash, options_of
from .deadlines import LAST_WAIT
from .execution import LiveExecution, ended_as, outcome_of
from .idempotency import IdempotencyKeys
from .schedule import Schedule
from .sessionmanager import SessionManager

if TYPE_CHECKING:
    from ..log import EventLog
    from .session import LiveSession

__all__ = ["ExecutionManager"]


class ExecutionManager(SessionManager):
    """Runs code blocks in sessions: one after the other in each, several sessions at once.

    It works without a server. What it needs is started before it and stopped after it.

    Parameters
    ----------
    log : EventLog
        Open when the manager starts; keeps what happens, here as `event_log` (`log` is the logger).
    registry, factory, lease, root_dir, patience
        As for `SessionManager`.

    Examples
    --------
    >>> manager = ExecutionManager(log=log, registry=registry, factory=factory, lease=lease, root_dir=".")
    >>> await manager.start()
    >>> execution = await manager.submit(ExecutionRequest(code="print(1)"))
    >>> (await manager.wait(execution.id, 10)).output
    '1\\n'
    """

    max_running = Int(32, min=1, help="How many executions may run at once.").tag(config=True)
    max_queued = Int(1000, min=0, help="How many executions may wait for their turn.").tag(config=True)
    max_queued_bytes = Int(
        1 << 28,
        min=0,
        help="How many characters of code, input and variables all executions may have that have not ended.",
    ).tag(config=True)
    default_timeout = Float(
        3600.0, min=0.001, help="Seconds an execution may run where its request names no timeout."
    ).tag(config=True)
    max_timeout = Float(
        86400.0, min=0.001, help="The longest timeout in seconds that a request may name."
    ).tag(config=True)

    def __init__(self, *, log: EventLog, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.event_log = log
        self._live: dict[str, LiveExecution] = {}
        self._live_bytes = 0
        self._schedule = Schedule(self.max_running, self._begin)
        self._turns: set[asyncio.Task[None]] = set()
        self._keys = IdempotencyKeys(log)
        self._parsing = asyncio.Semaphore(1)  # Markdown takes memory, and the interpreter's lock

    @property
    def queued(self) -> int:
        """How many executions wait for their turn."""
        return self._schedule.queued

    @property
    def running(self) -> int:
        """How many executions run."""
        return len(self._live) - self._schedule.queued

    def uses(self, environment: str) -> bool:
        """Whether a session or an execution that has not ended needs that environment."""
        return super().uses(environment) or any(
            live.execution.environment == environment for live in self._live.values()
        )

    def user_of(self, execution_id: str) -> str:
        """Who asked for an execution that has not ended, or whose end is being told; else ""."""
        live = self._live.get(execution_id)
        return live.user if live is not None else ""

    async def stop(self) -> None:
        """End everything: what runs or is queued is ``lost``, its output kept. May be called twice."""
        self._stopping = True
        for live in list(self._live.values()):
            if live.execution.status == "queued":
                live.end(ended_as("lost", "The server was stopped before this ran.", state_kept=False))
        cause = "The server was stopped while this ran; what it had printed is kept."
        await self._end_sessions(ended_as("lost", cause, state_kept=False))
        if self._turns:
            _, late = await asyncio.wait(self._turns, timeout=LAST_WAIT)
            for turn in late:
                turn.cancel()
            if late:
                await asyncio.wait(late, timeout=LAST_WAIT)

    # ---- requests

    async def submit(self, request: ExecutionRequest, *, user: str = "") -> Execution:
        """Queue the code blocks of a request, and return their execution.

        An idempotency key that the log knows returns the execution it was first given with.

        Raises
        ------
        InvalidRequest
            With the field that is wrong (UnknownEnvironment, UnknownLanguage).
        NotFound
            There is no such session.
        QueueFull
            As many wait as may.
        Conflict
            The idempotency key was given with another body, or the session is another execution's own.
        """
        self._check_accepting()
        key = request.idempotency_key
        if key is None:
            return await self._submit(request, user, None)
        async with self._keys.lock(key):
            known = await self.known(request)
            return known or await self._submit(request, user, await asyncio.to_thread(body_hash, request))

    async def known(self, request: ExecutionRequest) -> Execution | None:
        """The execution that a request with its idempotency key has had before. Raises `Conflict`."""
        return await self._keys.known(request)

    async def _submit(self, request: ExecutionRequest, user: str, digest: str | None) -> Execution:
        kept = self._kept_session(request.session)
        if kept is not None:
            self._schedule.check_room(kept, self.max_queued)  # before there is any work
        name = kept.model.environment if kept else request.environment or self.registry.default_environment
        options = options_of(request, self.default_timeout, self.max_timeout)
        folder = await self._folder(request.path)
        failure: EnvironmentFailed | None = None
        try:
            blocks = await self._blocks(request, name)
        except EnvironmentFailed as error:
            # The request is right, so it is an execution, and its record says what was the matter.
            failure, blocks = error, blocks_as_given(request)
            # Nothing will have run: who tries again once the environment is ready means it.
            request = request.model_copy(update={"idempotency_key": None})
        # From here on nothing is awaited: what was checked still holds when it is queued.
        session = self._kept_session(request.session) or self._new_session(
            name, request.path, folder, kept=False
        )
        execution = Execution(environment=name, session=kept.id if kept else None, code_blocks=blocks)
        live = self._queue(execution, session, options, user, request.idempotency_key, digest)
        if failure is None:
            self._schedule.add(live)
        else:
            live.end(outcome_of(failure, name))
        return execution.model_copy()

    def _kept_session(self, session_id: str | None) -> LiveSession | None:
        session = None if session_id is None else self._session(session_id)
        if session is not None and not session.kept:
            raise Conflict(
                "This session ends with the execution it was made for; start one that stays.", field="session"
            )
        return session

    async def _blocks(self, request: ExecutionRequest, name: str) -> list[CodeBlock]:
        environment = self.registry.get(name)
        if request.markdown is not None:
            async with self._parsing:
                return await asyncio.to_thread(blocks_of, request, environment)
        return blocks_of(request, environment)

    def _queue(
        self,
        execution: Execution,
        session: LiveSession,
        options: RunOptions,
        user: str,
        key: str | None,
        digest: str | None,
    ) -> LiveExecution:
        self._check_accepting()
        codes = [block.code for block in execution.code_blocks]
        size = sum(map(len, [*codes, *(options.env or {}).values(), options.stdin or ""]))
        self._schedule.check_room(session, self.max_queued)
        if self._live and self._live_bytes + size > self.max_queued_bytes:
            raise QueueFull("What waits already has as much code as the server takes; try again later.")
        self.event_log.create(execution, user=user, key=key, body_hash=digest)
        live = LiveExecution(execution, session, options, user, self.event_log, self.log, self._changed)
        self._live[execution.id] = live
        self._live_bytes += size
        self.registry.usage.enter(execution.environment, live.id)
        live.ended.add_done_callback(lambda _: self._give_back(live, size))
        session.touch()
        self._changed(live, "created")
        return live

    def _give_back(self, live: LiveExecution, size: int) -> None:
        self._live_bytes -= size
        self.registry.usage.leave(live.execution.environment, live.id)

    # ---- turns

    def _begin(self, live: LiveExecution) -> None:
        turn = asyncio.create_task(self._turn(live))
        self._turns.add(turn)
        turn.add_done_callback(self._turns.discard)

    async def _turn(self, live: LiveExecution) -> None:
        session = live.session
        try:
            if not session.kept and not live.over:
                self._list(session)
            await session.run(live)
            if not session.kept:
                await self._end_session(session, ended_as("cancelled", "Its session was ended."))
        except Exception:
            self.log.exception("The turn of execution %s failed.", live.id)
        finally:
            self._schedule.done(session)

    def _changed(self, live: LiveExecution, action: str) -> None:
        if action == "ended":
            self._schedule.drop(live)
        self._tell("execution", action, live.execution)
        if action == "ended":
            self._live.pop(live.id, None)

    async def get(self, execution_id: str) -> Execution:
        """An execution in full, with its output so far. Raises `NotFound`."""
        return await self.event_log.get(execution_id)

    async def outline(self, execution_id: str) -> Execution:
        """An execution without its output and, once it has ended, its code blocks. Raises `NotFound`."""
        return await self.event_log.outline(execution_id)

    async def wait(self, execution_id: str, seconds: float) -> Execution:
        """An execution in full, at its end, or after so many seconds as it is then."""
        await self.until_end(execution_id, seconds)
        return await self.get(execution_id)

    async def until_end(self, execution_id: str, seconds: float) -> None:
        """Wait for the end of an execution, so many seconds at most."""
        live = self._live.get(execution_id)
        if live is not None:
            await asyncio.wait({live.ended}, timeout=max(0.0, seconds))

    def events(self, execution_id: str, since: int = 0) -> AsyncIterator[Event]:
        """What happened after the event of that number, and then what happens, until ``end``."""
        return self.event_log.read(execution_id, since)

    async def list_executions(
        self,
        *,
        environment: str | None = None,
        session: str | None = None,
        status: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Execution]:
        """Executions without their output, the newest first."""
        return await self.event_log.list(
            environment=environment, session=session, status=status, limit=limit, before=before
        )

    async def forget(self, execution_id: str) -> None:
        """Remove an execution that has ended from the log. Raises `Conflict` where it has not."""
        execution = await self.event_log.summary(execution_id)
        await self.event_log.delete(execution_id)
        self._tell("execution", "deleted", execution)

    async def cancel(self, execution_id: str) -> Execution:
        """Begin to end an execution; asking again changes nothing. Raises `Conflict` once it has ended."""
        live = await self._not_ended(execution_id)
        live.session.cancel(live)
        return live.execution.model_copy()

    async def send_input(self, execution_id: str, value: str) -> None:
        """Answer a program that asks. Raises `Conflict` where it does not."""
        live = await self._not_ended(execution_id)
        if not live.in_executor or not live.options.allow_stdin:
            raise Conflict("The execution takes no input: it must run, and have been sent with allow_stdin.")
        await live.session.send_input(value)

    async def _not_ended(self, execution_id: str) -> LiveExecution:
        live = self._live.get(execution_id)
        if live is None:
            execution = await self.event_log.outline(execution_id)
            state = f"has ended ({execution.status})" if execution.ended else "belongs to another server"
            raise Conflict(f"The execution {state}, so nothing can be done to it here.")
        return live
