"""`LanguageRouter`: one executor made of several, each of which runs the languages it was given."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from ..errors import Conflict, InvalidRequest, UnknownLanguage
from ..events import Event, Outcome
from ..languages import LANGUAGES, Language, resolve
from ..models import CodeBlock, Verdict
from .base import CodeExecutor, RunOptions, checked
from .turns import RunTurn

__all__ = ["ANY", "LanguageRouter"]

#: Stands for every language that is not named.
ANY = "*"


class LanguageRouter(CodeExecutor):
    """Runs each block with the executor of its language, all of them in one order.

    Parameters
    ----------
    executors : mapping
        Language (or an alias of one, or `ANY`) to executor; several may name the same executor.
    languages : mapping, optional
        The table the names are from.

    Raises
    ------
    InvalidRequest
        Where there is no executor at all, or two for one language.
    """

    def __init__(
        self, executors: Mapping[str, CodeExecutor], languages: Mapping[str, Language] = LANGUAGES
    ) -> None:
        self._languages = languages
        self._of: dict[str, CodeExecutor] = {}
        for name, executor in executors.items():
            if self._of.setdefault(self._canonical(name), executor) is not executor:
                raise InvalidRequest(f"{name}: there are two executors for this language.", field="executor")
        if not self._of:
            raise InvalidRequest("executor: name at least one language.", field="executor")
        self._all = list(dict.fromkeys(self._of.values()))
        self._current: CodeExecutor | None = None
        self._cancelled = False
        self._turn = RunTurn("A run goes on in this executor; wait for its end.")

    def _canonical(self, name: str) -> str:
        with contextlib.suppress(UnknownLanguage):
            return resolve(name, self._languages).name
        return name.lower()  # a language that only the executor knows

    def executor_of(self, language: str) -> CodeExecutor:
        """The executor of a language. Raises `UnknownLanguage` where there is none."""
        executor = self._of.get(self._canonical(language), self._of.get(ANY))
        if executor is None:
            known = ", ".join(sorted(self._of))
            raise UnknownLanguage(
                f"No executor runs {language!r}; there is one for: {known}.", field="language"
            )
        return executor

    async def start(self) -> None:
        """Start all; where one does not start, none is left running."""
        try:
            for executor in self._all:
                await executor.start()
        except BaseException:
            await self.stop()
            raise

    async def run(
        self, blocks: Sequence[CodeBlock], options: RunOptions | None = None
    ) -> AsyncGenerator[Event, None]:
        """Run the blocks in order; see `CodeExecutor.run`."""
        options = checked(blocks, options)
        plan = [(self._route(index, block), index, block) for index, block in enumerate(blocks)]
        await self._turn.take()
        self._cancelled = False
        try:
            async with contextlib.aclosing(self._run_all(plan, options)) as events:
                with self._turn:
                    async for event in events:
                        yield event
        finally:
            self._current = None
            self._turn.release()

    def _route(self, index: int, block: CodeBlock) -> CodeExecutor:
        try:
            return self.executor_of(block.language)
        except UnknownLanguage as error:
            error.field = f"code_blocks[{index}].language"
            raise

    async def _run_all(
        self, plan: list[tuple[CodeExecutor, int, CodeBlock]], options: RunOptions
    ) -> AsyncGenerator[Event, None]:
        total: Outcome | None = None
        began = time.monotonic()
        for executor, group in groupby(plan, key=lambda step: step[0]):
            steps, self._current = list(group), executor
            left = options.timeout and max(0.001, options.timeout - (time.monotonic() - began))
            async with contextlib.aclosing(
                executor.run([block for _, _, block in steps], replace(options, timeout=left))
            ) as events:
                async for event in events:
                    if event.type == "end":
                        total = _added(total, event.data["outcome"])
                    else:
                        yield _numbered(event, steps[0][1])
            if total is None or self._cancelled or _stops(total.status, options):
                break
        yield Event("end", {"outcome": total})

    async def cancel(self) -> None:
        """End the run that goes on, and run no further block."""
        self._cancelled = True
        if self._current is not None:
            await self._current.cancel()

    async def interrupt(self) -> None:
        """Interrupt the block that runs."""
        if self._current is not None:
            await self._current.interrupt()

    async def send_input(self, value: str) -> None:
        """Answer the block that runs. Raises `Conflict` where none does."""
        if self._current is None:
            raise Conflict("Nothing runs that could take input.")
        await self._current.send_input(value)

    async def restart(self) -> None:
        """Restart all."""
        for executor in self._all:
            await executor.restart()

    async def stop(self) -> None:
        """Stop all, also where one of them does not stop cleanly."""
        async with contextlib.AsyncExitStack() as stack:
            for executor in self._all:
                stack.push_async_callback(executor.stop)

    @property
    def alive(self) -> bool:
        """Whether all can take a run."""
        return all(executor.alive for executor in self._all)


def _stops(status: str, options: RunOptions) -> bool:
    return status != "ok" and (options.stop_on_error or status != "failed")


def _numbered(event: Event, first: int) -> Event:
    """The event with the number its block has among all blocks."""
    if event.type != "block":
        return event
    return replace(event, data={**event.data, "index": event.data["index"] + first})


def _added(total: Outcome | None, one: Outcome) -> Outcome:
    """What two executors' outcomes come to: the first that did not end well is how it ended."""
    if total is None:
        return one
    worst = one if total.status == "ok" else total
    return Outcome(
        worst.status,
        worst.exit_code,
        _verdict(total.verdict, one.verdict, worst.verdict),
        list(dict.fromkeys(total.code_files + one.code_files)),
        list(dict.fromkeys(total.output_files + one.output_files)),
        total.truncated or one.truncated,
    )


def _verdict(first: Verdict, second: Verdict, worst: Verdict) -> Verdict:
    return worst.model_copy(
        update={
            "survivors": first.survivors + second.survivors,
            "state_kept": first.state_kept and second.state_kept,
            "limits_hit": list(dict.fromkeys(first.limits_hit + second.limits_hit)),
            "wall_seconds": (first.wall_seconds or 0.0) + (second.wall_seconds or 0.0),
            "cpu_seconds": (first.cpu_seconds or 0.0) + (second.cpu_seconds or 0.0),
            "max_rss_bytes": max(first.max_rss_bytes or 0, second.max_rss_bytes or 0),
        }
    )
