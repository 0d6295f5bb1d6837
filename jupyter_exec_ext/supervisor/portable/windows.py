"""Job objects: what holds a run together on Windows, and ends it.

The program is started suspended, put into the job, and then let go, so that it starts nothing
outside of it. The job ends with its last handle, which is ours (winnt.h; learn.microsoft.com,
"Job Objects"). Sizes of the structures are those of winnt.h on 32 and 64 bits.
(Python 3.8, standard library only. It can be imported everywhere; `kernel` exists on Windows.)
"""

from __future__ import annotations

import ctypes
import subprocess
import sys

from .job import GROUP, Job, ctrl_break, terminate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO, Any

_DWORD, _SIZE, _HANDLE = ctypes.c_uint32, ctypes.c_size_t, ctypes.c_void_p

BASIC_ACCOUNTING, EXTENDED_LIMITS = 1, 9
LIMIT_PROCESS_TIME = 0x2
LIMIT_PROCESS_MEMORY = 0x100
LIMIT_DIE_ON_UNHANDLED_EXCEPTION = 0x400
LIMIT_KILL_ON_JOB_CLOSE = 0x2000
CREATE_SUSPENDED = 0x4
#: No message box where a program crashes: nobody would answer it. Children inherit this.
NO_BOXES = 0x1 | 0x2 | 0x8000
#: Units of 100 ns, in which Windows counts time, per second.
TICKS = 10_000_000
#: The exit code of what is ended by us; as ``TerminateProcess`` has it of Python's own.
ENDED = 1


class BasicAccounting(ctypes.Structure):
    """JOBOBJECT_BASIC_ACCOUNTING_INFORMATION."""

    _fields_ = [
        ("total_user_time", ctypes.c_int64),
        ("total_kernel_time", ctypes.c_int64),
        ("this_period_user_time", ctypes.c_int64),
        ("this_period_kernel_time", ctypes.c_int64),
        ("page_faults", _DWORD),
        ("total_processes", _DWORD),
        ("active_processes", _DWORD),
        ("terminated_processes", _DWORD),
    ]


class BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = [
        ("process_user_time", ctypes.c_int64),
        ("job_user_time", ctypes.c_int64),
        ("flags", _DWORD),
        ("least_working_set", _SIZE),
        ("most_working_set", _SIZE),
        ("active_processes", _DWORD),
        ("affinity", _SIZE),
        ("priority", _DWORD),
        ("scheduling", _DWORD),
    ]


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION; the six counters are IO_COUNTERS."""

    _fields_ = [
        ("basic", BasicLimits),
        ("io", ctypes.c_uint64 * 6),
        ("process_memory", _SIZE),
        ("job_memory", _SIZE),
        ("peak_process_memory", _SIZE),
        ("peak_job_memory", _SIZE),
    ]


class Kernel:
    """The calls we make, with their types.

    Parameters
    ----------
    kernel32, ntdll
        The libraries, loaded with ``use_last_error``.
    """

    def __init__(self, kernel32: Any, ntdll: Any) -> None:
        self._kernel32, self._ntdll = kernel32, ntdll
        kernel32.CreateJobObjectW.argtypes = [ctypes.c_void_p, ctypes.c_wchar_p]
        kernel32.CreateJobObjectW.restype = _HANDLE
        kernel32.SetInformationJobObject.argtypes = [_HANDLE, ctypes.c_int, ctypes.c_void_p, _DWORD]
        kernel32.QueryInformationJobObject.argtypes = [
            _HANDLE, ctypes.c_int, ctypes.c_void_p, _DWORD, ctypes.c_void_p
        ]  # fmt: skip
        kernel32.AssignProcessToJobObject.argtypes = [_HANDLE, _HANDLE]
        kernel32.TerminateJobObject.argtypes = [_HANDLE, ctypes.c_uint32]
        kernel32.CloseHandle.argtypes = [_HANDLE]
        kernel32.SetErrorMode.argtypes = [ctypes.c_uint32]
        ntdll.NtResumeProcess.argtypes = [_HANDLE]
        ntdll.NtResumeProcess.restype = ctypes.c_int32

    def no_boxes(self) -> None:
        """Let no program below this process stop at a message box."""
        self._kernel32.SetErrorMode(NO_BOXES)

    def create(self) -> int:
        """A new job; its handle."""
        handle = self._kernel32.CreateJobObjectW(None, None)
        if not handle:
            raise _last_error()
        return int(handle)

    def limit(self, job: int, limits: ExtendedLimits) -> None:
        """Set what holds for the processes of a job."""
        size = ctypes.sizeof(limits)
        if not self._kernel32.SetInformationJobObject(job, EXTENDED_LIMITS, ctypes.byref(limits), size):
            raise _last_error()

    def assign(self, job: int, process: int) -> None:
        """Put a process into a job, for its life."""
        if not self._kernel32.AssignProcessToJobObject(job, process):
            raise _last_error()

    def resume(self, process: int) -> None:
        """Let a process go that was started suspended."""
        # The thread's own handle, for ResumeThread, is closed by `subprocess`.
        status = self._ntdll.NtResumeProcess(process)
        if status < 0:
            raise OSError(f"the program could not be resumed (status {status & 0xFFFFFFFF:#010x})")

    def terminate(self, job: int) -> None:
        """End every process of a job; those that are left are ended by the next round."""
        self._kernel32.TerminateJobObject(job, ENDED)

    def accounting(self, job: int) -> BasicAccounting:
        """Times, and how many processes are alive."""
        told = BasicAccounting()
        self._query(job, BASIC_ACCOUNTING, told)
        return told

    def limits(self, job: int) -> ExtendedLimits:
        """Limits, and the peaks of memory."""
        told = ExtendedLimits()
        self._query(job, EXTENDED_LIMITS, told)
        return told

    def _query(self, job: int, kind: int, into: ctypes.Structure) -> None:
        size = ctypes.sizeof(into)
        if not self._kernel32.QueryInformationJobObject(job, kind, ctypes.byref(into), size, None):
            raise _last_error()

    def close(self, job: int) -> None:
        """Give a job's handle back, which ends what is still in it."""
        self._kernel32.CloseHandle(job)


