"""The manager: who runs what, when, for how long, and how it ends.

`ExecutionManager` owns every execution. It checks a request (`admission`), gives it its turn
(`schedule`), runs it in a session (`session`, whose executor is an `instance`) and sees to it that
it has one end (`execution`), whatever the executor does (`deadlines`).
"""

from .deadlines import Patience
from .executionmanager import ExecutionManager
from .instance import HasFiles

__all__ = ["ExecutionManager", "HasFiles", "Patience"]
