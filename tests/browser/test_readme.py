"""What the README says one can paste."""

from __future__ import annotations

import json
import os
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


def test_the_curl_lines_find_the_server_that_has_the_extension(lab: Lab, tmp_path: Path) -> None:
    # Given a server that runs, and the file of another that answers nothing, in the folder we are in
    runtime = Path(lab.variables()["JUPYTER_RUNTIME_DIR"])
    other = runtime / "jpserver-1.json"
    about = {"pid": os.getpid(), "url": "http://127.0.0.1:9/", "token": "x", "root_dir": str(tmp_path)}
    other.write_text(json.dumps(about))

    # when the lines up to the first blank one are pasted
    lines = snippet("bash", "read -r URL TOKEN").replace(".venv/bin/python", sys.executable)
    try:
        done = subprocess.run(
            ["bash", "-euc", lines.partition("\n\n")[0] + '\necho "$URL"'],
            env=lab.variables(),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    finally:
        other.unlink()

    # then they take the one that answers.
    assert done.stdout == f"http://localhost:{lab.port}/api/exec\n"


def test_without_a_server_the_curl_lines_say_so(tmp_path: Path) -> None:
    # Given no server at all
    lines = snippet("bash", "read -r URL TOKEN").replace(".venv/bin/python", sys.executable)

    # when the lines are pasted
    done = subprocess.run(
        ["bash", "-c", lines],
        env={**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    # then they say what is missing, and what to do.
    assert "No running Jupyter Server with jupyter_exec_ext was found; start one" in done.stderr
    assert done.stdout == ""


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
