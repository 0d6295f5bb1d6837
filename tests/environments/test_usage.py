"""Servers that share created environments see which of them the others use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from registries import Make, left_in, prepared, request

from jupyter_exec_ext.environments.usage import Usage
from jupyter_exec_ext.errors import Conflict


def using(data: Path) -> subprocess.Popen[bytes]:
    """Another server's process, which uses the environment."""
    code = (
        "import sys, pathlib; from jupyter_exec_ext.environments.usage import Usage\n"
        "Usage(pathlib.Path(sys.argv[1])).enter('venv:v', 'x'); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(data)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


async def test_what_another_server_uses_is_not_deleted(make_registry: Make, data: Path) -> None:
    # given two servers over the same folders, and two users in one of them
    one, other = make_registry(), make_registry()
    await one.create(request())
    await prepared(one)
    for user in ("session", "execution", "session"):
        one.usage.enter("venv:v", user)
    # when, then
    with pytest.raises(Conflict, match=r"venv:v is in use by another server; end its sessions"):
        await other.delete("venv:v")
    one.usage.leave("venv:v", "session")
    with pytest.raises(Conflict, match="another server"):
        await other.delete("venv:v")
    assert (data / "v" / "venv" / "pyvenv.cfg").exists()
    # when the last one leaves
    one.usage.leave("venv:v", "execution")
    await other.delete("venv:v")
    # then nothing is left, of its use neither
    assert left_in(data) == []
    assert os.listdir(data / ".using") == []


async def test_the_use_of_a_killed_server_counts_no_more(make_registry: Make, data: Path) -> None:
    # given
    registry = make_registry()
    await registry.create(request())
    await prepared(registry)
    with using(data) as server:
        assert server.stdout is not None
        server.stdout.readline()
        with pytest.raises(Conflict, match="another server"):
            await registry.delete("venv:v")
        # when
        server.send_signal(signal.SIGKILL)
        server.wait()
    # then the next start tidies up, and it can be removed
    (used,) = (data / ".using").iterdir()
    assert len(list(used.iterdir())) == 1
    await registry.start()
    assert list(used.iterdir()) == []
    await registry.delete("venv:v")
    assert left_in(data) == []


def test_what_is_being_removed_cannot_be_used(data: Path) -> None:
    # given
    (data / "v").mkdir(parents=True)
    remover, user = Usage(data), Usage(data)
    user.check("venv:v")
    # when
    with remover.removing("v"):
        user.enter("venv:v", "x")
        # then
        for usage in (remover, user):
            with pytest.raises(Conflict, match="venv:v is being removed"):
                usage.check("venv:v")
    user.leave("venv:v", "x")
    user.check("venv:v")


def test_what_was_not_made_here_has_no_users(data: Path) -> None:
    usage = Usage(data)
    for name in ("local", "venv:elsewhere", "conda:base"):
        usage.enter(name, "x")
        usage.check(name)
        usage.leave(name, "x")
    assert not data.exists()
