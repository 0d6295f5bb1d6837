"""Job objects, as far as they can be looked at without Windows: structures, limits, and what fails."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_exec_ext.supervisor.portable import windows

WIDE = ctypes.sizeof(ctypes.c_void_p) == 8


class Call:
    """A function of a library that answers what it is told to, and writes down how it was called."""

    def __init__(self, log: list[str], name: str, answer: int) -> None:
        self._log, self._name, self._answer = log, name, answer

    def __call__(self, *arguments: Any) -> int:
        self._log.append(self._name)
        return self._answer


def kernel(log: list[str], **answers: int) -> windows.Kernel:
    names = ("CreateJobObjectW", "SetInformationJobObject", "QueryInformationJobObject",
             "AssignProcessToJobObject", "TerminateJobObject", "CloseHandle", "SetErrorMode")  # fmt: skip
    kernel32 = SimpleNamespace(**{name: Call(log, name, answers.get(name, 1)) for name in names})
    resume = Call(log, "NtResumeProcess", answers.get("NtResumeProcess", 0))
    return windows.Kernel(kernel32, SimpleNamespace(NtResumeProcess=resume))


@pytest.mark.skipif(not WIDE, reason="the figures are those of 64 bits")
def test_structures_have_the_sizes_of_winnt_h() -> None:
    assert ctypes.sizeof(windows.BasicAccounting) == 48
    assert ctypes.sizeof(windows.BasicLimits) == 64
    assert ctypes.sizeof(windows.ExtendedLimits) == 144
    assert windows.BasicAccounting.active_processes.offset == 40
    assert windows.BasicLimits.flags.offset == 16
    assert windows.ExtendedLimits.process_memory.offset == 112
    assert windows.ExtendedLimits.peak_process_memory.offset == 128


def test_every_job_ends_with_its_handle() -> None:
    told = windows.limits_of({})

    assert told.basic.flags == 0x2000 | 0x400
    assert told.process_memory == 0


def test_memory_and_processor_time_are_limited() -> None:
    told = windows.limits_of({"memory_bytes": 2**33, "cpu_seconds": 3, "open_files": 5})

    assert told.basic.flags == 0x2000 | 0x400 | 0x100 | 0x2
    assert told.process_memory == 2**33
    assert told.basic.process_user_time == 30_000_000


def test_a_job_that_cannot_be_limited_is_closed() -> None:
    log: list[str] = []

    with pytest.raises(OSError, match="job object"):
        windows.WindowsJob(kernel(log, SetInformationJobObject=0), {})

    assert log == ["CreateJobObjectW", "SetInformationJobObject", "CloseHandle"]


def test_a_job_that_cannot_be_made_is_an_os_error() -> None:
    log: list[str] = []

    with pytest.raises(OSError, match="job object"):
        windows.WindowsJob(kernel(log, CreateJobObjectW=0), {})

    assert log == ["CreateJobObjectW"]


def test_a_handle_is_given_back_once() -> None:
    log: list[str] = []
    job = windows.WindowsJob(kernel(log), {})

    job.close()
    job.close()

    assert log.count("CloseHandle") == 1
    with pytest.raises(OSError, match="closed"):
        job.count()


def test_a_program_that_stays_suspended_is_an_error() -> None:
    with pytest.raises(OSError, match="0xc0000005"):
        kernel([], NtResumeProcess=0xC0000005 - 2**32).resume(1)


@pytest.mark.skipif(sys.platform == "win32", reason="there it exists")
def test_elsewhere_there_are_no_job_objects() -> None:
    with pytest.raises(OSError, match="Windows only"):
        windows.kernel()
