"""What the README says one can paste."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from .conftest import ROOT, Lab


def snippet(language: str, start: str) -> str:
    """The one code block of the README in that language that begins so."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (block,) = [block for block in blocks if block.startswith(start)]
    return str(block)


def test_the_curl_lines_work_as_pasted(lab: Lab) -> None:
    # Given a running server and the lines, with the Python of this environment
    lines = snippet("bash", "read -r URL TOKEN").replace(".venv/bin/python", sys.executable)
    assert lines.count("curl ") == 5

    # when they are pasted into a shell
    done = subprocess.run(
        ["bash", "-euc", lines],
        env=lab.variables(),
        cwd=lab.root,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    # then they list, run, follow and look back.
    assert '"name":"local"' in done.stdout
    assert '"output":"42\\n"' in done.stdout
    assert "event: stream" in done.stdout
    assert '"output":"1\\n2\\n3\\n"' in done.stdout
    assert '{"executions":[{' in done.stdout
    assert '"reason":"' not in done.stdout


def test_the_python_lines_run_without_a_server(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(snippet("python", "import asyncio"), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-W", "error", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == "0 42\n\n"
