"""What a supervisor may say, and how much of it: the shapes of its control frames (the server's end).

What comes from a supervisor is untrusted: it may be the program of a container, or have been
taken over by a block. Nothing in here is of unlimited size.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ProtocolError
from ..text import one_line

__all__ = [
    "Asks",
    "Done",
    "Dropped",
    "Dropping",
    "Entries",
    "Entry",
    "Ready",
    "Refusal",
    "Report",
    "Size",
    "Started",
    "lied",
    "no_protocol",
    "read",
]

#: The largest number a counter may show: what SQLite and JavaScript's callers still take.
MOST = 2**53
Count = Annotated[int, Field(ge=0, le=MOST)]
Seconds = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Path = Annotated[str, Field(max_length=8192)]

M = TypeVar("M", bound=BaseModel)


class Said(BaseModel):
    """What may be said, and nothing else: what nobody asked for could be of any cost."""

    model_config = ConfigDict(extra="forbid")


class Ready(Said):
    """What a supervisor says of itself when it has started."""

    version: int
    guarantee: str = Field(max_length=40)
    pid: int = Field(gt=0)
    python: str = Field(max_length=40)
    problems: dict[str, str] = Field(default_factory=dict, max_length=1000)
    holds: list[str] = Field(default_factory=list, max_length=1000)
    fork: bool = False


class Started(Said):
    """A run has begun, or its file is saved; `path` is that file."""

    path: Path


class Asks(Said):
    """The program waits for input; the prompt is what it printed last, of which `Output` keeps so much."""

    prompt: str = Field(max_length=1000)


class Dropping(Said):
    """Output is over the limit; so many bytes of it are dropped by now."""

    dropped: Count


class Dropped(Dropping):
    """Here, between head and tail, so many bytes of so many were dropped."""

    total: Count


class Report(Said):
    """How a run ended; times in seconds, `rss` and `total` in bytes; `spoiled` is its supervisor."""

    exit: int | None = Field(default=None, ge=0, le=2**32)
    signal: int | None = Field(default=None, ge=1, le=64)
    stopped: Literal["timeout", "cancelled"] | None = None
    survivors: int = Field(default=0, ge=0, le=10_000_000)
    wall: Seconds
    cpu: Seconds
    rss: Count
    total: Count
    oom_kills: Count = 0
    problem: str | None = Field(default=None, max_length=10_000)
    spoiled: bool = False


class Refusal(Said):
    """What was asked for was not done."""

    message: str = Field(max_length=100_000)
    reason: str | None = Field(default=None, max_length=40)


class Entry(Said):
    """Something in a workspace; `size` in bytes, `modified` in seconds since 1970.

    A path that is not UTF-8 is `encoded` as well, by percent signs as in a URL.
    """

    path: Path
    encoded: Annotated[str, Field(max_length=16384, pattern=r"^[A-Za-z0-9._~%/-]+$")] | None = None
    type: Literal["file", "directory", "link", "other"]
    size: Count
    modified: float = Field(ge=-1e12, le=1e12, allow_inf_nan=False)


class Entries(Said):
    """A piece of a list."""

    entries: list[Entry] = Field(max_length=10_000)


class Size(Said):
    """A file is opened, and has so many bytes; 0 also where that cannot be known."""

    size: Count


class Done(Said):
    """What was asked for is done; a list may have `more` than the `limit`."""

    more: bool = False
    limit: Count = 0


def lied(deed: str) -> ProtocolError:
    """The error for a supervisor that does what one that is honest does not."""
    return ProtocolError(f"The session's supervisor {deed}; the session was ended.")


def no_protocol(where: str = "") -> ProtocolError:
    """The error for what is not in the protocol."""
    return lied(f"sent something that is not its protocol{where}")


def read(shape: type[M], fields: dict[str, Any]) -> M:
    """The fields of a control frame, in their shape. Raises `ProtocolError` where they have another."""
    try:
        return shape.model_validate({name: value for name, value in fields.items() if name != "op"})
    except ValidationError as error:
        names = error.errors(include_input=False)[0]["loc"]  # what nobody asked for has a name of its choice
        where = one_line(".".join(str(part) for part in names)[:100])
        raise no_protocol(f" ({shape.__name__.lower()}: {where or 'fields'})") from None
