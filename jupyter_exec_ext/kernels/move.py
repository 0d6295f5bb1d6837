"""How a kernel of IPython gets from the directory it was started in to another, as if it had begun there."""

from __future__ import annotations

import os
from typing import Any

from .connection import KernelConnection
from .silent import run_silently

__all__ = ["SHADOWED", "UNFURNISHED", "hand_over", "starts_again_in"]

#: What the code below prints where it changes nothing.
SHADOWED, UNFURNISHED = "a module may be another there", "it was restarted"

# - Modules that are loaded already come from where a kernel that starts in the other directory might not find
#   them: one that lies here, or whose name somebody has given to a file there. Who imports it must get that
#   one, so that this kernel is of no use there.
# - `sys.path[0]` is "" and follows. What has noted the first directory is told of the new one: IPython for
#   its history of directories, multiprocessing for the start of its children.
# - Nothing is raised, since an exception would leave its trace in `sys.last_value`.
_CODE = """
def _hand_over(here, there):
    import importlib.machinery, os, sys, threading
    inherits = getattr(sys.flags, "thread_inherit_context", False)
    if not (inherits or hasattr(threading.Thread.start, "__wrapped__")):
        return {unfurnished!r}
    if here == there:
        return ""
    loaded = {{name: module for name, module in list(sys.modules.items()) if "." not in name}}
    try:
        names = {{name.split(".")[0] for name in os.listdir(there)}}
    except OSError:
        return {shadowed!r}
    files = [getattr(module, "__file__", None) for module in loaded.values()]
    files += [path for module in loaded.values() for path in getattr(module, "__path__", ())]
    folders = {{os.path.dirname(file) for file in files if isinstance(file, str)}} | {{*sys.path}} - {{""}}
    find = importlib.machinery.PathFinder.find_spec
    found = [find(name, [there]) for name in names & loaded.keys()]
    # A folder that is no package has no origin, and is found by nobody where there is a module.
    if here in map(os.path.realpath, folders) or any(spec and spec.origin for spec in found):
        return {shadowed!r}
    os.chdir(there)
    shell = get_ipython()
    shell.starting_dir = there
    visited = shell.history_manager.dir_hist
    visited[:] = [type(folder)(there) for folder in visited]
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None:
        processes.ORIGINAL_DIR = there
    return ""
try:
    print(_hand_over({here!r}, {there!r}), end="")
finally:
    del _hand_over
"""


async def hand_over(
    connection: KernelConnection, here: str | os.PathLike[str], there: str | os.PathLike[str]
) -> str:
    """Move a furnished kernel of IPython; returns why not, where it stays as it was, and else "".

    Also where it need not move, the answer says that it is well. Raises `ExecError` where it is not.
    """
    code = _CODE.format(
        here=os.fspath(here), there=os.fspath(there), shadowed=SHADOWED, unfurnished=UNFURNISHED
    )
    return await run_silently(connection, code)


def starts_again_in(manager: Any, folder: str | os.PathLike[str]) -> bool:
    """Let a kernel begin in that directory when anybody restarts it; False where that cannot be had.

    Its manager starts it again with the arguments of the first start, which it keeps for that. What a gateway
    starts does not see our directories at all.
    """
    arguments = getattr(manager, "_launch_args", None)
    if getattr(manager, "kernel_url", None) or not isinstance(arguments, dict):
        return False
    arguments["cwd"] = os.fspath(folder)
    return True
