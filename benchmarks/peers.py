"""ag2 0.14, in a virtual environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .timing import Row

_PROGRAM = """
import json, logging, statistics, sys, tempfile, time
logging.disable(logging.WARNING)
from autogen.coding import CodeBlock, LocalCommandLineCodeExecutor
executor = LocalCommandLineCodeExecutor(work_dir=tempfile.mkdtemp())
def median(run):
    times = []
    for repetition in range(32):
        started = time.perf_counter(); run(); times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times[2:])
import subprocess
def block(code, language):
    assert executor.execute_code_blocks([CodeBlock(code=code, language=language)]).exit_code == 0
print(json.dumps({
    "python block": median(lambda: block("print(1)", "python")),
    "python": median(lambda: subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True)),
    "bash block": median(lambda: block("echo 1", "bash")),
    "bash": median(lambda: subprocess.run(["bash", "-c", "echo 1"], capture_output=True)),
}))
"""


def ag2_rows(cache: Path) -> list[Row]:
    """What ag2 0.14's local executor takes, beside the same bare programs."""
    python = cache / "ag2/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(cache / "ag2")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "ag2==0.14.0"], check=True)
    done = subprocess.run([str(python), "-c", _PROGRAM], capture_output=True, text=True, check=True)
    ms = json.loads(done.stdout.splitlines()[-1])
    return [
        Row("ag2 0.14, trivial Python block", "`python -c`", ms["python block"], ms["python"], "-", None),
        Row("ag2 0.14, trivial bash block", "`bash -c`", ms["bash block"], ms["bash"], "-", None),
    ]
