"""Prometheus metrics, on Jupyter Server's ``/metrics``.

They belong to the process: an extension that is loaded twice in one (tests do it) counts into the
same ones. Counters count when an execution ends; gauges ask the managers when they are scraped.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter as Counts
from collections.abc import Iterator
from typing import TYPE_CHECKING
from weakref import WeakSet

from prometheus_client import REGISTRY, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from .kernels.pool import KernelPool
    from .manager import ExecutionManager
    from .models import Execution

__all__ = ["count", "forget", "forget_pool", "watch", "watch_pool"]

EXECUTIONS = Counter(
    "jupyter_exec_executions",
    "Executions that have ended, by the kind of their environment and how they ended.",
    ["kind", "status"],
)
# From a print statement (milliseconds, from a warm interpreter) to a day of training.
DURATION = Histogram(
    "jupyter_exec_duration_seconds",
    "Time from the start of an execution to its end, without its time in the queue.",
    ["kind"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400),
)


class _Managers(Collector):
    """Gauges over all managers and pools of this process."""

    def __init__(self) -> None:
        self.managers: WeakSet[ExecutionManager] = WeakSet()
        self.pools: WeakSet[KernelPool] = WeakSet()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Ask them: the registry calls it for each scrape."""
        managers = list(self.managers)
        for name, text, values in (
            ("queued", "Executions that wait for their turn.", [one.queued for one in managers]),
            ("running", "Executions that run.", [one.running for one in managers]),
            ("sessions", "Live sessions.", [one.session_count for one in managers]),
        ):
            yield GaugeMetricFamily(f"jupyter_exec_{name}", text, value=sum(values))
        yield self._ready()

    def _ready(self) -> GaugeMetricFamily:
        text = "Kernels that are ready to be taken, by environment."
        family = GaugeMetricFamily("jupyter_exec_kernels_ready", text, labels=["environment"])
        counts: Counts[str] = Counts()
        for pool in list(self.pools):
            counts.update(pool.ready)
        for name, count in sorted(counts.items()):
            family.add_metric([name], count)
        return family


_MANAGERS = _Managers()
REGISTRY.register(_MANAGERS)


def watch(manager: ExecutionManager) -> None:
    """Include a manager in the gauges, from its start on."""
    _MANAGERS.managers.add(manager)


def forget(manager: ExecutionManager) -> None:
    """Leave a manager out of the gauges: it has stopped."""
    _MANAGERS.managers.discard(manager)


def watch_pool(pool: KernelPool) -> None:
    """Include a pool in the gauges, from its start on."""
    _MANAGERS.pools.add(pool)


def forget_pool(pool: KernelPool) -> None:
    """Leave a pool out of the gauges: it has stopped."""
    _MANAGERS.pools.discard(pool)


def count(execution: Execution, *, timed: bool = True) -> None:
    """Count an execution that has ended; `timed`: at the time it says, and not found out later."""
    kind = execution.environment.partition(":")[0]
    EXECUTIONS.labels(kind, execution.status).inc()
    if timed and execution.started_at and execution.finished_at:
        DURATION.labels(kind).observe(_seconds(execution.started_at, execution.finished_at))


def _seconds(start: str, end: str) -> float:
    times = [dt.datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (start, end)]
    return max(0.0, (times[1] - times[0]).total_seconds())
