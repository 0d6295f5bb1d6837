"""`LocalCommandLineCodeExecutor`: code blocks on this machine, with the server user's rights."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from traitlets.log import get_logger

from .. import supervisor
from ..environments.base import PythonEnvironment
from ..supervisor.client import SupervisorClient
from ..supervisor.reports import Ready
from ..text import one_line
from .base import check_folder
from .commandline import GRACE, OUTPUT_LIMIT, CommandLineCodeExecutor
from .containment import containment
from .printing import printing
from .quietpip import counts

__all__ = ["LocalCommandLineCodeExecutor"]

_PROGRAM = Path(supervisor.__file__).with_name("main.py")


class LocalCommandLineCodeExecutor(CommandLineCodeExecutor):
    """Runs blocks on this machine: in the system's Python or in a virtual environment.

    Nothing is isolated: a block can do what the server's user can do. What is bounded is its
    life (the stop ladder), its output and its limits.

    Parameters
    ----------
    environment, workspace, private, output_limit, grace, fork
        As `CommandLineCodeExecutor`.
    namespace : bool
        Whether to use a PID namespace where the machine offers one.
    portable : bool
        Whether to use the supervisor's loop for systems without fork on any system: so it is tested.
    """

    def __init__(
        self,
        environment: PythonEnvironment,
        workspace: str | os.PathLike[str],
        private: str | os.PathLike[str] | None = None,
        *,
        output_limit: int = OUTPUT_LIMIT,
        grace: tuple[float, float] = GRACE,
        fork: bool = True,
        namespace: bool = True,
        portable: bool = False,
    ) -> None:
        super().__init__(environment, workspace, private, output_limit=output_limit, grace=grace, fork=fork)
        # The portable loop asks nothing of namespaces and guards: Windows has neither.
        self._namespace, self._portable = namespace and not portable, portable

    async def _connect(self, private: Path) -> SupervisorClient:
        check_folder(self.workspace)
        python = self.environment.get_executable()
        kept = await containment(namespace=self._namespace)
        config = {
            "workspace": str(self.workspace),
            "private": str(private),
            "preload": list(self.environment.preload),
            "guard": kept.guard and not self._portable,
            "portable": self._portable,
        }
        variables = self.variables = await asyncio.to_thread(self.environment.variables)
        self.pip_counts = await asyncio.to_thread(counts, Path(python))
        client = await SupervisorClient.start(
            [*kept.prefix, python, "-u", str(_PROGRAM), json.dumps(config)],
            env={**variables, **printing(variables)},
            cwd=str(self.workspace),
        )
        self._warn_of(client.ready)
        return client

    def _warn_of(self, ready: Ready) -> None:
        """Warn of what is wrong with preloaded modules: once, since every session would say the same."""
        name = self.environment.name
        problems = {
            module: f"{name} could not preload {one_line(module)[:200]}, and starts without it: "
            f"{one_line(problem)[:300]}"
            for module, problem in ready.problems.items()
        }
        for module in ready.holds:
            problems[module] = (
                f"{name} does not fork its Python blocks, but spawns them, which is slower: the preloaded "
                f"module {one_line(module)[:200]} holds a file or socket open."
            )
        known, self.environment.preload_problems = self.environment.preload_problems, problems
        for module, problem in problems.items():
            if known.get(module) != problem:
                get_logger().warning("%s", problem)
