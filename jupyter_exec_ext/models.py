"""The nouns: what is asked, what runs, and what became of it (pydantic models).

Requests refuse unknown fields and wrong types, so that a typing error is an answer that names
the field and never a silent default. The words are those of the design document: code block,
environment, session, execution, event, verdict.
"""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from .fields import Module, Name, NewName, Path, Seconds, Title, Variables, no_nul, utf8

__all__ = [
    "ENDED",
    "CodeBlock",
    "Environment",
    "EnvironmentRequest",
    "Execution",
    "ExecutionRequest",
    "InputRequest",
    "Kind",
    "Session",
    "SessionRequest",
    "Status",
    "Verdict",
    "new_id",
    "now",
]

Kind = Literal["kernel", "local", "venv", "sandbox", "docker", "slurm"]
CreatableKind = Literal["venv"]
Isolation = Literal["none", "process", "container"]
Status = Literal["queued", "running", "ok", "failed", "timeout", "cancelled", "oom", "env_error", "lost"]

#: The statuses an execution can end with; it has exactly one of them, once.
ENDED: frozenset[str] = frozenset({"ok", "failed", "timeout", "cancelled", "oom", "env_error", "lost"})

MAX_BLOCKS = 1000


def now() -> str:
    """The time in UTC, RFC 3339, with microseconds."""
    return dt.datetime.now(dt.timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def new_id() -> str:
    """An identifier nobody can guess: 128 random bits in hexadecimal."""
    return secrets.token_hex(16)


class Strict(BaseModel):
    """A request: no unknown fields, no conversion between types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class CodeBlock(Strict):
    """Source text and its language.

    An empty language means: the first language of the environment.
    """

    code: str
    language: Annotated[str, StringConstraints(max_length=64)] = ""

    _text = field_validator("code", "language")(utf8)


class ExecutionRequest(Strict):
    """``POST executions``: run these blocks there.

    `timeout` is in seconds of wall-clock time for the whole execution; `path` is relative to the
    server's root directory.
    """

    environment: Name | None = None
    session: Annotated[str, StringConstraints(max_length=64)] | None = None
    code: str | None = None
    language: Annotated[str, StringConstraints(max_length=64)] | None = None
    code_blocks: Annotated[list[CodeBlock], Field(min_length=1, max_length=MAX_BLOCKS)] | None = None
    markdown: str | None = None
    timeout: Seconds | None = None
    env: Variables = Field(default_factory=dict)
    stdin: str | None = None
    allow_stdin: bool = False
    path: Path | None = None
    stop_on_error: bool = True
    idempotency_key: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None

    _text = field_validator("code", "markdown", "stdin")(lambda text: text and utf8(text))
    _names = field_validator("path", "language", "idempotency_key", "session")(
        lambda text: text and no_nul(text)
    )

    @field_validator("env")
    @classmethod
    def _values(cls, env: dict[str, str]) -> dict[str, str]:
        for value in env.values():
            no_nul(value)
        return env

    @model_validator(mode="after")
    def _one_of_each(self) -> ExecutionRequest:
        sources = [name for name in ("code", "code_blocks", "markdown") if getattr(self, name) is not None]
        if len(sources) != 1:
            raise ValueError("code: give exactly one of code, code_blocks and markdown")
        if self.language is not None and self.code is None:
            raise ValueError("language: goes with code only; a code block has its own")
        if self.environment is not None and self.session is not None:
            raise ValueError("environment: give environment or session, not both")
        if self.path is not None and self.session is not None:
            raise ValueError("path: a session has its own path; leave one of the two out")
        if self.stdin is not None and self.allow_stdin:
            raise ValueError("stdin: give stdin or allow_stdin, not both")
        return self


class SessionRequest(Strict):
    """``POST sessions``; with `kernel_id`, in a kernel that runs already."""

    environment: Name | None = None
    path: Path | None = None
    name: Title | None = None
    kernel_id: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None

    _names = field_validator("path", "name", "kernel_id")(lambda text: text and no_nul(text))

    @model_validator(mode="after")
    def _kernels_only(self) -> SessionRequest:
        if self.kernel_id is not None and not (self.environment or "").startswith("kernel:"):
            raise ValueError("kernel_id: goes with an environment kernel:NAME only")
        return self


class EnvironmentRequest(Strict):
    """``POST environments``: the fields are those its kind takes; see `environments`."""

    kind: CreatableKind
    name: NewName
    display_name: Title | None = None
    python: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    packages: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=500)]], Field(max_length=500)
    ] = Field(default_factory=list)
    requirements: Annotated[str, StringConstraints(max_length=1_000_000)] | None = None
    preload: Annotated[list[Module], Field(max_length=50)] = Field(default_factory=list)

    _names = field_validator("display_name", "python")(lambda text: text and no_nul(text))

    @field_validator("kind", mode="before")
    @classmethod
    def _creatable(cls, kind: object) -> object:
        kinds = get_args(CreatableKind)
        if kind not in kinds:
            raise ValueError(f"cannot be created here; these kinds can: {', '.join(kinds)}")
        return kind

    @model_validator(mode="after")
    def _kinds_agree(self) -> EnvironmentRequest:
        if not self.name.startswith(f"{self.kind}:"):
            raise ValueError(f"name: must be {self.kind}: and a label, for example {self.kind}:analysis")
        return self


class InputRequest(Strict):
    """``POST executions/{id}/input``."""

    value: Annotated[str, StringConstraints(max_length=1_000_000)]

    _text = field_validator("value")(utf8)


class Environment(BaseModel):
    """A named place where code can run."""

    name: str
    kind: Kind
    display_name: str
    languages: list[str] = Field(default_factory=list)
    stateful: bool = False
    isolation: Isolation = "none"
    status: Literal["ready", "preparing", "unavailable"] = "ready"
    reason: str | None = None
    default: bool = False
    spec: dict[str, Any] = Field(default_factory=dict)


class Session(BaseModel):
    """One live instance of an environment, with its workspace and its state."""

    id: str = Field(default_factory=new_id)
    environment: str
    name: str | None = None
    path: str = ""
    status: Literal["starting", "idle", "busy", "dead"] = "starting"
    created_at: str = Field(default_factory=now)
    last_activity: str = Field(default_factory=now)
    kernel_id: str | None = None


class Verdict(BaseModel):
    """How an execution ended and what is left of it.

    `cause` is one sentence for a person; `signal` a name such as ``SIGKILL``; `survivors` how
    many processes of the run were still alive after the stop ladder; `state_kept` whether the
    session can go on as it was; times are in seconds, `max_rss_bytes` is that of the largest
    process, from the kernel's accounting (``wait4``); None where that cannot tell, since all were smaller
    than the supervisor that spawned them.
    """

    cause: str | None = None
    signal: str | None = None
    survivors: int = 0
    state_kept: bool = True
    limits_hit: list[str] = Field(default_factory=list)
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None


class Execution(BaseModel):
    """One request to run one or more code blocks, in order, in a session.

    `output` and `outputs` are filled in where one execution is asked for and in its ``end``
    event; a list leaves them null.
    """

    id: str = Field(default_factory=new_id)
    environment: str
    session: str | None = None
    status: Status = "queued"
    exit_code: int | None = None
    output: str | None = None
    outputs: list[dict[str, Any]] | None = None
    code_blocks: list[CodeBlock] = Field(default_factory=list)
    code_files: list[str] = Field(default_factory=list)
    output_files: list[str] = Field(default_factory=list)
    truncated: bool = False
    verdict: Verdict | None = None
    created_at: str = Field(default_factory=now)
    started_at: str | None = None
    finished_at: str | None = None
    last_event: int = 0

    @property
    def plain(self) -> bool:
        """Whether `output` is without colour codes: of a kernel, whose `outputs` have them."""
        return self.environment.partition(":")[0] == "kernel"

    @property
    def ended(self) -> bool:
        """Whether the status is a final one."""
        return self.status in ENDED
