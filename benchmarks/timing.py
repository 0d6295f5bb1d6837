"""Medians of interleaved repetitions: what is compared is measured in turns, under the same load."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

Action = Callable[[], Awaitable[object]]


class Row(NamedTuple):
    """One line of the table, and what of it the target speaks of.

    Without a `baseline` there is nothing beside it, and no ratio.
    """

    name: str
    baseline: str
    ours: float
    theirs: float
    target: str
    met: bool | None
    unit: str = "ms"

    def __str__(self) -> str:
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        beside = f"{self.baseline}: {self.theirs:.2f} {self.unit}" if self.baseline else ""
        ratio = f"{self.ours / self.theirs:.2f}" if self.baseline and self.theirs else ""
        return (
            f"| {self.name} | {self.ours:.2f} {self.unit} | {beside} | {ratio} | {self.target} | {verdict} |"
        )


async def in_turns(actions: dict[str, Action], repetitions: int, pause: float = 0.0) -> dict[str, float]:
    """The median of each action in milliseconds; `pause` is in seconds, between two actions.

    Each time in another order: what comes after a large program finds the processor's caches full of it.
    """
    times: dict[str, list[float]] = {name: [] for name in actions}
    chance = random.Random(0)
    for repetition in range(repetitions + 2):
        for name, action in chance.sample(list(actions.items()), len(actions)):
            started = time.perf_counter()
            await action()
            if repetition >= 2:  # the first two fill caches
                times[name].append((time.perf_counter() - started) * 1000)
            time.sleep(pause)
    return {name: statistics.median(values) for name, values in times.items()}


def at_most(name: str, baseline: str, ours: float, theirs: float, factor: float) -> Row:
    """A row whose target is a ratio."""
    return Row(name, baseline, ours, theirs, f"at most {factor:g} ×", ours <= factor * theirs)


def at_most_more(name: str, baseline: str, ours: float, theirs: float, more: float) -> Row:
    """A row whose target is a difference in milliseconds."""
    return Row(name, baseline, ours, theirs, f"at most + {more:g} ms", ours - theirs <= more)


def alone(name: str, ours: float, limit: float | None, unit: str = "ms") -> Row:
    """A row with nothing beside it, whose target is a limit, or which has none."""
    if limit is None:
        return Row(name, "", ours, 0.0, "", None, unit)
    return Row(name, "", ours, 0.0, f"at most {limit:g} {unit}", ours <= limit, unit)
