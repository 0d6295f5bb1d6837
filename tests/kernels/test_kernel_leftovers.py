"""Whatever ends a server, no kernel of its own and no connection file is left. Real servers and kernels."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness.server import LiveServer

from jupyter_exec_ext.kernels.leftovers import MARK

Start = Callable[..., LiveServer]
PYTHON = "print('begun', flush=True)\nimport time; time.sleep(600)"
#: The child does not know of its parent's end, and is in a session of its own.
PARENT = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
{PYTHON}"""


@pytest.fixture
def with_faulty(live_server: Start, tmp_path: Path) -> Iterator[Start]:
    """The same as `live_server`, with the kernel ``faulty``, which does not learn that its server is gone."""
    folder = tmp_path / "server" / "data" / "kernels" / "faulty"
    folder.mkdir(parents=True)
    program = [sys.executable, str(Path(__file__).with_name("faulty_kernel.py"))]
    argv = ["env", "-u", "JPY_PARENT_PID", *program, "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Faulty", "language": "faults"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    yield live_server
    for process in left(tmp_path / "server"):
        process.kill()


def left(home: Path) -> list[psutil.Process]:
    """The processes that kernels of servers there are, or have started."""
    found = []
    for process in psutil.process_iter():
        try:
            environ = process.environ()
            if environ.get("TMPDIR") == str(home / "tmp") and MARK in environ:
                found.append(process)
        except psutil.Error:
            continue
    return found


def files(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "runtime").glob("kernel-*"))


def gone(home: Path, seconds: float) -> bool:
    """Whether nothing is left in that time."""
    until = time.monotonic() + seconds
    while (left(home) or files(home)) and time.monotonic() < until:
        time.sleep(0.1)
    return not left(home) and not files(home)


def begin(server: LiveServer, code: str, text: str, **where: Any) -> str:
    """Run that, and return the execution's identifier once the text is printed."""
    execution: str = server.call("POST", "executions", {"code": code, "timeout": 600, **where})["id"]
    until = time.monotonic() + 30
    while text not in (server.call("GET", f"executions/{execution}")["output"] or ""):
        assert time.monotonic() < until
        time.sleep(0.1)
    return execution


def begin_all(server: LiveServer) -> dict[str, str]:
    """Kernels of all sorts, in mid-run: what the executions have printed, by identifier."""
    session = server.call("POST", "sessions", {"environment": "kernel:python3"})["id"]
    return {
        begin(server, PYTHON, "begun", session=session): "begun\n",
        begin(server, PARENT, "begun", environment="kernel:python3"): "begun\n",
        begin(server, "hang", "hanging", environment="kernel:faulty"): "hanging\n",
    }


@pytest.mark.timeout(180)
def test_after_sigkill_the_next_server_leaves_no_kernel_and_no_connection_file(with_faulty: Start) -> None:
    # given
    killed = with_faulty()
    printed = begin_all(killed)
    idle = killed.call("POST", "sessions", {"environment": "kernel:python3"})["kernel_id"]
    assert f"kernel-{idle}.json" in files(killed.home)
    assert len(files(killed.home)) == 4
    # when
    killed.stop(signal.SIGKILL)
    time.sleep(2)
    assert left(killed.home), "the faulty kernel should have stayed"
    assert len(files(killed.home)) == 4
    following = with_faulty()
    # then
    assert gone(following.home, 5)
    assert [path.name for path in following.leases.iterdir() if (path / "kernels").exists()] == []
    for execution, output in printed.items():
        record = following.call("GET", f"executions/{execution}")
        assert (record["status"], record["output"]) == ("lost", output)


@pytest.mark.timeout(180)
def test_after_sigterm_no_kernel_and_no_connection_file_is_left(with_faulty: Start) -> None:
    # given: kernels that run something, and one that starts just now
    server = with_faulty()
    begin_all(server)
    server.call("POST", "executions", {"code": PYTHON, "environment": "kernel:python3"})
    time.sleep(0.3)
    # when
    server.stop()
    # then: also what a cell put into a session of its own
    assert left(server.home) == []
    assert files(server.home) == []
    assert list(server.leases.iterdir()) == []


@pytest.mark.timeout(180)
def test_what_a_cell_has_started_ends_with_its_kernel_and_nothing_else_does(with_faulty: Start) -> None:
    server = with_faulty("--KernelPool.ready_per_environment=0")
    code = PARENT.replace(PYTHON, "print('begun')")
    kept = server.call("POST", "sessions", {"environment": "kernel:python3"})["id"]
    begin(server, code, "begun", session=kept)
    (stays,) = [process for process in left(server.home) if "ipykernel" not in " ".join(process.cmdline())]
    # when: an execution with a kernel of its own, and then the session
    begin(server, code, "begun", environment="kernel:python3")
    until = time.monotonic() + 10
    while len(left(server.home)) > 2 and time.monotonic() < until:
        time.sleep(0.1)
    # then
    assert stays.is_running()
    assert len(left(server.home)) == 2
    server.call("DELETE", f"sessions/{kept}")
    assert gone(server.home, 5)


@pytest.mark.timeout(180)
def test_what_was_restarted_is_found_and_what_has_ended_is_forgotten(with_faulty: Start) -> None:
    # given
    server = with_faulty("--KernelPool.ready_per_environment=0")
    ended = server.call("POST", "sessions", {"environment": "kernel:faulty"})["id"]
    session = server.call("POST", "sessions", {"environment": "kernel:faulty"})
    # when
    server.call("DELETE", f"sessions/{ended}")
    server.call("POST", f"sessions/{session['id']}/restart")
    # then
    (lease,) = server.leases.iterdir()
    assert [path.name for path in (lease / "kernels").iterdir()] == [session["kernel_id"]]
    begin(server, "hang", "hanging", session=session["id"])
    server.stop(signal.SIGKILL)
    assert gone(with_faulty().home, 5)


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


# -- what a block may have written there ---------------------------------------------------------------


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
