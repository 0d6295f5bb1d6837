"""What a dead server has left is found by what only it can have given, whatever a block has written there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jupyter_exec_ext.kernels.leftovers import MARK

#: As process 1 of a container does, this one becomes the parent of orphans.
REAPER = '''
import ctypes, logging, os, subprocess, sys, time
from jupyter_exec_ext.kernels.leftovers import KERNEL, end_started_by
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
start = """import subprocess
print(subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=-3, stderr=-3).pid)"""
child = [sys.executable, "-c", start]
marked = {**os.environ, KERNEL: "a kernel's"}
mine = int(subprocess.run(child, env=marked, capture_output=True, text=True).stdout)
other = subprocess.Popen(["sleep", "600"])
end_started_by("a kernel's", logging.getLogger())
print(os.waitpid(mine, os.WNOHANG)[0] == mine, other.poll())
other.kill()
other.wait()
'''


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a subreaper is Linux's")
def test_orphans_of_a_kernel_that_the_server_has_inherited_are_ended_and_its_own_children_are_not() -> None:
    done = subprocess.run([sys.executable, "-c", REAPER], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True None\n", done.stderr


SWEEP = """
import logging, sys
from pathlib import Path
from jupyter_exec_ext.folders import Folder
from jupyter_exec_ext.kernels.leftovers import end_leftovers
with Folder.at(Path(sys.argv[1])) as folder:
    end_leftovers("dead", folder, Path(sys.argv[2]), logging.getLogger())
"""


class Left:
    """A dead server's directory with a record, and the directory of connection files beside it."""

    def __init__(self, home: Path) -> None:
        self.id = str(uuid.uuid4())
        self.lease, self.runtime = home / "lease", home / "runtime"
        self.runtime.mkdir()
        (self.lease / "kernels").mkdir(parents=True)
        (self.lease / "kernels" / self.id).touch()
        self.file = self.runtime / f"kernel-{self.id}.json"
        self.file.touch()
        self.processes: list[subprocess.Popen[bytes]] = []

    def process(self, *words: str, mark: str | None = None) -> subprocess.Popen[bytes]:
        """A process with these words on its command line."""
        environ = {**os.environ, **({} if mark is None else {MARK: mark})}
        command = [sys.executable, "-c", "import time; time.sleep(600)", *words]
        self.processes.append(subprocess.Popen(command, env=environ))
        until = time.monotonic() + 10
        while psutil.Process(self.processes[-1].pid).cmdline() != command:  # not a copy of this process
            assert time.monotonic() < until
        return self.processes[-1]

    def sweep(self) -> None:
        """In a process that is none of their parents, as the next server is none."""
        command = [sys.executable, "-c", SWEEP, str(self.lease), str(self.runtime)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})


@pytest.fixture
def remains(tmp_path: Path) -> Iterator[Left]:
    made = Left(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_process_that_bears_the_mark_is_killed_and_its_file_removed(remains: Left) -> None:
    kernel = remains.process(str(remains.file), mark=f"dead:{dead_pid()}")
    sockets = remains.runtime / f"kernel-{remains.id}-ipc-1"
    sockets.touch()

    remains.sweep()

    assert kernel.wait(5) == -signal.SIGKILL
    assert list(remains.runtime.iterdir()) == []


def test_a_record_cannot_have_another_kernel_killed_or_its_file_removed(remains: Left) -> None:
    others = [
        remains.process(str(remains.file)),  # a notebook's
        remains.process(mark=f"other:{dead_pid()}"),  # another server's
        remains.process(mark=f"dead:{os.getpid()}"),  # its server lives
        remains.process(mark="dead:"),
    ]

    remains.sweep()

    assert [process.poll() for process in others] == [None] * 4
    assert remains.file.exists()


@pytest.mark.parametrize("name", ["../precious", "precious", "*", "kernel-x.json"])
def test_a_record_of_any_other_name_removes_nothing(remains: Left, name: str) -> None:
    precious = remains.runtime / "precious"
    precious.touch()
    if "/" not in name:
        (remains.lease / "kernels" / name).touch()

    remains.sweep()

    assert list(remains.runtime.iterdir()) == [precious]


def test_a_link_or_a_directory_in_the_place_of_a_connection_file_stays(remains: Left, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    remains.file.unlink()
    remains.file.symlink_to(tmp_path / "precious")
    other = str(uuid.uuid4())
    (remains.lease / "kernels" / other).touch()
    (remains.runtime / f"kernel-{other}.json").mkdir()

    remains.sweep()

    assert (tmp_path / "precious").exists()
    assert len(list(remains.runtime.iterdir())) == 2


def test_a_link_in_the_place_of_the_records_is_not_followed(remains: Left, tmp_path: Path) -> None:
    (remains.lease / "kernels").rename(tmp_path / "elsewhere")
    (remains.lease / "kernels").symlink_to(tmp_path / "elsewhere")

    remains.sweep()

    assert remains.file.exists()
