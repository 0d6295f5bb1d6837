"""`Runner`: brings one execution at a time to its end, whatever its executor does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..errors import ExecError, InvalidRequest, SessionLost
from ..events import Event
from ..executors.base import CodeExecutor
from .deadlines import Alarm, GivenUp, Patience, closing, within
from .execution import LiveExecution, ended_as, late, outcome_of, overdue
from .instance import Instance

if TYPE_CHECKING:
    from .execution import Logger

__all__ = ["Runner"]


class Runner:
    """Runs the executions of one session in its instance.

    Parameters
    ----------
    instance : Instance
    environment : str
        Its name, for what is said.
    kept : bool
        Whether the session stays; a start of one that does not is for this execution alone.
    patience : Patience
    logger : logging.Logger
    """

    def __init__(
        self, instance: Instance, environment: str, *, kept: bool, patience: Patience, logger: Logger
    ) -> None:
        self._instance, self._environment, self._kept = instance, environment, kept
        self._patience, self._logger = patience, logger

    async def run(self, live: LiveExecution) -> None:
        """Run it to its end, and stop an executor that does not do as it should."""
        try:
            executor = self._instance.usable or await self._ready(live)
            if executor is None:
                return
            live.in_executor = True
            if await self._watched(executor, live):
                return
        except GivenUp:
            pass  # it has ended without its executor
        except InvalidRequest as error:
            live.end(outcome_of(error, self._environment))
            return
        except Exception as error:
            # What is foreseen says all in a sentence; only a fault of ours needs its trace.
            trace = None if isinstance(error, ExecError) else error
            self._logger.warning("A run in %s failed: %s", self._environment, error, exc_info=trace)
            live.end(outcome_of(error, self._environment))
        await self._instance.stop()

    async def _watched(self, executor: CodeExecutor, live: LiveExecution) -> bool:
        """Follow it to its end; whether the executor brought it about in time."""
        limit = None if live.options.timeout is None else live.options.timeout + self._patience.run
        alarm = Alarm(limit, lambda: live.end(overdue(self._patience.run)))
        alarm.set()
        try:
            work = self._follow(executor, live, alarm)
            await within(work, None, until=live.ended, grace=self._patience.close)
        finally:
            alarm.put_off()
        return not alarm.rang

    async def _ready(self, live: LiveExecution) -> CodeExecutor | None:
        start = self._instance.ready_for_all if self._kept else self._instance.ready
        limit = None if live.options.timeout is None else live.options.timeout + self._patience.late
        try:
            return await within(start(), limit, until=live.ended)
        except GivenUp:
            live.end(late(self._environment, limit or 0.0))  # where it has not ended by itself
            return None

    async def _follow(self, executor: CodeExecutor, live: LiveExecution, alarm: Alarm) -> None:
        async with closing(executor.run(live.execution.code_blocks, live.options)) as events:
            async for event in events:
                if live.over:
                    return
                if not isinstance(event, Event):
                    raise TypeError(f"a {type(event).__name__} is not an event")
                if event.type == "end":
                    live.end_by_executor(event.data.get("outcome"))
                    return
                if event.type == "status":  # it waits for what others do there, or no longer
                    alarm.put_off() if event.data["status"] == "queued" else alarm.set()
                await live.record(event)
        if not live.over:
            raise SessionLost("The environment went away without saying how the run ended.")

    async def cancel(self, live: LiveExecution) -> None:
        """Ask until it has ended: an executor that has only just been given it may not have begun."""
        outcome = ended_as(
            "cancelled",
            "It was cancelled; the environment did not confirm that, so the session was stopped.",
            state_kept=False,
        )
        # A cancelled run's own verdict says more.
        live.expect(ended_as("cancelled", "It was cancelled.", state_kept=False), yields=True)
        loop = asyncio.get_running_loop()
        give_up, pause = loop.time() + self._patience.cancel, 0.05
        while not live.over and (left := give_up - loop.time()) > 0:
            executor = self._instance.usable
            try:
                if executor is not None:
                    await within(executor.cancel(), left)
            except (GivenUp, Exception) as error:
                self._logger.warning("A cancel in %s failed.", self._environment, exc_info=error)
            await asyncio.wait({live.ended}, timeout=min(pause, left))
            pause = min(2 * pause, 1.0)
        live.end(outcome)
