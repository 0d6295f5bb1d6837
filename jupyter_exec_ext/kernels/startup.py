"""What a kernel of IPython is given before its first cell: see `furnish`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..text import one_line
from .silent import run_silently
from .threads import THREADS

if TYPE_CHECKING:
    from ..environments.kernel import KernelEnvironment
    from .connection import KernelConnection

__all__ = ["furnish", "is_ipython", "startup_code", "warm"]

#: Messages of a furnished kernel that may wait here to be read, besides those in the system's buffers.
AHEAD = 100
#: The beginnings of the lines in which the code below says what could be done, and what not.
_PARTS = ("pipes:", "threads:", "tasks:", "messages:")

# Says of each part whether it could be done, so that nobody relies on one that could not.
_FURNISH = """
def _furnish(name, part):
    try:
        part()
    except Exception as error:
        print(name + ":", repr(error)[:500])
    else:
        print(name + ": done")
"""

# A PUB socket drops what is more than 1,000 messages ahead of whoever reads: fewer than a cell can print on a
# busy machine. With a larger mark, a gigabyte that is printed would be a gigabyte of the kernel's memory. So
# the thread that sends waits, and with it who prints; not for a reader that has stopped reading: then the
# socket drops, as it would have by itself, until the cell has ended, which says so.
# What that thread has itself do next it tells itself through a socket, which holds 2,000 such messages and
# then waits for ever for the thread to read them. Its loop needs none.
_MESSAGES = """
def _messages():
    import sys, threading, zmq
    shell, tried, worked, missed = get_ipython(), threading.Event(), [], []
    thread = shell.kernel.iopub_thread
    send, schedule = thread._really_send, thread.schedule
    def schedule_or_queue(work):
        if threading.get_ident() != thread.thread.ident:
            return schedule(work)
        thread._events.append(work)
        thread.io_loop.add_callback(thread._handle_event, None)
    def wait_or_drop(waits):
        thread.socket.setsockopt(zmq.XPUB_NODROP, waits)
        thread.socket.setsockopt(zmq.SNDTIMEO, 5000 if waits else -1)
    def send_in_time(*arguments, **options):
        try:
            send(*arguments, **options)
        except zmq.Again:
            missed.append(wait_or_drop(0))
            send(*arguments, **options)
    def begin():
        try:
            worked.append(wait_or_drop(1))
            thread._really_send, thread.schedule = send_in_time, schedule_or_queue
        finally:
            tried.set()
    def end_cell():
        if missed:
            missed.clear()
            print("[output may be missing: who follows this kernel did not read on for 5 s]", file=sys.stderr)
            thread.schedule(lambda: wait_or_drop(1))
    thread.schedule(begin)
    if not (tried.wait(5) and worked):
        raise RuntimeError("the socket for output cannot be made to wait")
    shell.events.register("post_execute", end_cell)
_furnish("messages", _messages)
del _messages
"""

# What a program prints that a cell starts, or whoever else writes to the descriptors of the standard streams,
# comes through a pipe. ipykernel reads it in a thread: what that has not read when the cell ends is lost, or
# the next one's, and a character whose bytes come in two pieces is broken. This pipe takes the place of that
# one, and is emptied before the cell ends, and wherever its stream is flushed (16 times at most, since a
# program may print without end). An empty context has no cell, which means: whichever one runs.
# ipykernel sends every 0.2 s what was printed since, in one message, however large; whoever reads it would
# need as much memory. So it is sent when there is a piece of it, and what prints waits until it is.
_PIPES = """
def _pipes():
    import codecs, contextvars, os, select, sys, threading
    PIECE = 32_000
    def send_in_pieces(stream):
        schedule, buffers, flush = stream._schedule_flush, stream._flush_buffers, stream.flush
        def schedule_or_send():
            __tracebackhide__ = True
            schedule()
            with stream._buffer_lock:
                waiting = sum(buffer.tell() for buffer in stream._buffers.values())
            if waiting > PIECE:
                flush()
        def pieces():
            for parent, text in buffers():
                for begin in range(0, len(text), PIECE):
                    yield parent, text[begin : begin + PIECE]
        stream._schedule_flush, stream._flush_buffers = schedule_or_send, pieces
    def follow(stream):
        end, begin = os.pipe()
        os.set_blocking(end, False)
        kernel, lock, flush = os.getpid(), threading.Lock(), stream.flush
        context, decoder = contextvars.Context(), codecs.getincrementaldecoder("utf-8")("replace")
        def take():
            try:
                data = os.read(end, 65536)
            except BlockingIOError:
                return None
            context.run(stream.write, decoder.decode(data))
            return data
        def empty():
            if os.getpid() == kernel:
                with lock:
                    for _ in range(16):
                        if not take():
                            break
        def empty_and_flush():
            empty()
            flush()
        def end_cell():
            empty()
            with lock:
                context.run(stream.write, decoder.decode(b"", True))
        def watch():
            data = None
            while data != b"":
                select.select([end], [], [])
                with lock:
                    data = take()
        os.dup2(begin, stream._original_stdstream_fd)
        os.close(begin)
        stream.flush = empty_and_flush
        get_ipython().events.register("post_execute", end_cell)
        threading.Thread(target=watch, daemon=True).start()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "_flush_buffers"):
            send_in_pieces(stream)
        if getattr(stream, "_fid", None) is not None:
            follow(stream)
