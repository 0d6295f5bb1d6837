"""What an import gives in a fork is what it gives in a script, also of what the supervisor has imported."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from .conftest import PYTHONS
from .session import Session
from .test_script import assert_equal, clear

Get = Callable[..., Session]

#: Namesakes of modules that a supervisor has imported, in a folder that is not on the path.
VENDOR = """
import os
os.makedirs("vendor", exist_ok=True)
for name in ("platform", "select", "struct", "keyword", "json"):
    with open(f"vendor/{name}.py", "w") as file:
        file.write("NAME = 'mine'")
"""
SHOW = """
import platform, select, keyword
print(*[getattr(module, "NAME", "the library's") for module in (platform, select, keyword)])
"""
CHANGES = {
    "another name for sys": "import sys as s; s.path.insert(0, 'vendor')",
    "a name of a name": "import sys; getattr(sys, 'pa' 'th').insert(0, 'vendor')",
    "a sibling": "import boot",
    "another list": "import sys as s; s.path = ['vendor', *s.path]",
    "an end": "import sys as s; s.path.append('vendor')",
    "a folder less": "import sys as s; del s.path[0]",
    "no path": "import sys as s; s.path = None",
    "a hook": "import sys as s; s.path_hooks.insert(0, s.path_hooks[-1]); s.path.insert(0, 'vendor')",
    "a file beside it": "open('platform.py', 'w').write(\"NAME = 'mine'\")",
    "a folder beside it": "os.mkdir('keyword'); open('keyword/__init__.py', 'w').write(\"NAME = 'mine'\")",
    "a file beside it, a while ago": "open('platform.py', 'w').write(\"NAME = 'mine'\")\n"
    "import time; time.sleep(0.1)",
    "another file": "open('other.py', 'w').close()",
    "a finder": """
import sys
from importlib.machinery import ModuleSpec
class Finder:
    def find_spec(name, path=None, target=None):
        return ModuleSpec(name, Finder) if name == "platform" else None
    def create_module(spec): ...
    def exec_module(module):
        module.NAME = "mine"
sys.meta_path.insert(0, Finder)
""",
}
BOOT = "import sys; before = list(sys.path); sys.path.insert(0, 'vendor')"

#: What a program can know of what is imported, and what it can do about it.
LOOKS = {
    "what there is at the start": "",
    "what comes with one": "import json",
    "what comes with many": "import subprocess, threading, ctypes, logging, tempfile, asyncio",
    "a part of a package": "import importlib\nprint(hasattr(importlib, 'util'))\n"
    "import importlib.util\nprint(hasattr(importlib, 'util'))",
    "a part that is asked for": "from importlib import util, machinery\n"
    "from json import decoder\nprint(util.__name__)",
    "by its name": "import importlib\nprint(importlib.import_module('json').__name__)",
    "where one is": "import importlib.util\nprint(importlib.util.find_spec('platform').origin)\n"
    "print('platform' in sys.modules)",
    "one in another's place": "import types\nfake = sys.modules['re'] = types.ModuleType('re')\n"
    "fake.compile = fake.VERBOSE = fake.MULTILINE = fake.DOTALL = 0\n"
    "try:\n    import json\nexcept Exception as error:\n    print(repr(error))",
    "one that is forbidden": "sys.modules['struct'] = None\n"
    "try:\n    import ctypes\nexcept ImportError as error:\n    print(error)",
    "one that was taken away": "import re\ndel sys.modules['re']\n"
    "import json\nprint(sys.modules['re'] is re)",
    "one again": "import importlib, platform\nprint(importlib.reload(platform) is platform)",
    "not one that could be": "try:\n    import struct.nothing\n"
    "except ImportError as error:\n    print(error)",
    "the path": "print(type(sys.path), sys.path, sys.meta_path, sys.path_hooks[0], __import__)",
}
LIST = (
    "import sys\n{}\nprint(sorted(set(sys.modules) - set(sys.builtin_module_names) - {{'collections.abc'}}))"
)

#: All that was imported before is made a second time; what belongs to the process must not suffer.
ANEW = """
import sys as s
s.path.insert(0, "vendor")
import atexit, collections, contextlib, ctypes, enum, functools, math, os, re, resource, select
import signal, subprocess, termios, threading, time, types, warnings, weakref
atexit.register(print, "the end")
print(ctypes.CDLL(None).getpid() == os.getpid(), re.sub("a", "b", "aa"), resource.RLIM_INFINITY)
print(subprocess.run(["echo", "a program"], stdout=subprocess.PIPE).stdout, threading.current_thread().name)
poll = select.poll()
print(poll.poll(0), isinstance(collections.OrderedDict(), dict), signal.getsignal(signal.SIGINT).__name__)
signal.signal(signal.SIGALRM, lambda number, frame: print("alarm", signal.Signals(number).name))
signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(0.1)
pid = os.fork()
if not pid:
    os._exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if hasattr(os, "waitstatus_to_exitcode") else 3)
