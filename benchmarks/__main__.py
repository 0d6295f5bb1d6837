"""Measure the targets of the design, as ratios in one run on one machine.

    python -m benchmarks [--containers] [--ag2] [--write]

``--containers`` measures containers, too, on an engine that it starts and stops (as root, with dockerd);
``--ag2`` installs ag2 0.14 into a virtual environment of its own (benchmarks/.cache) and measures
it beside; ``--write`` writes the table to benchmarks/results.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import psutil

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .containers import container_rows
from .kernels import kernel_rows
from .peers import ag2_rows
from .pool import kernel_rest_row, pool_row
from .server import running_server, submitter
from .timing import Row, alone, at_most, at_most_more, in_turns

HERE = Path(__file__).parent
NUMPY = "import numpy; print(numpy.arange(3).sum())"


async def program(*command: str) -> None:
    """Run a program to its end, its output caught, as an executor would."""
    await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)


async def block(executor: LocalCommandLineCodeExecutor, code: str, language: str = "python") -> None:
    """Run a block that must succeed."""
    result = await executor.execute_code_blocks([CodeBlock(code=code, language=language)])
    if result.outcome.status != "ok":
        raise SystemExit(f"{code!r} ended {result.outcome}")


async def local_rows() -> list[Row]:
    """Blocks in a local session beside the bare programs."""
    environment = SystemPythonEnvironment("local", preload=["numpy"])
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "script.py")
        script.write_text(NUMPY)
        plain = LocalCommandLineCodeExecutor(SystemPythonEnvironment("local"), folder)
        async with plain, LocalCommandLineCodeExecutor(environment, folder) as preloaded:
            actions = {
                "block": lambda: block(plain, "print(1)"),
                "python": lambda: program(sys.executable, "-c", "print(1)"),
                "bash block": lambda: block(plain, "echo 1", "bash"),
                "bash": lambda: program("bash", "-c", "echo 1"),
                "numpy block": lambda: block(preloaded, NUMPY),
                "numpy": lambda: program(sys.executable, str(script)),
            }
            ms = await in_turns(actions, 60, pause=0.004)
            alone = await in_turns({"python": lambda: block(plain, "print(1)")}, 100)
    return [
        at_most("trivial Python block, local session", "`python -c`", ms["block"], ms["python"], 0.35),
        at_most("the same, one right after the other", "`python -c`", alone["python"], ms["python"], 0.35),
        at_most("trivial bash block, local session", "`bash -c`", ms["bash block"], ms["bash"], 2),
        at_most(
            "script that imports numpy, preloaded", "`python script.py`", ms["numpy block"], ms["numpy"], 0.1
        ),
    ]


def rest_rows(client: httpx.Client, pid: int) -> list[Row]:
    """A round trip through REST beside the executor; a print on its way; the server under load."""
    session = client.post("api/exec/sessions", json={"environment": "local"}).raise_for_status().json()["id"]
    submit = submitter(client)

    async def rest() -> None:
        submit({"session": session, "code": "print(1)", "language": "python"})

    async def measure() -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            async with LocalCommandLineCodeExecutor(SystemPythonEnvironment("local"), folder) as executor:
                actions = {"rest": rest, "executor": lambda: block(executor, "print(1)")}
                return await in_turns(actions, 100, pause=0.004)

    ms = asyncio.run(measure())
    shown = printed(client, session)
    idle, busy, grown = under_load(client, pid)
    return [
        at_most_more("REST round trip with `?wait=`", "executor", ms["rest"], ms["executor"], 5),
        alone("print to server-sent event", shown, 10),
        Row(
            "`GET api/status` p99, 32 executions, one prints 1 GB",
            "idle p99",
            busy,
            idle,
            "20 ms",
            busy <= 20,
        ),
        alone("growth of the server's memory meanwhile", grown, 64, "MiB"),
    ]


def printed(client: httpx.Client, session: str) -> float:
    """Milliseconds from a print, by the program's clock, to its event; the median of ten."""
    code = "import time\nfor _ in range(10): time.sleep(.1); print(time.time())"
    request = {"session": session, "code": code, "language": "python"}
    number = client.post("api/exec/executions", json=request).json()["id"]
    delays = []
    with client.stream("GET", f"api/exec/executions/{number}/events") as events:
        kind = said = ""
        for line in events.iter_lines():
            if line.startswith("event:"):
                kind = line[6:].strip()
            elif line.startswith("data:") and kind == "stream":
                said += json.loads(line.removeprefix("data:"))["text"]
                if said.endswith("\n"):  # a print is two writes, which may be two events
                    delays.append((time.time() - float(said)) * 1000)
                    said = ""
    return statistics.median(delays)


def under_load(client: httpx.Client, pid: int) -> tuple[float, float, float]:
    """p99 of a status request idle and under load (milliseconds), and how the memory grew (MiB)."""
    idle = p99(client, 3.0)
    process = psutil.Process(pid)
    before = process.memory_info().rss
    flood = "import os\nfor _ in range(16384): os.write(1, b'x' * 65536)"
    for index in range(32):
        code = flood if index == 0 else "import time; time.sleep(6)"
        client.post("api/exec/executions", json={"environment": "local", "code": code, "language": "python"})
    peak, over = [before], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            peak.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    busy = p99(client, 6.0)
    over.set()
    watcher.join()
    return idle, busy, (max(peak) - before) / 2**20


def p99(client: httpx.Client, seconds: float) -> float:
    """The 99th percentile of ``GET api/status`` in milliseconds."""
    times, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.perf_counter()
        client.get("api/status")
        times.append((time.perf_counter() - started) * 1000)
        time.sleep(0.005)
    return sorted(times)[int(len(times) * 0.99) - 1]


def start_row() -> Row:
    """The start of a server with the extension beside one without."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(5):
        for extension in times:
            with running_server(extension=extension) as (_, seconds, _pid):
                times[extension].append(seconds * 1000)
    with_it, without = (statistics.median(times[extension]) for extension in (True, False))
    return at_most_more("server start with the extension", "without", with_it, without, 150)


def main() -> None:
    """Measure everything, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument(
        "--containers", action="store_true", help="measure containers; needs root and dockerd"
    )
    parser.add_argument("--ag2", action="store_true", help="measure ag2 0.14 beside; installs it")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results.md")
    options = parser.parse_args()
    rows = asyncio.run(local_rows())
    rows += asyncio.run(kernel_rows())
    with running_server() as (client, _, pid):
        rows += [pool_row(client), kernel_rest_row(client)]
        rows += rest_rows(client, pid)
    rows.append(start_row())
    if options.containers:
        rows += container_rows()
    if options.ag2:
        rows += ag2_rows(HERE / ".cache")
    head = f"Load at the end: {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores.\n"
    lines = [
        head,
        "| what | measured | beside | ratio | target | |",
        "|---|---|---|---|---|---|",
        *map(str, rows),
    ]
    print("\n".join(lines))
    if options.write:
        (HERE / "results.md").write_text("# Benchmarks\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
