"""What shows that a program ran out of memory: where a limit refuses it, only the program itself knows.

A refused allocation is no signal and no exit code of its own, and leaves the program far below its
limit where it asked for much at once. So what it printed is read; but many a program speaks of memory
and fails for another reason. Words alone count for nothing: they must be a runtime's last ones, and
it must have ended as that runtime does then.
"""

from __future__ import annotations

import re
import signal

__all__ = ["ran_out_of_memory"]

#: Part of the limit from which on words are enough: it did hold as much as it may.
NEAR = 0.9
#: After the words a shell may say which program they were from, and an interpreter where it was.
LAST_LINES = 3

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_WORDS = re.compile(
    r"MemoryError|bad_alloc|[Aa]llocation failed|[Cc]annot allocate|[Oo]ut of memory|ENOMEM|memory exhausted"
    r"|memory allocation of"
)

# The end of a traceback of CPython: the frames are indented, the error is not. Notes and further lines
# of its message may follow, but neither an empty line nor another traceback does.
_TRACEBACK = re.compile(
    r'^  File "[^\n]*\n(?:  [^\n]*\n)*'
    r"(?:MemoryError|numpy\._?core\._exceptions\._?(?:Array)?MemoryError|pyarrow\.lib\.ArrowMemoryError)"
    rf"(?::[^\n]*)?(?:\n(?!Traceback |  )[^\n]+){{0,{LAST_LINES}}}\Z",
    re.MULTILINE,
)

# A traceback of an ExceptionGroup: each of its errors has one of its own, behind a bar and between rules.
_GROUP = re.compile(r"^  \+ Exception Group Traceback ", re.MULTILINE)
_GROUP_END = re.compile(r"^ +\+-+\Z", re.MULTILINE)
_GROUP_RULE = re.compile(r"^ +(?:\+-)?\+-[-.\d ]*$", re.MULTILINE)
_GROUP_BAR = re.compile(r"^ +\| ?", re.MULTILINE)

# Runtimes that crash print these, and then much else: V8, C++, CPython, Rust.
_CRASHES = re.compile(
    r"^(?:FATAL ERROR: .*(?:[Aa]llocation failed|out of memory)|# Fatal .*out of memory"
    r"|terminate called after throwing an instance of 'std::bad_alloc'"
    r"|Fatal Python error: .*memory|memory allocation of \d+ bytes failed)",
    re.MULTILINE,
)
_CRASHED = {
    128 + int(getattr(signal, name))
    for name in ("SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGKILL", "SIGSEGV")
    if hasattr(signal, name)
}

# And these end with an exit code of their own; a shell's last command hands its code on.
_ERRORS: tuple[tuple[re.Pattern[str], frozenset[int]], ...] = tuple(
    (re.compile(pattern, re.MULTILINE), frozenset(codes))
    for pattern, codes in (
        (r"\b(?:xm|xre)alloc: cannot allocate \d+ bytes", (2,)),  # bash
        (r"\bfork: Cannot allocate memory$", (1, 2, 126, 254)),  # bash, dash
        (r"^cannot allocate TLS data structures", (127,)),  # the C library's loader
        (r"^Out of memory(?:!| in perl)", (1, 12)),
        (r": memory exhausted$", (1, 2)),  # GNU programs
        (r"(?::|\[Errno 12\]) Cannot allocate memory", (1, 2)),  # perror(3), CPython
        (r"^fatal error: runtime: (?:out of memory|cannot allocate memory)", (2,)),  # Go
    )
)
# R ends with 1 as everything does, so that these words are its own only where it runs.
_R = re.compile(r"[Cc]annot allocate (?:vector|memory block) of size")
# So does Node.js, where it is refused one large piece; its uncaught errors end with its own version.
_NODE = re.compile(
    r"^RangeError: Array buffer allocation failed\n(?:    at [^\n]*\n)*\s*Node\.js v\S+\Z", re.MULTILINE
)


def ran_out_of_memory(code: int, rss: int, limit: int, printed: str, language: str = "") -> bool:
    """Whether a run that did not end well wanted more memory than it may have.

    Parameters
    ----------
    code : int
        Its exit code, or 128 + signal.
    rss, limit : int
        The most memory that one of its processes had, and the limit of one, in bytes.
    printed : str
        The end of its standard error.
    language : str
        Its name.
    """
    if not _WORDS.search(printed):
        return False
    text = _COLOURS.sub("", printed).rstrip()
    if rss >= NEAR * limit or (code == 1 and any(map(_TRACEBACK.search, _errors(text)))):
        return True
    last = "\n".join(text.splitlines()[-LAST_LINES:])
    if code in _CRASHED and (_WORDS.search(last) or _CRASHES.search(text)):
        return True
    if code == 1 and (_R.search(last) if language == "r" else _NODE.search(text)):
        return True
    return any(code in codes and pattern.search(last) for pattern, codes in _ERRORS)


def _errors(text: str) -> list[str]:
    """What may end with the error that ended a Python program: all of it, or each error of a group."""
    if not _GROUP_END.search(text):
        return [text]
    group = _GROUP.split(text)[-1]
    return [_GROUP_BAR.sub("", part).rstrip() for part in _GROUP_RULE.split(group)]
