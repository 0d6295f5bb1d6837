"""`KernelQuestions`: what a program in a kernel asks, and what it is answered."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import Conflict
from ..events import Event
from ..kernels.wire import Message
from .kernelshown import as_text

__all__ = ["KernelQuestions"]

#: What ipykernel reads as the end of the input.
END_OF_INPUT = "\x04"


class KernelQuestions:
    """Answers questions from a text, line by line, or has them asked.

    Parameters
    ----------
    text : str, optional
        The standard input; else they are asked.
    answer : callable
        Sends an answer to the kernel.
    wake : callable
        Is called when there is a question to be asked.
    """

    def __init__(
        self, text: str | None, answer: Callable[[Message, str], None], wake: Callable[[], None]
    ) -> None:
        self._text, self._lines = text, iter((text or "").splitlines())
        self._answer, self._wake = answer, wake
        self._asked: Message | None = None
        self._questions: list[Event] = []

    def take(self, message: Message) -> None:
        """Take a question."""
        self._asked = message
        if self._text is not None:
            self.answer(next(self._lines, END_OF_INPUT))
            return
        prompt = as_text(message.content.get("prompt"))
        secret = bool(message.content.get("password"))
        self._questions.append(Event("input_request", {"prompt": prompt[:10_000], "password": secret}))
        self._wake()

    def fetch(self) -> list[Event]:
        """The questions that have come since the last time."""
        questions, self._questions = self._questions, []
        return questions

    def answer(self, value: str) -> None:
        """Answer the last question. Raises `Conflict` where there is none."""
        asked, self._asked = self._asked, None
        if asked is None:
            raise Conflict("The program does not ask for input; wait for an input_request.")
        self._answer(asked, value)
