"""Running an installer (uv, pip, venv): its lines as they come, and its last ones when it fails."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import EnvironmentFailed
from ..escapes import without_escapes
from . import leash
from .variables import allowed_variables

__all__ = ["Tool", "find_uv", "installer_variables"]

# An installer needs to know the way to its index and its cache; these say it.
_INSTALLER = (
    "PIP_*", "UV_*", "XDG_*", "SSL_CERT_*", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY",
    "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "LIBRARY_PATH",
    "PKG_CONFIG_PATH",
)  # fmt: skip
# And these would send the packages elsewhere.
_ELSEWHERE = (
    "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_QUIET", "UV_SYSTEM_PYTHON", "VIRTUAL_ENV",
)  # fmt: skip

_LINE_BYTES = 10_000
_LINE_LENGTH = 300
_LAST_LINES = 12
_TOLD_LINES = 1000
_LAST_LENGTH = 1000
#: Bytes that a command may print: builds of large packages print a few of these MiB.
OUTPUT_BYTES = 64 * 1024 * 1024
# As Python's, uv's and C's programs say it.
_FULL = re.compile(r"No space left on device|Disk quota exceeded|os error 28\b|Errno 28\b")
# As Python's, uv's, C's and C++'s programs say that there is no memory for them.
_NO_MEMORY = re.compile(
    r"\bMemoryError\b|memory allocation of \d+ bytes failed|Cannot allocate memory|os error 12\b|Errno 12\b"
    r"|bad_alloc|[Oo]ut of memory"
)
_USER_INFO = re.compile(r"(?<=://)[^/\s@]+@")


def find_uv() -> str | None:
    """Return uv: that of the server's own environment, else that on PATH; None where there is none."""
    name = "uv.exe" if os.name == "nt" else "uv"
    folders = [os.path.dirname(sys.executable), *os.environ.get("PATH", "").split(os.pathsep)]
    files = (os.path.join(folder, name) for folder in folders if os.path.isabs(folder))
    return next((file for file in files if os.path.isfile(file) and os.access(file, os.X_OK)), None)


def installer_variables(extra: Sequence[str] = ()) -> dict[str, str]:
    """Return the variables an installer runs with: those of a block and what leads to its index."""
    variables = allowed_variables((*_INSTALLER, *extra))
    for name in _ELSEWHERE:
        variables.pop(name, None)
    return {**variables, "NO_COLOR": "1", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@dataclass(frozen=True)
class Tool:
    """How to run the commands of one preparation.

    Parameters
    ----------
    folder : Path
        Where they run; relative paths in requirements begin here.
    variables : mapping
        All of their environment.
    keep : tuple of int
        Descriptors that stay open until the last process of a command is gone: a lock.
    memory_bytes : int
        What each process of a command may have of memory; 0 for no limit (as on Windows).
    """

    folder: Path
    variables: Mapping[str, str]
    keep: tuple[int, ...] = ()
    memory_bytes: int = 0

    async def run(self, command: Sequence[str], told: Callable[[str], None]) -> None:
        """Run one command to its end, and tell each line it prints, up to the first `_TOLD_LINES`.

        When cancelled it ends the command and all its children, and waits until they are gone.

        Raises
        ------
        EnvironmentFailed
            Where it cannot be started, or ends with another exit code than 0; with its last lines. It is
            ended where it prints more than `OUTPUT_BYTES`.
        """
        last: deque[bytes] = deque(maxlen=_LAST_LINES)
        loop = asyncio.get_running_loop()
        process = self._start(command)
        reading = asyncio.ensure_future(
            asyncio.to_thread(_follow, process, last, lambda text: loop.call_soon_threadsafe(told, text))
        )
        try:
            code = await asyncio.shield(reading)
        except asyncio.CancelledError:
            await _end(process, reading)
            raise
        if code != 0:
            raise EnvironmentFailed(_failure(command[0], code, last, self.memory_bytes))

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [sys.executable, "-I", leash.__file__, str(self.memory_bytes), *command],
                cwd=self.folder,
                env=dict(self.variables),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=() if os.name == "nt" else self.keep,
                start_new_session=os.name != "nt",
            )
        except (OSError, ValueError) as error:
            raise EnvironmentFailed(f"{command[0]} could not be started: {error}.") from error


async def _end(process: subprocess.Popen[bytes], reading: asyncio.Future[int | None]) -> None:
    """Let the leash go and wait for the end, however often we are cancelled meanwhile."""
    if process.stdin is not None:
        process.stdin.close()
    while not reading.done():
        try:
            await asyncio.shield(reading)
        except asyncio.CancelledError:
            continue


def _follow(
    process: subprocess.Popen[bytes], last: deque[bytes], tell: Callable[[str], object]
) -> int | None:
    """Read the lines until the end; runs in a thread, since not every event loop has subprocesses.

    Returns the exit code; None where it printed too much.
    """
    with process:
        stdout: IO[bytes] | None = process.stdout
        told = printed = 0
        while stdout is not None and (raw := stdout.readline(_LINE_BYTES)):
            printed += len(raw)
            if printed > OUTPUT_BYTES:
                _let_go(process, stdout)
                return None
            if not raw.isspace():
                last.append(raw)
            if told < _TOLD_LINES and (text := _clean(raw)):
                told += 1
                tell(text)
        return process.wait()


def _let_go(process: subprocess.Popen[bytes], stdout: IO[bytes]) -> None:
    """End the command by its leash, and wait for that; what it still prints is thrown away."""
    if process.stdin is not None:
        process.stdin.close()
    while stdout.read(_LINE_BYTES):
        pass
    process.wait()


def _clean(raw: bytes) -> str:
    """Make a line fit to be shown: no colours, controls or passwords, and not too long."""
    text = raw.decode("utf-8", "replace")
    text = _USER_INFO.sub("***@", without_escapes(text))
    shown = "".join(c for c in text.expandtabs() if unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    return shown.strip()[:_LINE_LENGTH]


def _failure(program: str, code: int | None, last: Iterable[bytes], memory: int) -> str:
    name = os.path.basename(program).removesuffix(".exe")
    if code is None:
        return f"{name} printed more than {OUTPUT_BYTES // 2**20} MiB, which is the limit, and was ended"
    said = " ".join(filter(None, map(_clean, last)))
    said = "\u2026" + said[-_LAST_LENGTH:] if len(said) > _LAST_LENGTH else said
    full = "the disk is full, make room: " if _FULL.search(said) else ""
    if memory and not full and _NO_MEMORY.search(said):
        full = f"it needs more memory than an installer may have here ({memory:,} bytes): "
    words = f"said: {said}" if said else "said nothing"
    return f"{full}{name} ended with exit code {code} and {words}"
