"""`KernelConnection`: the one connection to a kernel, and the requests that go over it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import EnvironmentFailed, ExecError, SessionLost
from .request import KernelRequest
from .slices import slice_of
from .watch import RESTARTED, Watch
from .wire import CHANNELS, Message, Wire, open_wire
from .work import Work

if TYPE_CHECKING:
    import logging

    Logger = logging.Logger | logging.LoggerAdapter[Any]

__all__ = ["KernelConnection"]

#: Seconds between two questions to a kernel that has not answered yet, on the control and shell channel.
NUDGES = (0.2, 2.0)
#: Seconds in which a kernel that has nothing else to do answers on the shell channel.
AT_REST = 0.3
#: Seconds in which the channel for questions is connected, too, of a kernel that answers.
ASKS = 3.0
#: Seconds for which a kernel behind a gateway that has answered is taken to be there.
VERIFIED = 1.0
#: Seconds from the interrupt of what runs in a kernel that is to end to when it tells that it ends.
TOLD = 0.5
#: Seconds for the last messages of a kernel that is gone to come out of the socket.
LAST_WORDS = 0.3
#: Seconds that a kernel which was told to end gets for it (IPython's takes 0.5 s), and between two looks.
ENDING, ENDING_LOOK = 3.0, 0.05


class KernelConnection:
    """Messages from and to one kernel, each filed under the request it belongs to.

    Parameters
    ----------
    kernel_id : str
    manager : callable
        Returns the kernel's manager; raises KeyError (or tornado's 404) once there is none.
    make_client : callable
        Makes a client of that manager, not started.
    logger : logging.Logger
    """

    def __init__(
        self, kernel_id: str, manager: Callable[[], Any], make_client: Callable[[Any], Any], logger: Logger
    ) -> None:
        self.kernel_id = kernel_id
        #: What the kernel says of itself (``kernel_info_reply``), once it has.
        self.info: dict[str, Any] = {}
        self.lost: ExecError | None = None
        self.logger = logger
        self._manager, self._make_client = manager, make_client
        self._wire: Wire | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._nudges: set[str] = set()
        self._at_rest = ""
        self._heard = asyncio.Event()
        #: Whether the last block told the kernel to end, which it does once it has replied.
        self.ends = False
        #: The request that has made the kernel, which is somebody else's, discreet: see `discreet`.
        self.discreet: KernelRequest | None = None
        #: What the kernel has to do.
        self.work = Work(lambda: self.lost is not None)
        self._watch = Watch(manager, self.ask)

    # -- life ------------------------------------------------------------------------------------------

    async def open(self, seconds: float = 60.0) -> None:
        """Connect, and wait until the kernel has answered.

        Raises
        ------
        EnvironmentFailed
            It did not, in that time, or it is gone.
        """
        try:
            self._watch.begin()
            self._wire = await open_wire(self._make_client(self._manager()))
            self._tasks = [asyncio.create_task(self._read(name)) for name in CHANNELS]
            await asyncio.wait_for(self._greet(), seconds)
        except asyncio.TimeoutError:
            await self.close()
            raise EnvironmentFailed(f"The kernel did not answer within {seconds:g} s.") from None
        except BaseException:
            await self.close()
            raise

    async def _greet(self) -> None:
        """Ask until something comes back on iopub: only then is nothing of what follows missed."""
        pause, shell_pause = NUDGES
        loop = asyncio.get_running_loop()
        next_shell = loop.time()
        while not self._heard.is_set():
            self.ask()
            if loop.time() >= next_shell:
                self.ask("shell")  # a kernel may know the question only there
                next_shell += shell_pause
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._heard.wait(), pause)
            if self.lost is not None:
                raise EnvironmentFailed(f"The kernel did not start: {self.lost.message}")
            if not self._heard.is_set():
                await self._watch.check_alive()
        # One that works answers on the control channel only; on the shell channel once it is at rest. Asked
        # now, since of what it begins from now on we hear.
        self._at_rest = self.ask("shell")
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.work.others.done.wait(), AT_REST)
        if self._wire is not None and not await self._wire.asks_arrive(ASKS):
            self.logger.warning("Kernel %s does not open its channel for questions.", self.kernel_id)

    def ask(self, channel: str = "control") -> str:
        """Ask the kernel who it is, and return the question's identifier; the answer is noticed."""
        question = self._send(channel, "kernel_info_request", {})
        self._nudges.add(question)
        return question

    async def close(self) -> None:
        """End the connection; whoever waits for an answer is told that it is gone. May be called twice."""
        self._lose(SessionLost("The connection to the kernel was closed."))
        wire, self._wire = self._wire, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if wire is not None:
            await wire.close()

    def limit(self, messages: int) -> None:
        """Let no more messages of the kernel than these wait here to be read; it must keep the others."""
        if self._wire is not None:
            self._wire.limit(messages)

    @property
    def alive(self) -> bool:
        """Whether a request can be sent."""
        return self._wire is not None and self.lost is None

    @property
    def kernel(self) -> str:
        """What the kernel's process calls itself: another one does so by another name."""
        return self._watch.kernel

    async def verify(self) -> None:
        """Notice what has ended or restarted meanwhile: who waits for nothing is not told.

        A kernel that was told to end gets the time for it, so that it does not end under what follows.
        """
        if self.alive and self._watch.replaced:
            # The new process might say so only once something runs in it, which would then seem to be lost.
            error = SessionLost(RESTARTED)
            await self._fail(error) if self.work.requests.pending() else self._lose(error)
        if not (self.alive and (self.ends or self._watch.doubtful(VERIFIED))) or self.work.requests.pending():
            return
        until = time.monotonic() + (ENDING if self.ends else 0)
        try:
            await self._watch.check_alive()
            while self.lost is None and time.monotonic() < until:
                await asyncio.sleep(ENDING_LOOK)
                await self._watch.check_alive()
        except ExecError as error:
            self._lose(error)
        self.ends = False  # it has not

    # -- requests --------------------------------------------------------------------------------------

    async def execute(
        self,
        code: str,
        take: Callable[[Message], None],
        gone: Callable[[], None] = lambda: None,
        *,
        store_history: bool = True,
        silent: bool = False,
        allow_stdin: bool = False,
    ) -> KernelRequest:
        """Ask the kernel to run something, and return without waiting for it.

        Parameters
        ----------
        take : callable
            Gets every message that belongs to it but its status, also those that come after its end;
            it must be quick and not raise.
        gone : callable, optional
            Is called when no more can come, since the connection ends; the same holds for it.
        """
        content = {
            "code": code,
            "silent": silent,
            "store_history": store_history,
            "user_expressions": {},
            "allow_stdin": allow_stdin,
            "stop_on_error": False,  # what others have asked of this kernel is theirs
        }
        await slice_of(asyncio.get_running_loop()).turn()  # a crowd begins one after the other
        request = KernelRequest(self._send("shell", "execute_request", content), take, gone)
        self.work.requests.add(request)
        if self._watch.idle:
            self._watch.start(self.work.requests.pending, self._fail)
        return request

    def answer(self, asked: Message, value: str) -> None:
        """Answer an ``input_request``."""
        self._send("stdin", "input_reply", {"value": value, "status": "ok"}, asked.header)

    def _send(self, channel: str, kind: str, content: dict[str, Any], parent: Any = None) -> str:
        if self._wire is None or self.lost is not None:
            raise self.lost or SessionLost("The connection to the kernel was closed.")
        return self._wire.send(channel, kind, content, parent)

    async def check_kept(self, *, interrupted: bool) -> None:
        """Raise `SessionLost` where somebody is ending the kernel, or has, under what has just ended.

        Parameters
        ----------
        interrupted : bool
            Whether it ended with an interrupt that nobody here has sent, which may be the beginning of that.
        """
        if interrupted and self._watch.remote:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._watch.told.wait(), TOLD)
        self._watch.check_kept()

    async def _fail(self, error: ExecError) -> None:
        await asyncio.sleep(LAST_WORDS)
        self._lose(error)

    def _lose(self, error: ExecError) -> None:
        self.lost = self.lost or error
        self._watch.stop()
        self._heard.set()
        self.work.others.rest()
        self.work.requests.lose(self.lost)

    # -- reading ---------------------------------------------------------------------------------------

    async def _read(self, channel: str) -> None:
        shared = slice_of(asyncio.get_running_loop())
        try:
            while self._wire is not None:
                message = await self._wire.receive(channel)
                if message is None:
                    self.logger.warning("Kernel %s sent something that is no message.", self.kernel_id)
                else:
                    self._route(message)
                if shared.over():
                    await shared.turn()
        except ExecError as error:
            self._lose(error)
        except Exception as error:
            self._lose(SessionLost(f"The connection to the kernel broke: {error}."))

    def _route(self, message: Message) -> None:
        if message.type == "kernel_info_reply":
            self.info = message.content
        if message.type == "shutdown_reply":
            self._watch.told.set()
        if message.channel == "iopub" and (message.parent in self._nudges or message.type == "iopub_welcome"):
            self._watch.heard(message.kernel)
            self._heard.set()
        if message.parent in self._nudges:
            self._watch.heard(message.kernel)
            if message.type == "kernel_info_reply":
                self._nudges.discard(message.parent)
                if message.parent == self._at_rest:
                    self.work.others.rest()
            return
        request = self.work.requests.get(message.parent)
        if request is not None:
            request.put(message)
        elif message.type == "status" and message.parent_type == "execute_request":
            self.work.others.hear(message.content.get("execution_state"))
