"""`ExecApp`: the server extension. It wires the parts together, starts and stops them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from jupyter_server.extension.application import ExtensionApp
from traitlets import Dict, Float, Int

from .allocator import return_large_buffers
from .errors import Unavailable
from .handlers.bodies import Bodies
from .handlers.longanswers import LongAnswers
from .handlers.routes import patterns
from .handlers.turnstile import Turnstile
from .version import __version__

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from .environments.registry import EnvironmentRegistry
    from .executors.factory import CodeExecutorFactory
    from .kernels.pool import KernelPool
    from .manager import ExecutionManager

# How long a request waits for a server that is still starting.
_START_SECONDS = 30.0
# A request costs about a millisecond; a turn of the event loop should not take much longer than ten.
_AT_ONCE = 8
# What of `executor_settings` says how far stop reaches.
_STOP_SETTINGS = ("namespace", "portable")


class ExecApp(ExtensionApp):
    """Runs code blocks in the environment their user picks, below ``api/exec``.

    Its own traits are the limits of REST; those of the parts are on the classes they concern:
    `ExecutionManager`, `EnvironmentRegistry`, `ContainerEnvironments`, `EventLog` and `KernelPool`.
    """

    name = "jupyter_exec_ext"
    version = __version__
    description = "Run code blocks in the environment you pick."

    max_body_bytes = Int(
        10 * 1024 * 1024, min=1024, help="The largest request body in bytes, files excepted; above it, 413."
    ).tag(config=True)
    max_file_bytes = Int(
        1024 * 1024 * 1024, min=0, help="The largest file in bytes that a client can put into a session."
    ).tag(config=True)
    max_wait_seconds = Float(
        86400.0, min=0, help="The longest time in seconds that POST executions?wait= takes."
    ).tag(config=True)
    heartbeat_seconds = Float(
        15.0, min=0.01, help="Seconds of silence in an event stream before a heartbeat comment is sent."
    ).tag(config=True)
    stalled_reader_seconds = Float(
        30.0,
        min=0.01,
        help="Seconds a client may leave a piece of an answer unread (64 KiB), or a file it uploads without "
        "a further piece, before it is disconnected.",
    ).tag(config=True)

    executor_settings = Dict(
        help="Arguments for the executors that take them, by name: output_limit (bytes kept of one "
        "execution's output), grace (seconds from interrupt to terminate, and to kill), fork, namespace, "
        "portable, output_dir (where a kernel's images and HTML are saved). A name that no executor takes is "
        "warned of at the start."
    ).tag(config=True)

    kernel_niceness = Int(
        5,
        min=0,
        max=19,
        help="By how much kernels that this extension starts yield to the server, as the command nice has "
        "it, so that it still answers at once when many of them work; 0 for not at all.",
    ).tag(config=True)

    manager: ExecutionManager
    registry: EnvironmentRegistry
    pool: KernelPool

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.turnstile = Turnstile(_AT_ONCE)
        self.bodies, self.long_answers = Bodies(), LongAnswers()
        self._parts = AsyncExitStack()
        self._started = asyncio.Event()
        self._starting = False
        self._failure: Unavailable | None = Unavailable("The extension has not started; try again soon.")

    def print_help(self, classes: bool = False) -> None:
        """Print the options, with those of the parts: traitlets calls it for ``--help-all``."""
        if classes:
            self.classes = [*self.classes, *_configurable_parts()]
        super().print_help(classes)

    def initialize_handlers(self) -> None:
        """Add the routes: the server calls it while it loads the extension."""
        self.handlers.extend(patterns())

    async def ready(self) -> None:
        """Wait until the parts have started. Raises `Unavailable` where they have not."""
        if not self._started.is_set():
            try:
                await asyncio.wait_for(self._started.wait(), _START_SECONDS)
            except asyncio.TimeoutError:
                pass  # the failure says so
        if self._failure:
            raise Unavailable(self._failure.message)

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """Start the parts: the server calls it once its event loop runs."""
        self._starting = True
        try:
            return_large_buffers()
            # In a thread, because the imports take a while and the server already answers.
            await asyncio.to_thread(_import_parts)
            await self._start_parts(serverapp)
            self._failure = None
        except Exception as error:
            self.log.exception("jupyter_exec_ext could not start; its requests are answered with 503.")
            self._failure = Unavailable(f"The extension could not start: {error}")
            await self._parts.aclose()
        finally:
            self._started.set()

    async def _start_parts(self, serverapp: ServerApp) -> None:
        from . import metrics
        from .environments.containers import ContainerEnvironments
        from .environments.registry import EnvironmentRegistry
        from .executors.factory import CodeExecutorFactory
        from .kernels.client import JupyterClient
        from .kernels.leftovers import end_leftovers
        from .kernels.pool import KernelPool
        from .kernels.records import connection_folder, records_for
        from .kernels.specs import KernelSpecs
        from .lease import Lease
        from .log import EventLog
        from .manager import ExecutionManager
        from .notices import Notices

        lease = Lease()
        lease.acquire()
        self._parts.callback(lease.release)
        # What the sessions of killed servers have left.
        folder = connection_folder(serverapp.kernel_manager)
        dead = await asyncio.to_thread(
            lease.sweep, partial(end_leftovers, connections=folder, logger=self.log)
        )
        log = EventLog(parent=self)
        self.registry = EnvironmentRegistry(parent=self, root_dir=serverapp.root_dir)
        self._parts.push_async_callback(self.registry.stop)
        records = records_for(serverapp.kernel_manager, lease, self.log)
        if records is not None:
            self._parts.push_async_callback(asyncio.to_thread, records.stop)
        kernels = JupyterClient(
            serverapp.kernel_manager,
            sessions=serverapp.session_manager,
            logger=self.log,
            records=records,
            niceness=self.kernel_niceness,
        )
        self._parts.push_async_callback(kernels.close)
        specs = KernelSpecs(kernels, self.log)
        self._parts.push_async_callback(specs.stop)
        specs.start()
        self.registry.kernelspecs = specs.found
        containers = ContainerEnvironments(parent=self, server=lease.id, options=self.registry.options_of)
        self._parts.push_async_callback(containers.stop)
        containers.on_change = self.registry.refresh
        self.registry.containers = containers.found
        containers.start(dead)
        self.pool = KernelPool(parent=self, client=kernels, find=self.registry.get, folder=serverapp.root_dir)
        self._parts.push_async_callback(self.pool.stop)
        metrics.watch_pool(self.pool)
        self._parts.callback(metrics.forget_pool, self.pool)
        factory = CodeExecutorFactory({**self.executor_settings, "client": kernels, "pool": self.pool})
        await asyncio.to_thread(self._warn_of_settings, factory)
        self.manager = ExecutionManager(
            parent=self,
            log=log,
            registry=self.registry,
            factory=factory,
            lease=lease,
            root_dir=serverapp.root_dir,
        )
        notices = Notices(serverapp, self.manager, self.registry)
        notices.start()
        self._parts.push_async_callback(notices.stop)
        # With somebody who listens: it tells of what it ends as lost, and when it closes, of the rest.
        await log.open(lease.id)
        self._parts.push_async_callback(log.close)
        self._parts.push_async_callback(self.manager.stop)
        await self.manager.start()
        await self.pool.start()
        # Beside the first requests: below a large root it looks around for a while.
        looking = asyncio.create_task(self._look_around())
        self._parts.callback(looking.cancel)

    def _warn_of_settings(self, factory: CodeExecutorFactory) -> None:
        """Warn of settings that no executor takes: the factory passes them over."""
        from .executors.settings import setting_names

        if not self.executor_settings:
            return
        known = setting_names(factory)
        for name in sorted(self.executor_settings.keys() - known):
            self.log.warning(
                "ExecApp.executor_settings: %r has no effect, since no executor takes it; the names are %s.",
                name,
                ", ".join(sorted(known)),
            )

    async def _look_around(self) -> None:
        from .executors.containment import guarantee

        wanted = {
            name: bool(self.executor_settings.get(name, name == "namespace")) for name in _STOP_SETTINGS
        }
        try:
            self.registry.guarantee = await guarantee(**wanted)
            await self.registry.start()
        except Exception:
            self.log.exception("Some environments may be missing from the list; looking for them failed.")

    def current_activity(self) -> int | None:
        """What goes on, so that the server does not call itself idle and shut down meanwhile."""
        if self._failure:
            return None
        return self.manager.queued + self.manager.running or None

    async def stop_extension(self) -> None:
        """Stop the parts, the last started first: the server calls it when it stops."""
        if self._starting:  # half started parts cannot be stopped
            await self._started.wait()
        if self._failure is None:
            self._failure = Unavailable("The server is stopping; nothing new can run.")
            self.log.info("Stopping jupyter_exec_ext: what still runs is ended, its output is kept.")
        await self._parts.aclose()
        self.log.debug("jupyter_exec_ext has stopped.")


def _configurable_parts() -> list[type[Any]]:
    from .environments.containers import ContainerEnvironments
    from .environments.registry import EnvironmentRegistry
    from .kernels.pool import KernelPool
    from .log import EventLog
    from .manager import ExecutionManager

    return [ExecutionManager, EnvironmentRegistry, ContainerEnvironments, EventLog, KernelPool]


def _import_parts() -> None:
    from . import manager, notices  # noqa: F401
    from .environments import containers, registry  # noqa: F401
    from .executors import factory  # noqa: F401
    from .kernels import client, leftovers  # noqa: F401