class Kept:
    def __del__(self):
        print("deleted")
kept = Kept()
finalizer = weakref.finalize(kept, print, "finalized")
warnings.warn("careful")
def late():
    time.sleep(0.1)
    print("joined", threading.main_thread().is_alive())
threading.Thread(target=late).start()
"""


def assert_forked(session: Session, source: str) -> None:
    """Prove that it is the fork that was compared."""
    ended = session.run(f"import os; print('child of', os.getppid())\n{source}")
    assert f"child of {session.process.pid}\n" in ended.stdout, ended.stderr


@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_path_holds_for_what_the_supervisor_has_imported(
    session_of: Get, change: str, version: str
) -> None:
    session = session_of(PYTHONS[version])
    source = VENDOR + CHANGES[change] + SHOW

    assert_equal(session, source, boot=BOOT)
    clear(session.workspace)
    (session.workspace / "boot.py").write_text(BOOT)
    assert_forked(session, source)


@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("look", LOOKS)
def test_what_is_imported_is_what_a_script_has_imported(session_of: Get, look: str, version: str) -> None:
    session = session_of(PYTHONS[version])
    source = LIST.format(LOOKS[look])

    assert_equal(session, source)
    assert_forked(session, source)


@pytest.mark.parametrize("version", PYTHONS)
def test_what_was_imported_before_the_path_changed_stays(session_of: Get, version: str) -> None:
    session = session_of(PYTHONS[version])
    source = f"""{VENDOR}
import json, struct, sys
before = json, struct, sys.modules["re"]
import boot, json, struct, re
print(before == (json, struct, re), json.dumps([1]))
{SHOW}"""

    assert_equal(session, source, boot=BOOT)
    assert_forked(session, source)


@pytest.mark.parametrize("version", PYTHONS)
def test_a_fork_that_imports_everything_anew_works_and_ends_like_a_script(
    session_of: Get, version: str
) -> None:
    session = session_of(PYTHONS[version])

    assert_equal(session, ANEW)
    assert_forked(session, ANEW)


def test_imports_in_many_threads_give_one_module(session_of: Get) -> None:
    session = session_of()
    source = """
import _thread, sys, time
found = []
def look():
    import json, subprocess, platform
    found.append((id(json), id(subprocess), id(platform)))
for _ in range(20):
    _thread.start_new_thread(look, ())
while len(found) < 20:
    time.sleep(0.01)
print(len(set(found)))
"""
    assert_equal(session, source)
    assert_equal(session, source.replace("import _thread", "import boot, _thread"), boot=BOOT)


def test_with_preloaded_modules_everything_is_there_and_a_path_by_another_name_is_spawned(
    session_of: Get,
) -> None:
    session = session_of(preload=["decimal"])

    ended = session.run("import sys; print('decimal' in sys.modules, 'json' in sys.modules)")
    assert ended.stdout == "True True\n"
    assert session.run(VENDOR + CHANGES["another name for sys"] + SHOW).stdout == "mine mine mine\n"


@pytest.mark.parametrize("seconds", [0, 10])
def test_a_file_is_noticed_whenever_its_folder_was_changed_before(session_of: Get, seconds: float) -> None:
    session = session_of()
    clear(session.workspace)
    then = time.time() - seconds
    os.utime(session.workspace, (then, then))

    ended = session.run("open('platform.py', 'w').write('NAME = 1')\nimport platform; print(platform.NAME)")

    assert ended.stdout == "1\n"
    clear(session.workspace)
