"""What a thread prints that a later block gives work to is that block's; what it prints by itself is not."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_exec_ext.executors.jupyter import JupyterCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

FUTURES = """
from concurrent.futures import ThreadPoolExecutor
workers = ThreadPoolExecutor(2)
_ = list(workers.map(len, ["a"] * 4))
"""
POOL = """
from multiprocessing.pool import ThreadPool
pool = ThreadPool(2)
_ = pool.map(len, ["a"] * 4)
"""
QUEUE = """
import queue, threading
jobs = queue.Queue()
def work():
    while True:
        job = jobs.get()
        job()
        jobs.task_done()
threading.Thread(target=work, daemon=True).start()
jobs.put(list)
jobs.join()
"""
LOGGING = """
import logging, logging.handlers, queue
lines = queue.Queue(-1)
listener = logging.handlers.QueueListener(lines, logging.StreamHandler())
listener.start()
log = logging.getLogger("told")
log.addHandler(logging.handlers.QueueHandler(lines))
log.propagate = False
log.warning("first")
lines.join()
"""
LOOP = """
import asyncio
await asyncio.get_running_loop().run_in_executor(None, len, "a")
"""


async def said(executor: JupyterCodeExecutor, code: str) -> str:
    result = await executor.execute_code_blocks([CodeBlock(code=code)])
    assert result.outcome.status == "ok", result.output
    return result.output


@pytest.mark.parametrize(
    ("before", "code"),
    [
        (FUTURES, "workers.submit(print, 'mine').result()"),
        (FUTURES, "_ = list(workers.map(print, ['mine']))"),
        (FUTURES, "workers.submit(display, {'text/plain': 'mine'}, raw=True).result()"),
        (LOOP, "await asyncio.get_running_loop().run_in_executor(None, print, 'mine')"),
        (LOOP, "await asyncio.to_thread(print, 'mine')"),
        (POOL, "_ = pool.map(print, ['mine'])"),
        (POOL, "pool.apply(print, ['mine'])"),
        (POOL, "_ = list(pool.imap(print, ['mine']))"),
        (POOL, "import time; pool.apply_async(str, ['mine'], callback=print); time.sleep(0.3)"),
        (QUEUE, "jobs.put(lambda: print('mine')); jobs.join()"),
        (LOGGING, "log.warning('mine'); lines.join()"),
    ],
)
async def test_what_a_worker_prints_is_of_the_block_that_gave_it_the_work(
    make: Make, before: str, code: str
) -> None:
    executor = await make()
    await said(executor, before)
    assert await said(executor, code) == "mine\n"
    assert await said(executor, "print('other')") == "other\n"
    assert await said(executor, code) == "mine\n"


async def test_work_that_goes_on_is_of_the_block_that_gave_it_and_not_of_the_next(make: Make) -> None:
    executor = await make()
    late = "(lambda: (go.wait(), print('late')))"
    await said(executor, f"{FUTURES}{POOL}{QUEUE}go = threading.Event()")
    await said(executor, f"workers.submit{late}; pool.apply_async{late}; jobs.put{late}")
    assert await said(executor, "go.set(); import time; time.sleep(0.5); print('own')") == "own\n"


async def test_what_was_left_in_a_queue_is_printed_by_the_block_that_works_on_it(make: Make) -> None:
    executor = await make()
    await said(
        executor, "import queue, threading\njobs = queue.Queue()\nfor number in range(3): jobs.put(number)"
    )
    code = """
def work():
    while not jobs.empty():
        print(jobs.get())
worker = threading.Thread(target=work)
worker.start()
worker.join()
"""
    assert await said(executor, code) == "0\n1\n2\n"


async def test_a_queue_that_several_blocks_have_filled_tells_them_apart(make: Make) -> None:
    executor = await make()
    await said(executor, QUEUE + "go = threading.Event()")
    await said(executor, "jobs.put(go.wait); jobs.put(lambda: print('of the second'))")
    assert await said(executor, "jobs.put(lambda: print('mine')); go.set(); jobs.join()") == "mine\n"


async def test_nothing_of_it_is_seen(make: Make) -> None:
    executor = await make()
    code = """
import contextvars, inspect, queue, subprocess, sys, traceback
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

own = contextvars.ContextVar("own", default="none")
class Mine(queue.Queue):
    def _put(self, item):
        super()._put([item])
def fail():
    traceback.print_stack(file=sys.stdout)
    1 / 0
workers = ThreadPoolExecutor(1, initializer=own.set, initargs=("the worker's",))
for wait in (workers.submit(fail).result, lambda: ThreadPool(1).apply(fail)):
    try:
        wait()
    except ZeroDivisionError:
        traceback.print_exc(file=sys.stdout)
print(workers.submit(own.get).result())
mine = Mine()
mine.put(1)
print(mine.get(), mine.qsize(), inspect.signature(Future), inspect.signature(queue.Queue._put))
"""
    output = await said(executor, code)
    assert output.endswith("the worker's\n[1] 0 () (self, item)\n")
    assert not any(word in output for word in ("get_task", "set_running", "give", "_tasks", "_setup"))
    assert output.count("in fail") == 4


async def test_a_kernel_is_told_of_tasks(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    await make()
    await asyncio.sleep(0)
    assert "could not be prepared" not in caplog.text
