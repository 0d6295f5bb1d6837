"""What a request comes to, worked out and checked before anything runs.

Everything here raises an `InvalidRequest` that names the field at fault; nothing has a side effect.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, NamedTuple

from ..blocks import extract_markdown, file_name_of
from ..errors import EnvironmentFailed, InvalidRequest, Refused, UnknownLanguage
from ..executors.base import RunOptions
from ..models import CodeBlock, ExecutionRequest

if TYPE_CHECKING:
    from ..environments.base import PythonEnvironment
    from ..languages import Language

__all__ = ["blocks_as_given", "blocks_of", "body_hash", "folder_of", "options_of", "still_there"]


def body_hash(request: ExecutionRequest) -> str:
    """What tells one request body from another, whatever the order of its fields: SHA-256."""
    body = request.model_dump(mode="json", exclude={"idempotency_key"})
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def options_of(request: ExecutionRequest, default_timeout: float, max_timeout: float) -> RunOptions:
    """How to run it.

    Raises
    ------
    InvalidRequest
        A longer timeout was asked for than the server allows.
    """
    return RunOptions(
        timeout=_seconds(request.timeout, default_timeout, max_timeout),
        env=dict(request.env),
        stdin=request.stdin,
        allow_stdin=request.allow_stdin,
        stop_on_error=request.stop_on_error,
    )


def _seconds(asked: float | None, default: float, maximum: float) -> float:
    if asked is None:
        return min(default, maximum)
    if not 0 < asked <= maximum:
        raise InvalidRequest(
            f"A timeout of {asked:g} seconds is not possible; give more than 0 and at most {maximum:g}.",
            field="timeout",
        )
    return asked


def folder_of(root: Path, path: str | None) -> Path:
    """The folder that a request's ``path`` names, links resolved; `root` must be resolved already.

    Raises
    ------
    InvalidRequest
        It is no folder below `root`, also where a link leads out of it.
    """
    if not path:
        return root
    parts = path.split("/")
    if "\0" in path or path.startswith("/") or ".." in parts or _is_windows_absolute(path):
        raise _no_folder(path, "it must be relative to the server's root, without '..' and NUL")
    try:
        folder = Path(os.path.realpath(root.joinpath(*parts), strict=True))
        is_folder = folder.is_dir()
    except (OSError, ValueError, RuntimeError):
        # Not there, a loop of links, no permission, a name that is too long or no text.
        raise _no_folder(path, "there is no such folder") from None
    if not folder.is_relative_to(root):
        raise _no_folder(path, "it leads out of the server's root")
    if not is_folder:
        raise _no_folder(path, "it is a file; name the folder it is in")
    return folder


def still_there(folder: Path, found: Path | None = None) -> None:
    """Raise `EnvironmentFailed` where a link leads elsewhere by now from what `folder_of` returned.

    `found` is what an executor has made of it: it resolves links, too, and a link that was there for an
    instant must not bind a session to what it led to.
    """
    if (_real(folder) if found is None else found) != folder:
        raise EnvironmentFailed(
            f"The working directory {folder} was replaced by a link, or one above it was, and links are not "
            "followed; put the directory back."
        )


def _real(folder: Path) -> Path | None:
    try:
        return Path(os.path.realpath(folder))
    except OSError:
        return None  # it became a link, or another thing, while it was looked at


def _is_windows_absolute(path: str) -> bool:
    return os.name == "nt" and (bool(PureWindowsPath(path).anchor) or ".." in PureWindowsPath(path).parts)


def _no_folder(path: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"Nothing can run in the folder {path[:200]!r}: {why}.", field="path")


def blocks_of(request: ExecutionRequest, environment: PythonEnvironment) -> list[CodeBlock]:
    """The code blocks of a request, each with the language's own name.

    Long Markdown takes a while: keep it off an event loop.

    Raises
    ------
    UnknownLanguage
        The environment does not offer a block's language, or policy refuses it.
    InvalidRequest
        There is no code block in the Markdown, or a block asks for a file name that cannot be.
    """
    environment.check(request)
    known: dict[str, Language] = {}
    return [_admitted(block, fields, environment, known) for fields, block in _given(request)]


def blocks_as_given(request: ExecutionRequest) -> list[CodeBlock]:
    """The code blocks of a request, unchecked: for the record where the environment is away."""
    return [block for _, block in _given(request)]


class _Fields(NamedTuple):
    """What the request calls the two parts of a block."""

    code: str = "code"
    language: str = "language"


def _given(request: ExecutionRequest) -> Iterator[tuple[_Fields, CodeBlock]]:
    """Each block of the request, and where in it that stands."""
    if request.code is not None:
        yield _Fields(), CodeBlock(code=request.code, language=request.language or "")
    elif request.code_blocks is not None:
        for index, block in enumerate(request.code_blocks):
            yield _Fields(f"code_blocks[{index}].code", f"code_blocks[{index}].language"), block
    else:
        for block in _in_markdown(request.markdown or ""):
            yield _Fields("markdown", "markdown"), block


def _in_markdown(markdown: str) -> list[CodeBlock]:
    blocks = extract_markdown(markdown)
    if not blocks:
        raise InvalidRequest("There is no fenced code block in the Markdown text; add one.", field="markdown")
    return blocks


def _admitted(
    block: CodeBlock, fields: _Fields, environment: PythonEnvironment, known: dict[str, Language]
) -> CodeBlock:
    language = known.get(block.language)
    if language is None:
        try:
            language = known[block.language] = _language(environment, block.language.strip())
        except (UnknownLanguage, Refused) as error:
            raise UnknownLanguage(error.message, field=fields.language) from None
    try:
        file_name_of(block, language)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, field=fields.code) from None
    return block.model_copy(update={"language": language.name})


def _language(environment: PythonEnvironment, name: str) -> Language:
    if name:
        return environment.language(name)
    for language in environment.languages().values():
        if language.policy != "refuse":
            return language
    raise UnknownLanguage(f"{environment.name} offers no language at all; use another environment.")
