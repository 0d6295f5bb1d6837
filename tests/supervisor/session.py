"""A supervisor, talked to directly: what it is sent and what it answers, without an executor between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_exec_ext.supervisor import frames

MAIN = Path(frames.__file__).with_name("main.py")
NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")

#: What every program of these tests starts with, blocks and their models alike.
VARIABLES = {
    **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
    "LANG": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
    "PYTHONIOENCODING": "utf-8",
}


@dataclass
class Ended:
    """What a run printed and how it ended."""

    stdout: str
    stderr: str
    report: dict[str, Any]
    path: str = ""
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    ops: list[dict[str, Any]] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code as `subprocess` has it: negative for a signal."""
        number = self.report["signal"]
        return int(self.report["exit"]) if number is None else -int(number)


class Session:
    """One supervisor and its stream; a context manager that ends both."""

    def __init__(
        self, place: Path, python: str = sys.executable, *, namespace: bool = False, **config: Any
    ) -> None:
        self.workspace, self.private = place / "workspace", place / "private"
        for folder in (self.workspace, self.private):
            folder.mkdir(parents=True, exist_ok=True)
        self.variables = {**VARIABLES, **config.pop("variables", {})}
        config = {"workspace": str(self.workspace), "private": str(self.private), "preload": [], **config}
        self.process = subprocess.Popen(
            [*(NAMESPACE if namespace else ()), python, "-u", str(MAIN), json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.workspace,
            env=self.variables,
            start_new_session=True,
            bufsize=0,
        )
        self.python = python
        self._splitter = frames.Splitter(frames.MAX_UP)
        self._received: list[tuple[int, int, bytes]] = []
        self._number = 0
        self.ready = self.receive()[2]

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()
        assert self.process.stderr is not None
        self.complaints = self.process.stderr.read().decode()
        self.process.stderr.close()

    def send(self, data: bytes) -> None:
        """Write bytes to the supervisor."""
        assert self.process.stdin is not None
        while data:
            data = data[self.process.stdin.write(data) or 0 :]

    def receive(self) -> tuple[int, int, Any]:
        """The next frame: its kind and channel, and its fields or bytes."""
        assert self.process.stdout is not None
        while not self._received:
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            assert data, "the supervisor is gone"
            self._received += self._splitter.feed(data)
        kind, channel, data = self._received.pop(0)
        return kind, channel, frames.message(data) if kind == frames.CONTROL else data

    def begin(self, code: str, language: str = "python", **fields: Any) -> int:
        """Ask for a run; returns its channel."""
        self._number += 1
        argv, suffix = {
            "python": (["{python}", "-u", "{file}"], ".py"),
            "bash": (["bash", "{file}"], ".sh"),
            "javascript": (["node", "{file}"], ".js"),
        }[language]
        request = {
            "code": code,
            "python": language == "python",
            "argv": argv,
            "suffix": suffix,
            "head": 1 << 22,
            "tail": 1 << 22,
            "grace": [1.0, 1.0],
            "timeout": 30.0,
            **fields,
        }
        self.send(frames.control(self._number, "run", **request))
        return self._number

    def events(self, channel: int) -> Iterator[tuple[int, Any]]:
        """What comes in on a channel, until the run has ended or was refused."""
        while True:
            kind, number, data = self.receive()
            if number != channel:
                continue
            yield kind, data
            if kind == frames.CONTROL and data["op"] in ("end", "refused", "saved"):
                return

    def wait(self, channel: int) -> Ended:
        """Collect a run to its end."""
        ended = Ended("", "", {})
        for kind, data in self.events(channel):
            if kind == frames.CONTROL:
                ended.ops.append(data)
            else:
                ended.frames.append((kind, data))
        ended.report = ended.ops[-1]
        ended.path = next((op["path"] for op in ended.ops if op["op"] == "started"), "")
        printed = {kind: b"".join(data for stream, data in ended.frames if stream == kind) for kind in (3, 4)}
        ended.stdout, ended.stderr = (printed[kind].decode("utf-8", "replace") for kind in (3, 4))
        return ended

    def run(self, code: str, language: str = "python", **fields: Any) -> Ended:
        """Run a block to its end."""
        return self.wait(self.begin(code, language, **fields))

    def ask(self, op: str, **fields: Any) -> list[tuple[int, Any]]:
        """Ask for something that is not a run; all that answers it."""
        self._number += 1
        self.send(frames.control(self._number, op, **fields))
        answers: list[tuple[int, Any]] = []
        while True:
            kind, number, data = self.receive()
            if number == self._number:
                answers.append((kind, data))
                if kind == frames.CONTROL and data["op"] in ("done", "refused", "go"):
                    return answers


def until(condition: Any, seconds: float = 5.0) -> bool:
    """Wait until a condition holds; False where it does not within the time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def alive(marker: str) -> list[int]:
    """The processes that have a marker in their arguments or their environment, zombies left out."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            words = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue  # it has ended
        if marker.encode() in words and state != "Z":
            found.append(int(folder.name))
    return found
