"""Code of ours in a kernel, which leaves no trace of itself there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .wire import Message

if TYPE_CHECKING:
    from .connection import KernelConnection

__all__ = ["run_silently"]


async def run_silently(connection: KernelConnection, code: str) -> str:
    """Run code that counts as no cell; returns what it printed, with the name of the error it ended with.

    Raises `ExecError` where the kernel goes away meanwhile.
    """
    said: list[str] = []

    def take(message: Message) -> None:
        if message.type in ("stream", "error"):
            said.append(str(message.content.get("text") or message.content.get("ename")))

    request = await connection.execute(code, take, silent=True, store_history=False)
    await request.ended
    return "".join(said)
