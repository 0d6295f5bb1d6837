"""Programs that attack what watches them: each in an outer PID namespace, so that its end is certain."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.environments.base import Limits
from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.models import CodeBlock
from jupyter_exec_ext.supervisor.output import Output
from jupyter_exec_ext.supervisor.run import Run
from jupyter_exec_ext.supervisor.tree import SubreaperTree

from .conftest import Make
from .session import NAMESPACE, Session, alive, until

SCENARIO = Path(__file__).with_name("scenario_outer.py")
LIVES_ON = """
import os, signal, subprocess, sys, time
LONG = [sys.executable, "-c", "import time; time.sleep(60)"]
subprocess.Popen(LONG)
subprocess.Popen(LONG, start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for descriptor in range(3): os.close(descriptor)
        os.execve(LONG[0], LONG, {})
    os._exit(0)
print("on", flush=True)
time.sleep(0.2)
"""
# As a user who may have no more than 150 processes, and for 20 s at most: it ends, come what may.
BOMB = """
import os, resource, signal, time
end = time.monotonic() + 20
for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(61234); os.setuid(61234)
resource.setrlimit(resource.RLIMIT_NPROC, (150, 150))
print("on", flush=True)
while time.monotonic() < end:
    try:
        if os.fork() == 0: os.setsid()
    except OSError:
        time.sleep(0.001)
"""
CHAIN = """
import os, sys, time
end = time.monotonic() + 20
print("on", flush=True)
for _ in range(3):
    if os.fork() == 0:
        while time.monotonic() < end:
            if os.fork(): os._exit(0)
            os.setsid()
        os._exit(0)
{}
"""
ATTACKS = {
    "kills its supervisor": (
        LIVES_ON + "os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)",
        ("lost", "timeout"),
    ),
    "terminates its supervisor": (
        LIVES_ON + "os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)",
        ("lost", "timeout"),
    ),
    "interrupts its supervisor": (
        LIVES_ON + "os.kill(os.getppid(), signal.SIGINT); time.sleep(60)",
        ("timeout",),
    ),
    "stops its supervisor": (
        LIVES_ON + "os.kill(os.getppid(), signal.SIGSTOP); time.sleep(60)",
        ("lost", "timeout"),
    ),
    "kills everything": (LIVES_ON + "os.kill(-1, signal.SIGKILL); time.sleep(60)", ("lost", "timeout")),
    "stops everything": (LIVES_ON + "os.kill(-1, signal.SIGSTOP); time.sleep(60)", ("lost", "timeout")),
    "stops itself": (LIVES_ON + "os.kill(os.getpid(), signal.SIGSTOP)", ("timeout",)),
    "stops its group": (LIVES_ON + "os.killpg(0, signal.SIGSTOP)", ("timeout",)),
    "fork bomb": (BOMB, ("timeout",)),
    "chain that goes on": (CHAIN.format("time.sleep(60)"), ("timeout",)),
    "chain left behind": (CHAIN.format("time.sleep(0.1)"), ("ok",)),
    "raises its child's priority": (
        LIVES_ON + "os.nice(19); os.closerange(0, 3); time.sleep(60)",
        ("timeout",),
    ),
}

needs_namespaces = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="an outer PID namespace (root, Linux) is what makes the end of these programs certain",
)


def outside(workspace: Path, code: str, namespace: bool, timeout: float = 1.0) -> dict[str, Any]:
    """What becomes of a block in an outer namespace."""
    job = json.dumps({"code": code, "language": "python", "timeout": timeout, "namespace": namespace})
    done = subprocess.run(
        [*NAMESPACE, sys.executable, str(SCENARIO), str(workspace), job],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@needs_namespaces
@pytest.mark.parametrize("namespace", [True, False])
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_in_time_and_leaves_nothing(tmp_path: Path, name: str, namespace: bool) -> None:
    code, statuses = ATTACKS[name]

    told = outside(tmp_path, code, namespace)

    assert told["guarantee"] == ("pid_namespace" if namespace else "subreaper")
    assert told["status"] in statuses, told
    assert told["output"].startswith("on\n")
    assert told["seconds"] < 1.0 + 5
    assert told["cause"] or told["status"] == "ok"
    assert told["survivors"] == 0
    assert told["next"] == "next\n"
    assert told["left"] == []


class Powerless(SubreaperTree):
    """A tree whose kills do nothing, as with a process that hangs in the kernel."""

    def signal(self, number: int) -> None:
        pass

    kill = signal  # type: ignore[assignment]


def test_what_cannot_be_killed_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Powerless, "kill", lambda self: None)
    monkeypatch.setattr(Powerless, "members", lambda self: [pid for pid in others if not ended(pid)])
    (out, out_w), (err, err_w), (problems, problems_w) = os.pipe(), os.pipe(), os.pipe()
    program = subprocess.Popen(["sleep", "0.1"], stdout=out_w, stderr=err_w)
    hangs = subprocess.Popen(["sleep", "30"], stdout=out_w, stderr=err_w)
    others = [hangs.pid]
    for descriptor in (out_w, err_w, problems_w):
        os.close(descriptor)
    pipes = {"stdout": out, "stderr": err, "problems": problems, "stdin": None, "arrival": None}
    output = Output(lambda stream, data: None, 100, 100)
    run = Run(1, Powerless(), program.pid, pipes, output, None, (0.1, 0.1))
    try:
        started = time.monotonic()
        while not run.advance(time.monotonic()):
            time.sleep(0.01)

        assert 2 < time.monotonic() - started < 4
        assert run.finish(time.monotonic(), lambda dropped, total: None) is None
        assert run.report(time.monotonic())["survivors"] == 1
    finally:
        hangs.kill()
        hangs.wait()
        program.returncode = 0  # the tree has reaped it


def ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("namespace", [True, False])
def test_the_death_of_the_server_ends_everything(tmp_path: Path, namespace: bool) -> None:
    mark = f"server-{os.getpid()}-{namespace}"
    code = "import subprocess, sys, time\n"
    code += f"argv = [sys.executable, '-c', 'import time; time.sleep(60)', {mark!r}]\n"
    code += "subprocess.Popen(argv, start_new_session=True)\ntime.sleep(60)"
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path), code, str(namespace)],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        assert until(lambda: len(alive(mark)) > 1)
    finally:
        server.kill()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()

    assert until(lambda: not alive(mark))


SERVER = """
import asyncio, sys
from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock
async def main(workspace, code, namespace):
    environment = SystemPythonEnvironment()
    executor = LocalCommandLineCodeExecutor(environment, workspace, namespace=namespace == "True")
    async with executor:
        await executor.execute_code_blocks([CodeBlock(code=code, language="python")])
asyncio.run(main(*sys.argv[1:]))
"""

LIMITED = {
    "memory": (Limits(memory_bytes=300 << 20), "python", "x = bytearray(1 << 30)", "oom", 137),
    "memory in a child": (
        Limits(memory_bytes=300 << 20),
        "bash",
        f"{sys.executable} -c 'x = [0] * (1 << 28)'",
        "oom",
        137,
    ),
    "memory caught": (
        Limits(memory_bytes=300 << 20),
        "python",
        "try: bytearray(1 << 30)\nexcept MemoryError: print('caught')",
        "ok",
        0,
    ),
    "cpu": (Limits(cpu_seconds=1), "python", "while True: pass", "failed", 128 + signal.SIGXCPU),
    "cpu in a shell": (Limits(cpu_seconds=1), "bash", "while :; do :; done", "failed", 128 + signal.SIGXCPU),
    "file": (Limits(file_bytes=100_000), "python", "open('big', 'wb').write(bytes(1 << 20))", "failed", 1),
    "file in a shell": (
        Limits(file_bytes=100_000),
        "bash",
        "exec head -c 1000000 /dev/zero > big",
        "failed",
        128 + signal.SIGXFSZ,
    ),
    "open files": (
        Limits(open_files=20),
        "python",
        "k = [open('/dev/null') for _ in range(30)]",
        "failed",
        1,
    ),
    "nothing of it": (Limits(1 << 30, 100, 1 << 30, 100), "python", "print(1)", "ok", 0),
}


@pytest.mark.parametrize("fork", [True, False])
@pytest.mark.parametrize("name", LIMITED)
async def test_a_limit_holds_and_is_named(make: Make, name: str, fork: bool) -> None:
    limits, language, code, status, exit_code = LIMITED[name]
    executor = await make(SystemPythonEnvironment(limits=limits), fork=fork)

    result = await executor.execute_code_blocks(
        [CodeBlock(code=code, language=language)], RunOptions(timeout=20)
    )

    assert (result.outcome.status, result.exit_code) == (status, exit_code)
    (limit,) = [key for key, value in vars(limits).items() if value] if status != "ok" else [None]
    assert result.outcome.verdict.limits_hit == ([limit] if limit else [])
    assert (limit or "") in (result.outcome.verdict.cause or "")


def test_no_program_leaves_a_core_file_or_keeps_a_descriptor(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        show = "import os, resource\n"
        show += "print(resource.getrlimit(resource.RLIMIT_CORE), sorted(os.listdir('/dev/fd')))"
        forked, spawned = session.run(show), session.run(show, fork=False)
        shell = session.run("ulimit -c; ls /dev/fd | tr '\\n' ' '", "bash")

    assert forked.stdout == spawned.stdout == "(0, 0) ['0', '1', '2', '3']\n"
    assert shell.stdout.split() == ["0", "0", "1", "2", "3"]
