"""``sessions``: live instances of environments."""

from __future__ import annotations

from tornado import web

from .base import RESOURCE, ExecHandler, authorized


class SessionRootHandler(ExecHandler):
    """All sessions."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self) -> None:
        """List them."""
        await self.answer_list("sessions", self.manager.list_sessions())

    @web.authenticated
    @authorized(action="write", resource=RESOURCE)
    async def post(self) -> None:
        """Start one."""
        from ..models import SessionRequest

        request = self.parse(SessionRequest)
        await self.may_execute(request.environment or self.registry.default_environment)
        session = await self.manager.create_session(request)
        self.created_at("sessions", session.id)
        await self.answer(session)


class SessionHandler(ExecHandler):
    """One session."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, session_id: str) -> None:
        """Show it."""
        await self.answer(self.manager.get_session(session_id))

    @web.authenticated
    @authorized(action="write", resource=RESOURCE)
    async def delete(self, session_id: str) -> None:
        """End it, and whatever runs in it."""
        self.no_body()
        await self.manager.delete_session(session_id)
        await self.answer_nothing()


class SessionRestartHandler(ExecHandler):
    """A session's fresh start."""

    @web.authenticated
    @authorized(action="write", resource=RESOURCE)
    async def post(self, session_id: str) -> None:
        """End what runs and begin with empty state."""
        self.no_body()
        await self.manager.restart_session(session_id)
        await self.answer(self.manager.get_session(session_id))


class SessionInterruptHandler(ExecHandler):
    """A session's interrupt."""

    @web.authenticated
    @authorized(action="write", resource=RESOURCE)
    async def post(self, session_id: str) -> None:
        """Interrupt what runs, as the keyboard would."""
        self.no_body()
        await self.manager.interrupt_session(session_id)
        await self.answer_nothing()
