"""What a kernel of somebody else is told, so that our cells leave no trace in the notebook that uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connection import KernelConnection
    from .request import KernelRequest

__all__ = ["make_discreet"]

# A cell that is not to be stored in the history writes its result over that of the last one that is (`Out[n]`
# and `_n`), over `_`, `__` and `___`, and its error over the one that `%debug` and `%tb` look at. What was
# there before such a cell is there again after it; what the program itself assigns stays.
_CODE = """
def _discreet():
    import sys
    shell = get_ipython()
    events, hook, names, cells = shell.events, shell.displayhook, shell.user_ns, []
    if hasattr(events, "_jupyter_exec_discreet"):
        return
    events._jupyter_exec_discreet = MISSING = object()
    UNDERS, LAST = ("_", "__", "___"), ("last_type", "last_value", "last_traceback", "last_exc")
    def put(target, key, value):
        if value is MISSING:
            target.pop(key, None)
        else:
            target[key] = value
    def of(target, keys):
        return {key: target.get(key, MISSING) for key in keys}
    def shown(number):
        return getattr(shell.history_manager, "outputs", {}).get(number, [])
    def keep(info):
        if info.store_history or info.silent:
            return
        number = hook.prompt_count
        kept = of(names, UNDERS), of(vars(hook), UNDERS), of(vars(sys), LAST), of(names, [f"_{number}"])
        cells.append((info, kept, number, names["_oh"].get(number, MISSING), len(shown(number))))
    def put_back(result):
        if not cells or cells[-1][0] is not result.info:
            return
        _, (unders, hooks, last, numbered), number, out, count = cells.pop()
        for key, value in unders.items():
            if names.get(key) is vars(hook).get(key):
                put(names, key, value)
        for target, kept in ((vars(hook), hooks), (vars(sys), last), (names, numbered)):
            for key, value in kept.items():
                put(target, key, value)
        put(names["_oh"], number, out)
        del shown(number)[count:]
    events.register("pre_run_cell", keep)
    events.register("post_run_cell", put_back)
try:
    _discreet()
finally:
    del _discreet
"""


async def make_discreet(connection: KernelConnection) -> None:
    """Tell a kernel of IPython, once; it is not waited for, since what is sent next comes after it.

    Raises `ExecError` where the kernel is gone.
    """
    told = connection.discreet
    if told is None or _was_dropped(told):
        connection.discreet = await connection.execute(
            _CODE, lambda message: None, silent=True, store_history=False
        )


def _was_dropped(request: KernelRequest) -> bool:
    """Whether the kernel did not run it, since what somebody else asked of it before has failed."""
    ended = request.ended
    return ended.done() and ended.exception() is None and ended.result().get("status") == "aborted"
