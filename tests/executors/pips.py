"""What the tests of pip in a block share."""

from __future__ import annotations

from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock


async def output(
    executor: LocalCommandLineCodeExecutor, code: str, language: str = "bash", **env: str
) -> tuple[str, int | None]:
    block = CodeBlock(code=code, language=language)
    result = await executor.execute_code_blocks([block], RunOptions(env={"PIP_NO_INDEX": "1", **env}))
    return result.output, result.exit_code
