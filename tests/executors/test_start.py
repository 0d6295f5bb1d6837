"""An executor that the system does not let start says what is short, or in the way."""

from __future__ import annotations

import ctypes
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.errors import EnvironmentFailed, Unavailable
from jupyter_exec_ext.executors.base import CodeExecutor, real_folder
from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.manager.admission import still_there

EXCHANGE, HERE = 2, -100  # linux/fs.h, fcntl.h


@contextmanager
def no_more_files() -> Iterator[None]:
    """Every descriptor that may be opened is open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open(os.devnull, os.O_RDONLY)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare, limits[1]))
        held = []
        while True:
            try:
                held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in (spare, *held):
            os.close(descriptor)


async def test_without_descriptors_it_is_unavailable_and_starts_once_there_are_some(tmp_path: Path) -> None:
    executor = LocalCommandLineCodeExecutor(SystemPythonEnvironment("local"), tmp_path, tmp_path / "private")
    async with executor:  # what is looked at once has been
        pass
    with pytest.raises(Unavailable, match=r"Too many open files; end something, or try again later\.$"):
        with no_more_files():
            await executor.start()
    async with executor:
        assert executor.alive


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("file", "file is a file and not a directory; choose another path."),
        ("file/below", "file is a file and not a directory; choose another path."),
        ("nothing", "nothing is gone; choose another path."),
    ],
)
@pytest.mark.parametrize("kind", [LocalCommandLineCodeExecutor, JupyterCodeExecutor])
async def test_what_is_there_instead_of_the_working_directory_is_said(
    tmp_path: Path, kind: type[CodeExecutor], folder: str, said: str
) -> None:
    (tmp_path / "file").touch()
    executor = kind(kind.default_environment(), workspace=tmp_path / folder)  # type: ignore[call-arg]

    with pytest.raises(EnvironmentFailed, match=rf"^The working directory {tmp_path / folder} ") as refused:
        await executor.start()

    assert refused.value.message.endswith(f"/{said}")
    await executor.stop()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "renameat2"), reason="only Linux exchanges names")
def test_a_folder_that_is_a_link_now_and_then_is_refused_in_words(tmp_path: Path) -> None:
    # given: two names that somebody exchanges all the time
    folder, link, over = tmp_path / "folder", tmp_path / "link", threading.Event()
    folder.mkdir()
    link.symlink_to("/")
    rename = ctypes.CDLL(None).renameat2

    def exchange() -> None:
        while not over.is_set():
            rename(HERE, bytes(folder), HERE, bytes(link), EXCHANGE)

    somebody = threading.Thread(target=exchange)
    somebody.start()
    # when
    said: set[str] = set()
    try:
        for _ in range(2000):
            try:
                still_there(folder)
                real_folder(folder)
            except EnvironmentFailed as error:
                said.add(error.message)
    finally:
        over.set()
        somebody.join()
    # then
    assert said
    assert all(message.startswith(f"The working directory {folder} ") for message in said)