_furnish("pipes", _pipes)
del _pipes
"""

# Whatever a module raises, the kernel goes on without it, and says so.
_PRELOAD = """
def _preload(names):
    import importlib
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:
            print("preload:", name, repr(error)[:300])
_preload({names!r})
del _preload
"""

# A gateway starts its kernels wherever it likes; with a file system that it shares, there is a better place.
_FOLDER = """
def _go(folder):
    import os
    try:
        os.chdir(folder)
    except OSError:
        pass
_go({folder!r})
del _go
"""


def startup_code(preload: Iterable[str] = (), *, folder: str | None = None) -> str:
    """The code that runs, silently, in a new kernel of IPython.

    Parameters
    ----------
    preload : iterable of str
        Modules to import, so that the first cell need not.
    folder : str, optional
        The working directory to change to, if there is such a one where the kernel runs.
    """
    names = list(preload)
    place = "" if folder is None else _FOLDER.format(folder=folder)
    parts = _FURNISH + _PIPES + THREADS + _MESSAGES + "del _furnish\n"
    return parts + place + (_PRELOAD.format(names=names) if names else "")


async def furnish(
    connection: KernelConnection, environment: KernelEnvironment, *, folder: str | None = None
) -> None:
    """Prepare a kernel that has just started; one that is not IPython's stays as it is.

    `folder` as in `startup_code`. Raises `ExecError` where it goes away meanwhile.
    """
    if not is_ipython(connection, environment):
        return
    said = (await run_silently(connection, startup_code(environment.preload, folder=folder))).splitlines()
    if "messages: done" in said:
        # Only what such a kernel has printed waits there, and is not dropped.
        connection.limit(AHEAD)
    _warn_of_preload(connection, environment, said)
    wrong = [line for line in said if line.startswith(_PARTS) and not line.endswith(": done")]
    if is_ipython(connection, environment, ipykernel=True) and (wrong or "messages: done" not in said):
        connection.logger.warning(
            "Kernel %s could not be prepared, so that some of its output may be lost or filed wrongly: %s",
            connection.kernel_id,
            "; ".join(wrong) or "it did not answer",
        )


def _warn_of_preload(
    connection: KernelConnection, environment: KernelEnvironment, said: Iterable[str]
) -> None:
    """Warn of modules that could not be preloaded: once, since every kernel would say the same."""
    lines = (line.split(" ", 2) for line in said if line.startswith("preload: "))
    problems = {
        words[1]: f"{environment.name} could not preload {words[1]}, and starts without it: "
        f"{one_line(words[-1])}"
        for words in lines
    }
    known, environment.preload_problems = environment.preload_problems, problems
    for module, problem in problems.items():
        if known.get(module) != problem:
            connection.logger.warning("%s", problem)


async def warm(connection: KernelConnection, environment: KernelEnvironment) -> None:
    """Let a furnished kernel of IPython do once what its first cell would have to wait for.

    Another kernel's is not touched: not all know what ``silent`` means.
    """
    if is_ipython(connection, environment):
        await run_silently(connection, "")


def is_ipython(
    connection: KernelConnection, environment: KernelEnvironment, *, ipykernel: bool = False
) -> bool:
    """Whether a kernel is IPython's: its command line shows it, or, started by a script, it says so itself.

    With `ipykernel` only ipykernel's own counts, and not another one with the magics.
    """
    known = environment.is_ipykernel if ipykernel else environment.is_ipython
    return known or connection.info.get("implementation") == "ipython"
