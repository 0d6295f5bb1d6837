"""A program: ask a server every 50 ms, and at once for each line of its standard input, until that ends.

``sampler.py URL TOKEN PID FILE PATH`` asks for the path and writes a line for each answer: when it was asked
(seconds, monotonic), how long the answer took (seconds), and the memory of the process (bytes). It is a
process of its own, so that what the tests do meanwhile does not delay it. It keeps its connection, as a
browser does: Jupyter Server's listening socket has 128 places for new ones, and the system lets who finds
none try again after 1 s, which says nothing about how fast the server answers.
"""

from __future__ import annotations

import http.client
import os
import select
import sys
import time
import urllib.parse

import psutil

INTERVAL = 0.05


def main(url: str, token: str, pid: str, file: str, path: str) -> None:
    """Write lines until standard input ends."""
    address = urllib.parse.urlsplit(url)
    server = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    process = psutil.Process(int(pid))
    with open(file, "a", buffering=1, encoding="ascii") as samples:
        while not select.select([sys.stdin], [], [], INTERVAL)[0] or os.read(sys.stdin.fileno(), 1024):
            began = time.monotonic()
            server.request("GET", f"{address.path}{path}", headers={"Authorization": f"token {token}"})
            server.getresponse().read()
            took = time.monotonic() - began
            samples.write(f"{began} {took} {process.memory_info().rss}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
