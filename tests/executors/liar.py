"""A supervisor that lies, as a real process: it greets, and does to each request what a test says."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.executors.commandline import CommandLineCodeExecutor
from jupyter_exec_ext.supervisor import frames
from jupyter_exec_ext.supervisor.client import SupervisorClient

# `deed` is run for each control frame; whatever it does, the alarm ends it.
_PROGRAM = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from jupyter_exec_ext.supervisor import frames
from jupyter_exec_ext.supervisor.frames import DATA, STDERR, STDOUT
signal.alarm(60)

def say(data):
    while data:
        data = data[os.write(1, data):]

def tell(op, **fields):
    say(frames.control(channel, op, **fields))

def give(kind, data):
    say(frames.frame(kind, channel, data))

def end():
    tell("end", exit=0, wall=1, cpu=1, rss=1, total=0)

HELLO = frames.control(0, "ready", version=frames.VERSION, guarantee="none", pid=1, python="3.11")
say(HELLO)
deed = compile(sys.argv[2], "deed", "exec")
splitter = frames.Splitter(frames.MAX_DOWN)
while True:
    data = os.read(0, 65536)
    if not data:
        break
    for kind, channel, payload in splitter.feed(data):
        if kind == frames.CONTROL:
            op = frames.message(payload)["op"]
            exec(deed)
"""


class Liar(CommandLineCodeExecutor):
    """An executor whose supervisor lies.

    Parameters
    ----------
    workspace : Path
    deed : str
        Python; ``op`` is what was asked, and ``tell``, ``give``, ``end`` and ``say`` answer.
    """

    def __init__(self, workspace: Path, deed: str, **settings: Any) -> None:
        super().__init__(SystemPythonEnvironment("local"), workspace, **settings)
        self._deed = deed

    async def _connect(self, private: Path) -> SupervisorClient:
        package = str(Path(frames.__file__).parents[2])
        program = [sys.executable, "-c", _PROGRAM, package, self._deed]
        return await SupervisorClient.start(program, env=dict(os.environ), cwd=str(private))
