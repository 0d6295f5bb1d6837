"""What must hold while a case runs and after it: the server answers, stays small, and leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

__all__ = ["Census", "Meter", "OwnMeter", "Readings", "Sampler", "settled"]

MEBIBYTE = 1024 * 1024
_INTERVAL = 0.05


@dataclass
class Readings:
    """What was read while something ran: times in seconds, memory in bytes."""

    slowest: float = 0.0
    rss_before: int = 0
    rss_most: int = 0
    answers: int = 0

    @property
    def grown(self) -> int:
        """By how many bytes the process grew."""
        return self.rss_most - self.rss_before


class Meter(Protocol):
    """Reads how long a process takes to answer, and its memory."""

    async def since(self, moment: float) -> Readings:
        """What was read after that moment (monotonic), at least one answer that was asked for from now on."""


class Sampler:
    """The meter of a live server: `sampler.py` as a process.

    Parameters
    ----------
    url, token, pid
        The server's.
    file : Path
        Where the readings go.
    path : str
        What it is asked for.
    """

    def __init__(self, url: str, token: str, pid: int, file: Path, path: str = "api/status") -> None:
        self._file, self._read, self._samples = file, 0, list[list[float]]()
        program = Path(__file__).with_name("sampler.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program), url, token, str(pid), str(file), path], stdin=subprocess.PIPE
        )

    async def since(self, moment: float) -> Readings:
        """What was read after that moment."""
        now = time.monotonic()
        self._ask()
        while not self._lines() or self._lines()[-1][0] < now:
            assert self._process.poll() is None, "the server does not answer any more"
            await asyncio.sleep(0.005)
        lines = [line for line in self._lines() if line[0] >= moment - 0.1]
        asked, took, rss = zip(*lines, strict=True)
        return Readings(max(took), int(rss[0]), int(max(rss)), len(asked))

    def _ask(self) -> None:
        """Have it ask now, so that nobody waits for its next turn."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, which is found out
            os.write(self._process.stdin.fileno(), b"\n")

    def _lines(self) -> list[list[float]]:
        """All that was read; of the file, only what is new is read each time."""
        if self._file.exists():
            with self._file.open("rb") as file:
                file.seek(self._read)
                whole = file.read().rpartition(b"\n")[0]
            self._read += len(whole) + 1 if whole else 0
            self._samples += [[float(word) for word in line.split()] for line in whole.splitlines()]
        return self._samples

    def stop(self) -> None:
        """End it."""
        self._process.communicate(b"")


class OwnMeter:
    """The meter of this process: its memory, and how late its event loop is."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._task = asyncio.ensure_future(self._measure())
        self._readings = Readings(rss_before=self._process.memory_info().rss)

    async def _measure(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(_INTERVAL)
            late = time.monotonic() - began - _INTERVAL
            self._readings.slowest = max(self._readings.slowest, late)
            self._readings.rss_most = max(self._readings.rss_most, self._process.memory_info().rss)
            self._readings.answers += 1

    async def since(self, moment: float) -> Readings:
        """What was read since this was made."""
        await asyncio.sleep(2 * _INTERVAL)
        self._task.cancel()
        return self._readings


@dataclass(frozen=True)
class Census:
    """What there is at one moment: below a process, open in another, and in folders.

    `processes` are counted, because a forked program looks like the one it was forked from.
    """

    processes: int
    descriptors: Counter[str]
    paths: frozenset[str]

    @classmethod
    def take(cls, top: int, server: int, *folders: Path) -> Census:
        """Count what is below the process `top`, open in `server`, and in the folders.

        A process that has ended counts until somebody has waited for it.
        """
        below = len(psutil.Process(top).children(recursive=True))
        return cls(below, Counter(_descriptors(server)), frozenset(_paths(folders)))

    def over(self, before: Census) -> list[str]:
        """What there is now and was not before, as sentences."""
        found = [f"{path} is left" for path in sorted(self.paths - before.paths)]
        found += [f"open: {kind} x{n}" for kind, n in (self.descriptors - before.descriptors).items()]
        if self.processes > before.processes:
            found.append(f"{self.processes - before.processes} processes are left")
        return found


def _descriptors(pid: int) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):
            target = os.readlink(f"{folder}/{name}")
            # The log's threads each open it when they are first needed; they are the server's.
            if "/log.sqlite" not in target:
                yield re.sub(r"\d+", "N", target)


def _paths(folders: tuple[Path, ...]) -> Iterator[str]:
    for folder in folders:
        yield from (str(path) for path in folder.rglob("*"))


async def settled(take: Callable[[], Census], before: Census, seconds: float = 5.0) -> list[str]:
    """What is still left of a run after so many seconds; nothing, as soon as nothing is."""
    until = time.monotonic() + seconds
    while left := take().over(before):
        if time.monotonic() > until:
            return left
        await asyncio.sleep(0.02)
    return left
