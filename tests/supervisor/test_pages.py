"""The pages a fork shares: told by one process, copied by another, before a block needs them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jupyter_exec_ext.supervisor import pages

from .session import Session, alive, until

LINUX = sys.platform.startswith("linux")


def in_a_fork(source: str) -> str:
    """What a fork of a fresh interpreter prints, which has `pages` and can ask for its own."""
    program = "import os, sys\nfrom jupyter_exec_ext.supervisor import pages\n"
    program += "filler = [str(number) for number in range(50_000)]\n"
    program += "page = id(filler[25_000]) // pages.PAGE * pages.PAGE\n"
    program += "def each(ranges):\n"
    program += (
        "    return {page for start, size in ranges for page in range(start, start + size, pages.PAGE)}\n"
    )
    program += f"pid = os.fork()\nif pid == 0:\n    exec({source!r})\n    os._exit(0)\nos.waitpid(pid, 0)\n"
    done = subprocess.run([sys.executable, "-u", "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


def own_kilobytes(rollup: str) -> int:
    """The memory that a process has written to and shares with no other, from its ``smaps_rollup``."""
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_Dirty"))


def test_what_a_process_tells_is_read_as_it_was_meant() -> None:
    assert pages.told(b"") == []
    assert pages.told(b"4096:8192 20480:4096") == [(4096, 8192), (20480, 4096)]


@pytest.mark.skipif(not LINUX, reason="only Linux says which pages are shared; elsewhere nothing is copied")
def test_a_fork_that_writes_owns_more_pages_than_one_that_does_not() -> None:
    few, many = in_a_fork(
        "before = len(each(pages.own()))\nfor text in filler: kept = text\n"  # counts a reference in each
        "held = [text for text in filler]\nprint(before, len(each(pages.own())))"
    ).split()

    assert int(many) > int(few) + 100


@pytest.mark.skipif(not LINUX, reason="only Linux says which pages are shared; elsewhere nothing is copied")
def test_pages_that_were_copied_are_the_forks_own_and_hold_what_they_held() -> None:
    printed = in_a_fork(
        "import ctypes\nbefore = ctypes.string_at(page, pages.PAGE)\nshared = page not in each(pages.own())\n"
        "pages.copy([(page, pages.PAGE)])\n"
        "print(shared, page in each(pages.own()), ctypes.string_at(page, pages.PAGE) == before)"
    )

    assert printed == "True True True\n"


@pytest.mark.skipif(not LINUX, reason="only Linux says which pages are shared; elsewhere nothing is copied")
def test_places_where_nothing_is_are_passed_over() -> None:
    assert in_a_fork("pages.copy([(pages.PAGE, pages.PAGE), (1 << 46, 1 << 40)]); print('on')") == "on\n"


@pytest.mark.skipif(not LINUX, reason="only Linux says which pages are shared; elsewhere nothing is copied")
def test_the_waiting_process_owns_what_a_block_will_write_to(tmp_path: Path) -> None:
    with Session(tmp_path, variables={"MARK": "pages-5512"}) as session:
        session.run("print(1)")

        def waiting() -> list[int]:
            return [pid for pid in alive("pages-5512") if pid != session.process.pid]

        assert until(lambda: len(waiting()) == 1)
        time.sleep(0.3)  # the rehearsal comes after a rest
        assert until(lambda: len(waiting()) == 1)
        (ready,) = waiting()
        before = own_kilobytes(Path(f"/proc/{ready}/smaps_rollup").read_text())
        after = session.run(
            "import os; print(os.getpid()); print(open('/proc/self/smaps_rollup').read())"
        ).stdout

        assert after.startswith(f"{ready}\n")
        # Half of it is what a process needs to prepare itself; the rest of a block's was copied in advance.
        assert before > 0.7 * own_kilobytes(after)


def test_a_rehearsal_that_is_killed_or_hangs_costs_a_moment_and_no_block(tmp_path: Path) -> None:
    with Session(tmp_path, variables={"MARK": "pages-5513"}) as session:
        stopped = set()
        end = time.monotonic() + 1.5
        while time.monotonic() < end:  # whoever waits or rehearses is stopped, again and again
            for pid in alive("pages-5513"):
                if pid != session.process.pid and pid not in stopped:
                    stopped.add(pid)
                    os.kill(pid, 9)
            time.sleep(0.005)

        assert session.run("print(2)").stdout == "2\n"
        assert session.run("print(3)").stdout == "3\n"