def kernel() -> Kernel:
    """The system's own calls."""
    if sys.platform == "win32":
        return Kernel(ctypes.WinDLL("kernel32", use_last_error=True), ctypes.WinDLL("ntdll"))
    else:
        raise OSError("job objects exist on Windows only")


def _last_error() -> OSError:
    if sys.platform == "win32":
        return ctypes.WinError(ctypes.get_last_error())
    else:
        return OSError("a call for a job object failed")


class WindowsJob(Job):
    """A program and all it starts, in a job object.

    Parameters
    ----------
    kernel : Kernel
    limits : dict
        Of each process: ``memory_bytes`` (committed), ``cpu_seconds`` (in user mode).
    """

    guarantee = "job_object"

    def __init__(self, kernel: Kernel, limits: dict[str, Any]) -> None:
        self._kernel = kernel
        self._handle: int | None = kernel.create()
        try:
            kernel.limit(self._handle, limits_of(limits))
        except OSError:
            self.close()
            raise

    def start(self, argv: Sequence[str], env: dict[str, str], cwd: str, stdin: int | IO[bytes]) -> None:
        """Start the program suspended, put it into the job, and let it go."""
        self._kernel.no_boxes()
        self.process = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            creationflags=CREATE_SUSPENDED | GROUP,
        )
        handle = int(self.process._handle)  # type: ignore[attr-defined,unused-ignore]
        try:
            self._kernel.assign(self._job, handle)
            self._kernel.resume(handle)
        except OSError:
            self.process.kill()
            self.process.wait()
            _close_pipes(self.process)
            raise

    @property
    def _job(self) -> int:
        if self._handle is None:
            raise OSError("the job has been closed")
        return self._handle

    def interrupt(self) -> None:
        """Ctrl-Break: a Python block takes it for Ctrl-C, most other programs end."""
        ctrl_break(self.process.pid)

    def terminate(self) -> None:
        """End the program itself; what it has started may still tidy up."""
        terminate(self.process)

    def kill(self) -> None:
        """End everything in the job."""
        self._kernel.terminate(self._job)

    def count(self) -> int:
        """How many processes of the job are alive."""
        return int(self._kernel.accounting(self._job).active_processes)

    def usage(self) -> tuple[float, int]:
        """Of all processes the job ever had; the memory is what was committed."""
        times = self._kernel.accounting(self._job)
        cpu = (times.total_user_time + times.total_kernel_time) / TICKS
        return cpu, int(self._kernel.limits(self._job).peak_process_memory)

    def close(self) -> None:
        """Close the handle."""
        if self._handle is not None:
            self._kernel.close(self._handle)
            self._handle = None


def limits_of(limits: dict[str, Any]) -> ExtendedLimits:
    """What a job is told to hold its processes to."""
    told = ExtendedLimits()
    told.basic.flags = LIMIT_KILL_ON_JOB_CLOSE | LIMIT_DIE_ON_UNHANDLED_EXCEPTION
    if limits.get("memory_bytes"):
        told.basic.flags |= LIMIT_PROCESS_MEMORY
        told.process_memory = int(limits["memory_bytes"])
    if limits.get("cpu_seconds"):
        told.basic.flags |= LIMIT_PROCESS_TIME
        told.basic.process_user_time = int(limits["cpu_seconds"]) * TICKS
    return told


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
