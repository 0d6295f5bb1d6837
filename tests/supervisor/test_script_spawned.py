"""What a fork of the warm interpreter cannot give is spawned: slower, never wrong."""

from __future__ import annotations

import sys
import sysconfig
import time
from pathlib import Path

import pytest

from .session import Session

LOG = """
import logging
log = logging.getLogger("app")
log.addHandler(logging.FileHandler("app.log"))
data = open("/etc/hostname")
"""
WRITES = """
import csv, mylog
files = [open(f"{i}.csv", "w") for i in range(6)]
mylog.log.error("a line")
for file in files:
    csv.writer(file).writerow([1, 2])
    file.close()
print({open(f"{i}.csv").read() for i in range(6)}, open("app.log").read(), bool(mylog.data.read()))
"""


def test_a_preloaded_module_that_holds_files_open_is_imported_by_each_block(tmp_path: Path) -> None:
    (tmp_path / "mylog.py").write_text(LOG)
    with Session(tmp_path, preload=["json", "mylog"], variables={"PYTHONPATH": str(tmp_path)}) as session:
        assert session.ready["holds"] == ["mylog"]
        assert not session.ready["fork"]

        ended = session.run(WRITES)

        assert ended.stdout == "{'1,2\\n'} a line\n True\n"


@pytest.mark.parametrize(
    "begin",
    [
        "import _thread; _thread.start_new_thread(work, ())",
        "import threading; threading.Thread(target=work).start()",
    ],
)
def test_a_thread_of_a_preloaded_module_is_there(tmp_path: Path, begin: str) -> None:
    source = "import queue\nasked, told = queue.Queue(), queue.Queue()\n"
    source += "def work():\n    for item in iter(asked.get, None): told.put(item * 2)\n"
    (tmp_path / "worker.py").write_text(source + begin)
    with Session(tmp_path, preload=["worker"], variables={"PYTHONPATH": str(tmp_path)}) as session:
        ended = session.run(
            "import worker; worker.asked.put(21); print(worker.told.get(timeout=5)); worker.asked.put(None)"
        )

        assert ended.stdout == "42\n"


@pytest.mark.parametrize(
    "change",
    [
        "import os, sys; sys.path.insert(0, os.path.join(os.getcwd(), 'src'))",
        "from sys import argv, path; path[:0] = ['src']",
        "import site, sys; site.addsitedir('src'); sys.path.reverse()",
    ],
)
def test_a_block_that_changes_the_path_finds_its_own_modules(tmp_path: Path, change: str) -> None:
    with Session(tmp_path) as session:
        (session.workspace / "src").mkdir()
        for name in ("platform", "select", "keyword"):
            (session.workspace / "src" / f"{name}.py").write_text("NAME = 'mine'")

        ended = session.run(f"{change}\nimport platform, select, keyword\nprint(platform.NAME, keyword.NAME)")

        assert ended.stdout == "mine mine\n"


def test_a_block_that_only_appends_to_the_path_is_forked(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        ended = session.run("import os, sys; sys.path.append('src'); print(os.getppid())")

        assert ended.stdout == f"{session.process.pid}\n"


def test_another_home_has_its_own_packages(tmp_path: Path) -> None:
    # given an interpreter that looks for the user's packages, which most venvs do not
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = tmp_path / "home" / ".local" / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (packages / "at_home.py").write_text("print('found')")
    python = Path(sysconfig.get_config_var("BINDIR")) / version
    with Session(tmp_path, str(python)) as session:
        ended = session.run("import at_home", env={"HOME": str(tmp_path / "home")})

        assert ended.stdout == "found\n"


def test_a_long_text_that_speaks_of_paths_is_looked_through_at_once(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        code = "x = '" + "from sys import a; " * 50_000 + "'\nprint(len(x))"
        began = time.monotonic()

        assert session.run(code).stdout == "950000\n"
        assert time.monotonic() - began < 5
