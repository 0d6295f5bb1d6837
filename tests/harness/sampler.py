"""A program: ask a server every 50 ms, until its standard input ends.

``sampler.py URL TOKEN PID FILE`` writes a line for each answer: when it was asked (seconds, monotonic),
how long the answer took (seconds), and the memory of the process (bytes). It is a process of its own,
so that what the tests do meanwhile does not delay it.
"""

from __future__ import annotations

import select
import sys
import time
import urllib.request

import psutil

INTERVAL = 0.05


def main(url: str, token: str, pid: str, file: str) -> None:
    """Write lines until standard input ends."""
    request = urllib.request.Request(f"{url}api/status", headers={"Authorization": f"token {token}"})
    process = psutil.Process(int(pid))
    with open(file, "a", buffering=1, encoding="ascii") as samples:
        while not select.select([sys.stdin], [], [], INTERVAL)[0]:
            began = time.monotonic()
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
            took = time.monotonic() - began
            samples.write(f"{began} {took} {process.memory_info().rss}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
