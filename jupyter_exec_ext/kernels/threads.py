"""What a kernel of IPython is told of threads: which cell each of them prints for; see `startup`."""

from __future__ import annotations

__all__ = ["THREADS"]

# A thread prints for the cell that started it, also once another one runs: ipykernel finds the cell in a
# context variable, which threads have inherited by themselves only since Python 3.14. The context is
# entered below `run`, so that no traceback shows it.
_START = """
def _start():
    import contextvars, functools, sys, threading
    if getattr(sys.flags, "thread_inherit_context", False):
        return
    plain = threading.Thread.start
    @functools.wraps(plain)
    def start(self):
        if not self._started.is_set():
            self._bootstrap_inner = functools.partial(contextvars.copy_context().run, self._bootstrap_inner)
        return plain(self)
    threading.Thread.start = start
    # `_thread` is what a few old programs use; `threading` has its own name for the plain one.
    import _thread
    begin = _thread.start_new_thread
    @functools.wraps(begin)
    def start_new_thread(function, args, *kwargs):
        if not (callable(function) and isinstance(args, tuple)):
            return begin(function, args, *kwargs)
        return begin(contextvars.copy_context().run, (function, *args), *kwargs)
    _thread.start_new_thread = start_new_thread
_furnish("threads", _start)
del _start
"""

# A worker that a later cell gives something to do prints for that cell: `here` is the cell that hands over,
# and `give` makes a worker print for it from then on. Only ipykernel's own variables are set in the worker's
# context; what else is in there is the program's. What is wrapped has always returned when the work begins,
# so that no traceback and no stack of it shows more than before. A worker never prints for a cell before the
# one that started it: a cell may start some for what an earlier cell has left in a queue.
# An item of a queue cannot carry its cell, so the queue counts how many of each are waiting.
# `multiprocessing` notes the directory in which it is imported, so that it must be left to the program to
# import it.
_TASKS = """
def _tasks():
    import collections, concurrent.futures, contextvars, functools, importlib.util
    import queue, sys, threading, weakref
    NAME = "_jupyter_exec_cell"
    shell, local, numbers, latest = get_ipython(), threading.local(), {None: -1}, [(-1, ())]
    holders = (sys.stdout, sys.stderr, shell, shell.display_pub, shell.displayhook, shell.kernel)
    attributes = [each for one in holders for each in vars(one).values()]
    variables = [each for each in attributes if isinstance(each, contextvars.ContextVar)]
    if sys.stdout._parent_header not in variables:
        raise RuntimeError("the kernel does not say which cell it runs")
    def here():
        cell, values = latest[0], tuple(each.get(None) for each in variables)
        if cell[1] != values:
            name = (values[0] or {}).get("msg_id")
            cell = latest[0] = (numbers.setdefault(name, len(numbers)), values)
        return cell
    def give(cell):
        if cell is None or threading.get_ident() == threading.main_thread().ident:
            return
        if not hasattr(local, "first"):
            thread = threading._active.get(threading.get_ident())
            local.first = None if type(thread).__module__.startswith("ipykernel.") else here()
        if local.first is not None:
            for each, value in zip(variables, max(local.first, cell, key=lambda one: one[0])[1]):
                if value is not None:
                    each.set(value)
    def replace(kind, name, make):
        plain = getattr(kind, name)
        setattr(kind, name, functools.wraps(plain)(make(plain)))
    def noting(plain):
        def __init__(self, *arguments, **options):
            __tracebackhide__ = True
            plain(self, *arguments, **options)
            vars(self)[NAME] = here()
        return __init__
    def giving(plain):
        def set_running_or_notify_cancel(self):
            __tracebackhide__ = True
            give(vars(self).get(NAME))
            return plain(self)
        return set_running_or_notify_cancel
    def giving_task(get, pool):
        def get_task(*arguments, **options):
            __tracebackhide__ = True
            task, owner = get(*arguments, **options), pool()
            if owner is not None and isinstance(task, tuple) and task:
                give(getattr(owner._cache.get(task[0]), NAME, None))
            return task
        return get_task
    class Tasks(queue.SimpleQueue):
        pass
    def setting_up(plain):
        def _setup_queues(self):
            plain(self)
            pool = weakref.ref(self)
            if type(self._inqueue) is queue.SimpleQueue:
                self._inqueue = Tasks()
                self._inqueue.get = giving_task(super(Tasks, self._inqueue).get, pool)
                self._quick_put = self._inqueue.put
            self._quick_get = giving_task(self._quick_get, pool)
        return _setup_queues
    def putting(plain):
        def _put(self, item):
            __tracebackhide__ = True
            waiting, cell = vars(self).setdefault(NAME, collections.deque()), here()
            if not self.queue:
                waiting.clear()
            if not (waiting and waiting[-1][0] is cell):
                waiting.append([cell, 0])
            waiting[-1][1] += 1
            plain(self, item)
        return _put
    def getting(plain):
        def _get(self):
            __tracebackhide__ = True
            item, waiting = plain(self), vars(self).get(NAME)
            if waiting:
                give(waiting[0][0])
                waiting[0][1] -= 1
                if not waiting[0][1]:
                    waiting.popleft()
            return item
        return _get
    def prepare_pools(pools):
        for kind in (pools.ApplyResult, pools.IMapIterator):
            replace(kind, "__init__", noting)
        for kind in (pools.Pool, pools.ThreadPool):
            replace(kind, "_setup_queues", setting_up)
    class Finder:
        name = "multiprocessing.pool"
        def find_spec(self, name, path=None, target=None):
            if name == self.name:
                sys.meta_path.remove(self)
                spec = importlib.util.find_spec(name)
                if spec is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader.exec_module = functools.partial(self.execute, spec.loader)
                return spec
        def execute(self, loader, module):
            del loader.exec_module
            loader.exec_module(module)
            if hasattr(module, "ThreadPool"):
                prepare_pools(module)
    if Finder.name in sys.modules:
        prepare_pools(sys.modules[Finder.name])
    else:
        sys.meta_path.insert(0, Finder())
    shell.events.register("pre_execute", lambda: here() and None)
    replace(concurrent.futures.Future, "__init__", noting)
    replace(concurrent.futures.Future, "set_running_or_notify_cancel", giving)
    replace(queue.Queue, "_put", putting)
    replace(queue.Queue, "_get", getting)
_furnish("tasks", _tasks)
del _tasks
"""

#: The code of both; it needs ``_furnish``.
THREADS = _START + _TASKS
