"""``executions``: requests to run code, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado import web

from ..errors import NotFound, Unavailable
from .base import RESOURCE, ExecHandler, authorized
from .stream import Frame, StreamHandler, frame

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ..log.entry import Entry
    from ..models import ExecutionRequest

MAX_LISTED = 1000


class OneExecutionHandler(ExecHandler):
    """A resource that answers with one execution."""

    async def answer_execution(self, execution_id: str, *, done: bool = False) -> None:
        """Write it with its output so far.

        Where too much of that waits for slow readers already, who has `done` something with it must know of
        that all the same: the output is null then, and anybody else is told to try again.
        """
        try:
            async with self.document_of(execution_id) as parts:
                await self.answer_bytes(*parts)
        except Unavailable:
            if not done or self._headers_written:
                raise
            await self.answer(await self.manager.event_log.summary(execution_id))


class ExecutionRootHandler(OneExecutionHandler):
    """All executions: those that run, and history."""

    query_names = {
        "GET": frozenset({"environment", "session", "status", "limit", "before"}),
        "POST": frozenset({"wait"}),
    }

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self) -> None:
        """List them, newest first."""
        from ..models import Status

        executions = await self.manager.list_executions(
            environment=self.query.text("environment"),
            session=self.query.text("session"),
            status=self.query.choice("status", Status),
            limit=self.query.number("limit", least=1, most=MAX_LISTED) or 50,
            before=self.query.text("before"),
        )
        # Such as: the history is in memory only. Whoever looks at history should know.
        await self.answer_list("executions", executions, warning=self.manager.event_log.warning)

    @web.authenticated
    @authorized(action="write", resource=RESOURCE)
    async def post(self) -> None:
        """Run code blocks, and wait for their end where the client asks for that."""
        from ..models import ExecutionRequest

        wait = self.query.seconds("wait", self.exec_app.max_wait_seconds)
        request = self.parse(ExecutionRequest)
        # Who lost the answer asks again, whatever has become of the session since.
        execution = await self.manager.known(request)
        await self.may_execute(execution.environment if execution else self._environment_of(request))
        execution = execution or await self.manager.submit(request, user=self.user)
        if wait is not None:
            await self.unless_gone(self.manager.until_end(execution.id, wait))
        self.created_at("executions", execution.id)
        await self.answer_execution(execution.id, done=True)

    def _environment_of(self, request: ExecutionRequest) -> str:
        if request.session is not None:
            try:
                return self.manager.get_session(request.session).environment
            except NotFound as error:
                error.field = "session"  # of the body, not of the path
                raise
        return request.environment or self.registry.default_environment


class ExecutionHandler(OneExecutionHandler):
    """One execution."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, execution_id: str) -> None:
        """Show it, with its output so far."""
        await self.answer_execution(execution_id)

    @web.authenticated
    @authorized(action="write", resource=RESOURCE)
    async def delete(self, execution_id: str) -> None:
        """Forget it, once it has ended."""
        self.no_body()
        await self.manager.forget(execution_id)
        await self.answer_nothing()


class ExecutionCancelHandler(OneExecutionHandler):
    """The end of an execution before its time."""

    @web.authenticated
    @authorized(action="write", resource=RESOURCE)
    async def post(self, execution_id: str) -> None:
        """Stop it: interrupt, terminate, kill."""
        self.no_body()
        await self.manager.cancel(execution_id)
        await self.answer_execution(execution_id, done=True)


class ExecutionInputHandler(ExecHandler):
    """What an execution has asked for."""

    @web.authenticated
    @authorized(action="write", resource=RESOURCE)
    async def post(self, execution_id: str) -> None:
        """Answer it. A shell that reads its input runs it: it takes that right, too."""
        from ..models import InputRequest

        request = self.parse(InputRequest)
        await self.may_execute((await self.manager.outline(execution_id)).environment)
        await self.manager.send_input(execution_id, request.value)
        await self.answer_nothing()


class ExecutionEventsHandler(StreamHandler):
    """What happens in an execution."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, execution_id: str) -> None:
        """Replay it, then follow it to its end."""
        since = self.since()
        execution = await self.manager.outline(execution_id)
        if execution.ended and since == execution.last_event:
            # A browser reconnects to a stream that ended, until it is told that there is no more.
            await self.answer_nothing()
            return
        await self.stream(self._frames(execution_id, since))

    async def _frames(self, execution_id: str, since: int) -> AsyncGenerator[Frame, None]:
        """The events in the bytes that the log has; ``end`` is the Execution."""
        async for entry in self.manager.event_log.entries(execution_id, since):
            if entry.type == "end":
                start = b'{"time":"%b",' % _time_of(entry).encode()
                async with self.document_of(execution_id) as parts:
                    yield frame(entry.number, "end", start, parts[0][1:], *parts[1:])
            else:
                yield frame(entry.number, entry.type, entry.json)


def _time_of(end: Entry) -> str:
    event = end.event()
    return event.data.get("execution", {}).get("finished_at") or event.time
