"""What a warm interpreter must not carry from one block to the next: chance, old modules, lost threads."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import OTHERS
from .session import Session, alive, until
from .test_script import assert_equal

Get = Callable[..., Session]


def wheel(folder: Path, version: str, **modules: str) -> Path:
    """Make a wheel of the package ``trinket``."""
    path = folder / f"trinket-{version}-py3-none-any.whl"
    info = f"trinket-{version}.dist-info"
    files = {f"trinket/{name}.py": text for name, text in modules.items()}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: trinket\nVersion: {version}\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    digests = {name: hashlib.sha256(text.encode()).digest() for name, text in files.items()}
    record = [
        f"{name},sha256={base64.urlsafe_b64encode(value).decode().rstrip('=')},"
        for name, value in digests.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An empty virtual environment."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    return tmp_path / "venv"


def installer(tool: str, venv: Path) -> str:
    """A block that installs the wheel it finds in its directory."""
    options = "--no-index --quiet --disable-pip-version-check --force-reinstall"
    if tool == "pip":
        return f"{sys.executable} -m pip --python {venv}/bin/python install {options} *.whl && rm *.whl"
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    return f"{uv} pip install --offline --quiet --python {venv}/bin/python *.whl && rm *.whl"


@pytest.mark.parametrize("tool", ["pip", "uv"])
@pytest.mark.parametrize("preload", [False, True])
def test_what_an_earlier_block_installed_or_upgraded_is_what_the_next_one_imports(
    venv: Path, tmp_path: Path, tool: str, preload: bool
) -> None:
    show = "import trinket, importlib.metadata as m\n"
    show += "print(trinket.value, m.version('trinket'))\nimport trinket.{}"
    python = str(venv / "bin" / "python")
    with Session(tmp_path, python, preload=["json", "trinket"] if preload else []) as session:
        assert session.run("import trinket").stderr.endswith("No module named 'trinket'\n")

        wheel(session.workspace, "1.0", __init__="value = 'old'", one="print('one')")
        assert session.run(installer(tool, venv), "bash").code == 0
        assert session.run(show.format("one")).stdout == "old 1.0\none\n"

        wheel(session.workspace, "2.0", __init__="value = 'new'", two="print('two')")
        assert session.run(installer(tool, venv), "bash").code == 0
        assert session.run(show.format("two")).stdout == "new 2.0\ntwo\n"
        assert "No module named 'trinket.one'" in session.run("import trinket.one").stderr
        assert session.process.poll() is None


def test_a_block_that_upgrades_its_own_module_sees_what_a_script_sees(venv: Path, tmp_path: Path) -> None:
    with Session(tmp_path, str(venv / "bin" / "python")) as session:
        wheel(session.workspace, "1.0", __init__="value = 'old'")
        source = (
            f"import subprocess; subprocess.run({installer('pip', venv)!r}, shell=True, check=True)\n"
            "import trinket; print(trinket.value)"
        )
        assert session.run(source).stdout == "old\n"
        assert session.run("import trinket; print(trinket.value)").stdout == "old\n"


def test_a_renewed_interpreter_is_warm_again(venv: Path, tmp_path: Path) -> None:
    with Session(tmp_path, str(venv / "bin" / "python"), preload=["decimal"]) as session:
        wheel(session.workspace, "1.0", __init__="")
        session.run(installer("pip", venv), "bash")

        preloaded = session.run("import sys; print('decimal' in sys.modules)")

        assert preloaded.stdout == "True\n"


CHANCE = {
    "random": "import random; print(random.random())",
    "seeded twice": "import random, tempfile\n"
    "print(random.getrandbits(64), next(tempfile._get_candidate_names()))",
    "secrets": "import secrets, uuid; print(secrets.token_hex(), uuid.uuid4())",
    "numpy": "import numpy; print(numpy.random.rand(), numpy.random.randint(1 << 60))",
    "default_rng": "import numpy; print(numpy.random.default_rng().random())",
}


@pytest.mark.parametrize("name", CHANCE)
def test_nothing_random_repeats(session_of: Get, name: str) -> None:
    preload = ["random", "tempfile", "numpy", "numpy.random"]
    session = session_of(preload=preload)
    assert session.ready["problems"] == {}

    results = [session.run(CHANCE[name]).stdout for _ in range(5)]

    assert len(set(results)) == 5
    assert "" not in results


def test_a_seed_gives_what_it_gives_a_script(session_of: Get) -> None:
    source = "import random, numpy; random.seed(1); numpy.random.seed(1)\n"
    source += "print(random.random(), numpy.random.rand())"

    assert_equal(session_of(preload=["random", "numpy", "numpy.random"]), source)


def test_numpy_and_its_threads_work_in_a_fork(session_of: Get) -> None:
    source = "import numpy; a = numpy.ones((300, 300))\n"
    source += "print((a @ a).sum(), numpy.linalg.inv(a + numpy.eye(300)).shape)"

    assert_equal(session_of(preload=["numpy"]), source)


def test_with_preloaded_modules_the_scripts_end_is_the_same(session_of: Get) -> None:
    session = session_of(
        preload=["numpy", "logging", "concurrent.futures", "asyncio", "multiprocessing", "pydantic"]
    )
    scripts = Path(__file__).with_name("scripts")

    for name in (
        "core/at_exit",
        "core/processes",
        "executors",
        "core/threads",
        "kept_elsewhere",
        "core/recursion",
    ):
        assert_equal(session, (scripts / f"{name}.py").read_text())


def test_a_preloaded_module_with_threads_makes_blocks_spawn(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "threaded.py").write_text(
        "import threading, time\nresults = []\n"
        "def work():\n    while True:\n        results.append(1); time.sleep(0.001)\n"
        "threading.Thread(target=work, daemon=True).start()\n"
    )
    with Session(tmp_path, preload=["threaded"], variables={"PYTHONPATH": str(tmp_path)}) as session:
        source = "import threaded, time\nn = len(threaded.results); time.sleep(0.1)\n"
        source += "print(len(threaded.results) > n)"

        assert session.run(source).stdout == "True\n"


def test_a_module_that_cannot_be_preloaded_is_told_and_the_rest_works(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    for name, text in (("raises", "raise SystemExit(3)"), ("prints", "print('on import')")):
        (tmp_path / f"{name}.py").write_text(text)
    preload = ["raises", "prints", "no_such_module"]
    with Session(tmp_path, preload=preload, variables={"PYTHONPATH": str(tmp_path)}) as session:
        assert set(session.ready["problems"]) == {"raises", "no_such_module"}
        assert session.run("import prints; print('block')").stdout == "block\n"


def who_waits(session: Session, mark: str) -> int:
    """The process that waits for the next block, once the one in the first rest has been made anew."""
    session.run("print(1)")
    time.sleep(0.2)
    assert until(lambda: len(alive(mark)) == 2)
    (waiting,) = [pid for pid in alive(mark) if pid != session.process.pid]
    return waiting


def test_the_waiting_process_can_be_killed_by_anybody(tmp_path: Path) -> None:
    with Session(tmp_path, variables={"MARK": "waiting-7431"}) as session:
        waiting = who_waits(session, "waiting-7431")

        os.kill(waiting, signal.SIGKILL)

        assert until(lambda: waiting not in alive("waiting-7431"))
        assert session.run("print(2)").stdout == "2\n"


def test_the_waiting_process_that_was_killed_in_this_very_moment_gets_no_block(tmp_path: Path) -> None:
    with Session(tmp_path, variables={"MARK": "waiting-7432"}) as session:
        waiting = who_waits(session, "waiting-7432")

        # when the supervisor sees the request before it sees the end
        session.process.send_signal(signal.SIGSTOP)
        os.kill(waiting, signal.SIGKILL)
        threading.Timer(0.2, session.process.send_signal, [signal.SIGCONT]).start()

        assert session.run("print(2)").stdout == "2\n"


def test_hundreds_of_blocks_leave_the_supervisor_as_it_was(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        status = Path(f"/proc/{session.process.pid}")

        def pages() -> int:
            return int((status / "statm").read_text().split()[1])

        def descriptors() -> int:
            return len(list((status / "fd").iterdir()))

        for _ in range(50):
            session.run("print(1)")
        # Those of what waits for a block, and the list of its children, which stays open, among them.
        assert until(lambda: descriptors() == 17)
        before = pages()
        for number in range(300):
            session.run("print(1)", "python" if number % 3 else "bash", stdin="x" if number % 2 else None)
        session.run("print(1)")

        assert until(lambda: descriptors() == 17)
        assert pages() - before < 500


@pytest.mark.parametrize("version", OTHERS)
def test_nothing_random_repeats_on_every_python(session_of: Get, version: str) -> None:
    results = {session_of(OTHERS[version], preload=["random"]).run(CHANCE["random"]).stdout for _ in range(3)}

    assert len(results) == 3


def test_a_preloaded_module_that_is_edited_is_imported_anew(tmp_path: Path) -> None:
    # given a module outside of site-packages: an editable installation, or PYTHONPATH
    (tmp_path / "project").mkdir()
    module = tmp_path / "project" / "mymod.py"
    module.write_text("value = 1")
    with Session(tmp_path, preload=["mymod"], variables={"PYTHONPATH": str(tmp_path / "project")}) as session:
        assert session.ready["problems"] == {}
        assert session.run("import mymod; print(mymod.value)").stdout == "1\n"

        for value in (222, 3333):
            module.write_text(f"value = {value}")
            assert session.run("import mymod; print(mymod.value)").stdout == f"{value}\n"
