"""`SessionManager`: the sessions, their files, and the end of those that nobody uses."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets import Float, Int, Unicode
from traitlets.config import LoggingConfigurable

from ..errors import Conflict, NotFound, QueueFull, Unavailable
from ..events import Outcome
from ..executors.base import CodeExecutor
from ..models import Execution, Session, SessionRequest, now
from .admission import folder_of, still_there
from .deadlines import Patience, closing
from .execution import ended_as
from .session import LiveSession

if TYPE_CHECKING:
    from ..environments.registry import EnvironmentRegistry
    from ..executors.factory import CodeExecutorFactory
    from ..lease import Lease

__all__ = ["Observer", "SessionManager"]

#: Is told the kind (``session`` or ``execution``), what happened to it, and how it is now (a copy).
Observer = Callable[[str, str, Any], object]


class SessionManager(LoggingConfigurable):
    """Live sessions: started, listed, restarted and ended.

    Parameters
    ----------
    registry : EnvironmentRegistry
        Says what an environment's name stands for; learns from here which ones are in use.
    factory : CodeExecutorFactory
        Makes the executor of a session.
    lease : Lease
        Has the directory below which each session gets a private one.
    root_dir : str
        The server's root directory; nothing runs outside of it.
    patience : Patience, optional
        How long executors may take; by default with `start_seconds`.
    """

    root_dir = Unicode(help="The directory that the path of a request is relative to.")
    max_sessions = Int(
        100, min=0, help="How many sessions there may be, those aside that are made for one execution."
    ).tag(config=True)
    start_seconds = Float(60.0, min=0.1, help="Seconds an environment may take to start.").tag(config=True)
    cull_idle_seconds = Float(
        3600.0, min=0.0, help="End a session that has been idle for so many seconds; 0: never."
    ).tag(config=True)
    cull_interval = Float(60.0, min=0.01, help="Seconds between looks for idle sessions.").tag(config=True)

    def __init__(
        self,
        *,
        registry: EnvironmentRegistry,
        factory: CodeExecutorFactory,
        lease: Lease,
        root_dir: str,
        patience: Patience | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(root_dir=root_dir, **kwargs)
        self.registry = registry
        self.factory = factory
        self.lease = lease
        self.observers: list[Observer] = []
        #: When something last happened; RFC 3339, UTC.
        self.last_activity = now()
        self._root = Path(os.path.realpath(os.path.expanduser(self.root_dir)))
        self._patience = patience or Patience(start=self.start_seconds)
        self._sessions: dict[str, LiveSession] = {}
        self._ending: set[LiveSession] = set()
        self._culling: asyncio.Task[None] | None = None
        self._stopping = False
        registry.in_use = self.uses
        registry.vacated = self.vacated

    @property
    def session_count(self) -> int:
        """How many sessions there are now."""
        return len(self._sessions)

    def uses(self, environment: str) -> bool:
        """Whether a session lives in that environment."""
        sessions = (*self._sessions.values(), *self._ending)
        return any(session.model.environment == environment for session in sessions)

    async def vacated(self, environment: str) -> None:
        """Wait until the sessions of that environment which are at their end are gone, for a while."""
        leaving = [
            session.gone.wait()
            for session in (*self._sessions.values(), *self._ending)
            if session.model.environment == environment and session.leaving
        ]
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.gather(*leaving), self._patience.stop)

    async def start(self) -> None:
        """Begin to end idle sessions."""
        if self.cull_idle_seconds:
            self._culling = asyncio.create_task(self._cull())

    # ---- sessions

    async def create_session(self, request: SessionRequest) -> Session:
        """Start a session, and return it once it can run something.

        Raises
        ------
        UnknownEnvironment, InvalidRequest
            The request is wrong.
        QueueFull
            There are `max_sessions` already.
        EnvironmentFailed
            It could not be started; the message says why.
        """
        name = request.environment or self.registry.default_environment
        self.registry.get(name)
        folder = await self._folder(request.path)
        self._check_accepting()
        if sum(session.kept for session in self._sessions.values()) >= self.max_sessions:
            raise QueueFull(f"There are {self.max_sessions} sessions, as many as may be; delete one first.")
        settings = {} if request.kernel_id is None else {"kernel_id": request.kernel_id}
        session = self._new_session(name, request.path, folder, title=request.name, settings=settings)
        self._list(session)
        try:
            await session.start()
        except BaseException:
            await self._end_session(session, ended_as("env_error", "Its session could not be started."))
            raise
        return session.view()

    def list_sessions(self) -> list[Session]:
        """All sessions, the oldest first."""
        return [session.view() for session in self._sessions.values()]

    def get_session(self, session_id: str) -> Session:
        """One session. Raises `NotFound`."""
        return self._session(session_id).view()

    async def delete_session(self, session_id: str) -> None:
        """End a session: what is queued or runs in it is cancelled, and its private files are removed."""
        session = self._session(session_id)
        await self._end_session(session, ended_as("cancelled", "Its session was deleted.", state_kept=False))

    async def restart_session(self, session_id: str) -> Session:
        """Begin afresh with empty state: what runs is ``lost``, what is queued runs afterwards.

        Raises `EnvironmentFailed` where it does not start again, and `Conflict`, with nothing done, where
        it was made for one execution.
        """
        session = self._session(session_id)
        if not session.kept:
            # It ends with its execution, which a restart would end: nothing would be left to begin afresh.
            raise Conflict("The session was made for one execution and ends with it; cancel the execution.")
        await session.restart()
        return session.view()

    async def interrupt_session(self, session_id: str) -> Session:
        """Interrupt what runs, as the keyboard would; nothing happens where nothing runs."""
        session = self._session(session_id)
        await session.interrupt()
        return session.view()

    # ---- files

    async def list_files(self, session_id: str) -> tuple[list[dict[str, Any]], bool]:
        """The files of a session's workspace, and whether there are more than one list takes.

        Each has ``path``, ``type``, ``size`` and ``modified``.
        """
        async with self._session(session_id).files() as files:
            return await files.list_files()

    async def read_file(self, session_id: str, path: str) -> AsyncGenerator[bytes, None]:
        """The contents of a file, piece by piece. Raises at the first piece: `NotFound`, `Refused`."""
        async with self._session(session_id).files() as files:
            async with closing(files.read_file(path)) as pieces:
                async for piece in pieces:
                    yield piece

    async def write_file(self, session_id: str, path: str, chunks: AsyncIterator[bytes]) -> None:
        """Make or replace a file. Raises `Refused` and `TooLarge`."""
        async with self._session(session_id).files() as files:
            await files.write_file(path, chunks)

    async def delete_file(self, session_id: str, path: str) -> None:
        """Remove a file. Raises `NotFound` and `Refused`."""
        async with self._session(session_id).files() as files:
            await files.delete_file(path)

    # ---- how sessions are made and ended

    def _session(self, session_id: str) -> LiveSession:
        session = self._sessions.get(session_id)
        if session is None:
            raise NotFound(f"There is no session {session_id[:64]!r}; it may have ended.")
        return session

    async def _folder(self, path: str | None) -> Path:
        # In a thread, since a file system may take its time; not for the root, which costs nothing.
        return await asyncio.to_thread(folder_of, self._root, path) if path else self._root

    def _check_accepting(self) -> None:
        if self._stopping:
            raise Unavailable("The server is stopping; nothing new can run.")

    def _new_session(
        self,
        environment: str,
        path: str | None,
        folder: Path,
        *,
        title: str | None = None,
        kept: bool = True,
        settings: dict[str, Any] | None = None,
    ) -> LiveSession:
        shown = "/".join(part for part in (path or "").split("/") if part not in ("", "."))
        model = Session(environment=environment, name=title, path=shown)

        def make() -> CodeExecutor:
            self.registry.usage.enter(environment, model.id)
            self.registry.usage.check(environment)
            place = self.registry.get(model.environment)
            still_there(folder)
            private = self.lease.session_path(model.id)
            executor = self.factory.for_environment(place, folder, private, **settings or {})
            workspace = getattr(executor, "workspace", None)
            if isinstance(workspace, Path):  # another's executor may have it elsewhere
                still_there(folder, workspace)
            return executor

        return LiveSession(
            model,
            kept=kept,
            make=make,
            clean_up=lambda: self.lease.remove_session_path(model.id),
            patience=self._patience,
            logger=self.log,
            changed=self._session_changed,
        )

    def _list(self, session: LiveSession) -> None:
        self._sessions[session.id] = session
        self._tell("session", "created", session.view())

    def _session_changed(self, session: LiveSession) -> None:
        if session.id in self._sessions:
            self._tell("session", "changed", session.view())

    async def _end_session(self, session: LiveSession, outcome: Outcome) -> None:
        listed = self._sessions.pop(session.id, None) is not None
        self._ending.add(session)
        try:
            await session.close(outcome)
        finally:
            self._ending.discard(session)
            self.registry.usage.leave(session.model.environment, session.id)
            session.gone.set()
            if listed:
                self._tell("session", "deleted", session.view())

    async def _cull(self) -> None:
        while True:
            await asyncio.sleep(self.cull_interval)
            for session in list(self._sessions.values()):
                # Looked at again for each: ending the one before took time.
                if session.kept and not session.closed and session.idle_seconds > self.cull_idle_seconds:
                    self.log.info("Session %s has been idle for long and is ended.", session.id)
                    await self.delete_session(session.id)

    async def _end_sessions(self, outcome: Outcome) -> None:
        if self._culling is not None:
            self._culling.cancel()
            await asyncio.wait({self._culling})
        sessions = {*self._sessions.values(), *self._ending}
        await asyncio.gather(*(self._end_session(session, outcome) for session in sessions))

    def _tell(self, kind: str, action: str, what: Session | Execution) -> None:
        """Tell the observers; nothing that one of them does can break a run."""
        self.last_activity = now()
        for observer in list(self.observers):
            try:
                observer(kind, action, what.model_copy())
            except (Exception, asyncio.CancelledError):
                self.log.exception("An observer of %ss failed.", kind)
