"""Install a wheel into this virtual environment and see both parts enabled, without Node.

Every direct dependency gets the lowest version that is allowed (``minimum.txt``).

Usage: ``check_installation.py WHEEL``
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = Path(sys.prefix, "bin")
MINIMUM = Path(__file__).parent / "minimum.txt"


def run(*command: str) -> str:
    """The output of a program of this virtual environment, which must succeed."""
    print("$", *command, flush=True)
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout, flush=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {done.returncode}.")
    return done.stdout


def expect_enabled(listing: str) -> None:
    """Fail unless the extension is in a listing, enabled and OK."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in listing.splitlines()]
    own = [line for line in lines if line.startswith("jupyter_exec_ext")]
    if not (any("enabled" in line for line in own) and any("OK" in line for line in own)):
        raise SystemExit("jupyter_exec_ext is not enabled and OK.")


def main() -> None:
    """Install, then ask Jupyter."""
    for name in ("node", "npm"):
        if shutil.which(name):
            raise SystemExit(f"{name} is on PATH, so this would show nothing.")
    run("pip", "install", "--quiet", "--constraint", str(MINIMUM), sys.argv[1])
    run("pip", "check")
    with tempfile.TemporaryDirectory() as empty:
        for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
            os.environ[f"JUPYTER_{name}"] = empty
        os.chdir(empty)
        expect_enabled(run("jupyter", "server", "extension", "list"))
        expect_enabled(run("jupyter", "labextension", "list"))


if __name__ == "__main__":
    main()
