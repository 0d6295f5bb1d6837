"""What the server needs for a moment only goes back to the system: large buffers are mapped."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from jupyter_exec_ext.allocator import return_large_buffers

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is a setting of glibc's")

#: Free buffers in several threads, of which each has a heap: first larger ones, which raises the threshold.
_PROGRAM = """
import os, sys, threading
from jupyter_exec_ext.allocator import return_large_buffers

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def use():
    for size in (30_000_000, 5_000_000):
        buffers = [bytearray(size) for _ in range(2)]
        for buffer in buffers:
            buffer[::4096] = b"x" * len(buffer[::4096])
        kept.append(bytearray(500_000))  # lies above them, so that the heap cannot shrink
        del buffers, buffer

kept = []
if sys.argv[1] == "set":
    assert return_large_buffers()
before = resident()
for _ in range(4):
    threads = [threading.Thread(target=use) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
print(resident() - before)
"""


def _grown(how: str) -> int:
    environ = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    command = [sys.executable, "-c", _PROGRAM, how]
    return int(subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout)


def test_large_buffers_go_back_to_the_system() -> None:
    # given: what a process keeps by itself
    usual = _grown("usual")
    # when
    ours = _grown("set")
    # then: of 24 buffers of 500 kB that are kept, and no more
    assert ours < 16_000_000 < usual


@pytest.mark.parametrize(
    "environ",
    [
        {"MALLOC_MMAP_THRESHOLD_": "65536"},
        {"MALLOC_TRIM_THRESHOLD_": "65536"},
        {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"},
    ],
)
def test_what_an_administrator_has_chosen_stays(environ: dict[str, str]) -> None:
    assert not return_large_buffers(environ)
