"""``environments``: where code can run."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tornado import web

from ..errors import NotFound, UnknownEnvironment
from .base import RESOURCE, ExecHandler, authorized
from .stream import Frame, StreamHandler, frame

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from ..events import Event
    from ..models import Environment


@contextmanager
def _as_path() -> Iterator[None]:
    """A name in the path that does not exist is 404, where a name in a body is 422."""
    try:
        yield
    except UnknownEnvironment as error:
        raise NotFound(error.message) from None


class EnvironmentRootHandler(ExecHandler):
    """All environments."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self) -> None:
        """List them."""
        await self.answer_list("environments", self.registry.list())

    @web.authenticated
    @authorized(action="write", resource=RESOURCE)
    async def post(self) -> None:
        """Begin to create one. Installing packages runs their code: it takes that right, too."""
        from ..models import EnvironmentRequest

        request = self.parse(EnvironmentRequest)
        await self.may_execute(request.name)
        environment = await self.registry.create(request)
        self.created_at("environments", environment.name)
        await self.answer(environment)


class EnvironmentHandler(ExecHandler):
    """One environment."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, name: str) -> None:
        """Show it."""
        await self.answer(find(self.registry.list(), name))

    @web.authenticated
    @authorized(action="write", resource=RESOURCE)
    async def delete(self, name: str) -> None:
        """Remove it, where it was created here."""
        self.no_body()
        with _as_path():
            await self.registry.delete(name)
        await self.answer_nothing()


class EnvironmentEventsHandler(StreamHandler):
    """How one environment is being prepared."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, name: str) -> None:
        """Follow it until it is ready or has failed."""
        since = self.since()
        find(self.registry.list(), name)
        # Looked up before the answer begins: it may be deleted in that moment.
        await self.stream(self._frames(self.registry.events(name, since)))

    async def _frames(self, events: AsyncIterator[Event]) -> AsyncGenerator[Frame, None]:
        async for event in events:
            data = json.dumps({**event.data, "time": event.time})
            yield frame(event.number, event.type, data.encode())


def find(environments: list[Environment], name: str) -> Environment:
    """The environment of that name. Raises `NotFound`."""
    for environment in environments:
        if environment.name == name:
            return environment
    raise NotFound(f"There is no environment {name!r}; GET environments lists those there are.")
