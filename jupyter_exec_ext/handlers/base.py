"""What every handler has in common before it answers: rights and limits, and the body."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized as jupyter_authorized
from tornado import web

from .. import errors
from .answers import AnsweringHandler
from .request import Query, parse_body, parse_empty

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ..environments.registry import EnvironmentRegistry
    from ..manager import ExecutionManager

    Model = TypeVar("Model", bound=BaseModel)

Method = TypeVar("Method", bound=Callable[..., Awaitable[None]])


class _Decorator(Protocol):
    def __call__(self, method: Method) -> Method: ...


#: Jupyter's own decorator, whose annotations mypy cannot see through.
authorized = cast("Callable[..., _Decorator]", jupyter_authorized)

#: The resource of ``@authorized``; to run code, `ExecHandler.may_execute` asks for more.
RESOURCE = "exec"

# A body that is too large is read to its end and thrown away, so that the client, which is still
# sending, sees the answer rather than a reset connection; but not for ever.
_DISCARD_BYTES = 256 * 1024 * 1024
_DISCARD_SECONDS = 15.0

# Within this time a body has to be there, and more where it may be large: so many bytes each second.
_BODY_SECONDS = 60.0
_BODY_RATE = 128 * 1024
# Verbs without a body; what comes all the same is thrown away, before anybody's rights are known.
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})

# A body up to this size is awaited before the request is refused, so that the connection lives on.
_AWAITED_BYTES = 64 * 1024


@web.stream_request_body
class ExecHandler(AnsweringHandler):
    """One resource of ``api/exec``.

    The body arrives in pieces (`take`), so that its limit holds before it is in memory, and only
    from somebody who is logged in.
    """

    auth_resource = RESOURCE
    #: The query parameters each verb takes.
    query_names: ClassVar[dict[str, frozenset[str]]] = {}

    def initialize(self, name: str) -> None:
        """Begin: tornado calls it once per request."""
        super().initialize(name)
        self.query = Query({}, frozenset())
        self._body = bytearray()
        self._received = self._held = 0
        self._crowded = False

    # -- before the body ---------------------------------------------------------------------

    async def prepare(self) -> None:  # type: ignore[override]
        """Check all that can be checked before the body is taken."""
        await self.exec_app.turnstile.enter()
        await super().prepare()
        if self.request.method == "OPTIONS":  # a preflight carries no credentials
            cast(Any, self.request.connection).set_body_timeout(_DISCARD_SECONDS)
        else:
            try:
                await self._check(str(self.request.method))
            except (errors.ExecError, web.HTTPError) as error:
                self._refuse(error)
        self.prepared = True

    def _refuse(self, error: Exception) -> None:
        """Refuse once the body has come, where it is small; else at once, which ends the connection."""
        if not self._awaits_body():
            raise error
        cast(Any, self.request.connection).set_body_timeout(_DISCARD_SECONDS)

        async def refused(*path: str) -> None:
            raise error

        # What tornado calls when it has read the body.
        setattr(self, str(self.request.method).lower(), refused)

    def _awaits_body(self) -> bool:
        headers = self.request.headers
        if "Transfer-Encoding" in headers or "Expect" in headers:
            return False
        # Who is not logged in is not waited for.
        return self._declared <= (_AWAITED_BYTES if self.current_user else 0)

    @property
    def _declared(self) -> int:
        """How large the body is, where that is known; tornado refuses what is no number."""
        text = self.request.headers.get("Content-Length", "")[:20]
        return int(text) if text.isdecimal() else 0

    async def _check(self, verb: str) -> None:
        if not self.current_user:
            raise web.HTTPError(403)
        if verb not in self.verbs():
            raise web.HTTPError(405)
        if verb == "GET":
            # Jupyter asks this for files only; here a GET streams what programs print.
            self.check_xsrf_cookie()
        self.query = Query(self.request.arguments, self.query_names.get(verb, frozenset()))
        self._limit_body()
        await self.exec_app.ready()
        if verb != "GET":
            await self.may("write", RESOURCE)  # before the body is taken; the verb itself asks again
        await self.begin()

    async def begin(self) -> None:
        """Take what the verb needs before its body comes; for those whose body is not small."""

    def _limit_body(self) -> None:
        connection = cast(Any, self.request.connection)
        if self._has_patience:
            connection.set_body_timeout(_BODY_SECONDS + self.body_limit / _BODY_RATE)
        waiting = self.request.headers.get("Expect") == "100-continue"
        if self._declared > self.body_limit:
            if waiting or self._declared > self.body_limit + _DISCARD_BYTES:
                raise self.too_large()
            connection.set_body_timeout(_DISCARD_SECONDS)
        connection.set_max_body_size(self.body_limit + _DISCARD_BYTES)

    @property
    def _has_patience(self) -> bool:
        """Whether a body has its time as a whole, and not for each piece."""
        return True

    @property
    def body_limit(self) -> int:
        """The largest body this verb takes, in bytes."""
        return self.exec_app.max_body_bytes

    def too_large(self) -> errors.TooLarge:
        """The error for a body that is over the limit."""
        return errors.TooLarge(
            f"The body is larger than {self.body_limit} bytes, which is this server's limit; send less."
        )

    # -- the body ----------------------------------------------------------------------------

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Take a piece of the body, and throw away what is over the limit."""
        if self.request.method in _BODILESS:
            return None
        self._received += len(chunk)
        if self._received <= self.body_limit:
            return self.take(chunk)
        self._let_go()
        return None

    def take(self, chunk: bytes) -> Awaitable[None] | None:
        """Keep a piece of the body."""
        if self._crowded or not self.exec_app.bodies.take(len(chunk), self.body_limit):
            self._crowded = True
            self._let_go()
        else:
            self._held += len(chunk)
            self._body += chunk
        return None

    def _let_go(self) -> None:
        self._body.clear()
        self.exec_app.bodies.give_back(self._held)
        self._held = 0

    def on_finish(self) -> None:
        """Hold nothing any more: tornado calls it."""
        super().on_finish()
        self._let_go()

    def on_connection_close(self) -> None:
        """The same, where the client went away before all of its body had come."""
        super().on_connection_close()
        self._let_go()

    def whole_body(self) -> bytes:
        """The body, once: it is not kept. Raises `TooLarge` where it was over the limit."""
        if self._received > self.body_limit:
            raise self.too_large()
        if self._crowded:
            raise errors.QueueFull(
                "The server holds as many large requests as it takes at one time; try again shortly."
            )
        body = bytes(self._body)  # pydantic would copy a bytearray, and keep both while it reads
        self._let_go()  # it is read at once, and not held while the request waits
        return body

    def parse(self, model: type[Model]) -> Model:
        """The body as a request. Raises `InvalidRequest` with the field that is wrong."""
        return parse_body(model, self.whole_body())

    def no_body(self) -> None:
        """Refuse a body. Raises `InvalidRequest`."""
        parse_empty(self.whole_body())

    # -- who may -----------------------------------------------------------------------------

    async def may(self, action: str, resource: str) -> None:
        """Ask the server's authorizer. Raises `Refused`."""
        allowed = await ensure_async(self.authorizer.is_authorized(self, self.current_user, action, resource))
        if not allowed:
            raise errors.Refused(
                f"You are not allowed to {action} on {resource}; ask the server's administrator."
            )

    async def may_execute(self, environment: str) -> None:
        """Ask for the right to run code in environments of this one's kind. Raises `Refused`."""
        await self.may("execute", f"{RESOURCE}.{environment.partition(':')[0]}")

    @property
    def user(self) -> str:
        """The user's name, as the log and the Jupyter events have it."""
        return str(self.current_user.username)

    # -- what the server has -----------------------------------------------------------------

    @property
    def manager(self) -> ExecutionManager:
        """The manager; `prepare` has waited for it."""
        return self.exec_app.manager

    @property
    def registry(self) -> EnvironmentRegistry:
        """The environments; `prepare` has waited for them."""
        return self.exec_app.registry
