"""Cases as data: a folder with the blocks and an ``expect.yaml``, and what can be written there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

__all__ = ["PLACES", "Case", "Expectation", "all_cases"]

FOLDER = Path(__file__).parents[1] / "cases"

#: Where a case runs. ``library`` is the executor without a server; in ``subreaper`` there are no
#: PID namespaces for runs; in ``limited`` and ``limited-venv`` runs have limits.
PLACES = ("local", "venv", "library", "subreaper", "limited", "limited-venv")
_USUAL = ("local", "venv", "library")

_LANGUAGES = {".py": "python", ".sh": "bash", ".js": "javascript", ".html": "html"}


@dataclass(frozen=True)
class Expectation:
    """What must happen, on top of what must happen in every case.

    `status` is one or several that may be; `output` all of it, or `begins`, `ends`, `has` and
    `lacks` parts of it; `streams` all of a stream; `least` and `most` how long it is in
    characters; `cause` and `limits_hit` what the verdict says; `within` seconds until the end;
    `files` the workspace's, path to type; `contents` of some of them; `denied` those that must not
    be served; `asked` the prompts; `refused` the status of a request that is not accepted, `field` what its
    answer names; `next` what a `print("next")` afterwards in the same session comes to.
    """

    status: tuple[str, ...] = ("ok",)
    exit_code: tuple[int | None, ...] | None = None
    signal: str | None = None
    output: str | None = None
    begins: str = ""
    ends: str = ""
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    streams: Mapping[str, str] = field(default_factory=dict)
    least: int = 0
    most: int = 9 * 1024 * 1024
    cause: tuple[str, ...] = ()
    limits_hit: tuple[str, ...] = ()
    truncated: bool | None = False
    within: float | None = None
    files: Mapping[str, str] | None = None
    more_files: bool = False
    contents: Mapping[str, str] = field(default_factory=dict)
    denied: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    refused: int | None = None
    field: str | None = None
    next: str = "ok"


@dataclass(frozen=True)
class Case:
    """One small program, or one fault, in one place.

    Parameters
    ----------
    name : str
        Its folder's, and that of a variant.
    says : str
        What it is about, in a sentence.
    request : dict
        The request's fields, the blocks among them.
    expect : Expectation
    places : tuple of str
    path : str
        The workspace, relative to the server's root; a new one for the case where it is empty.
    copies : int
        How many sessions run it at once; ``@COPY@`` in a block is the number of each.
    when : dict
        ``printed``: a text; ``do``: what then happens, which is ``cancel`` or ``interrupt``.
    answers : tuple of str
        What is answered to the program's questions.
    """

    name: str
    says: str
    request: dict[str, Any]
    expect: Expectation
    places: tuple[str, ...]
    path: str = ""
    copies: int = 1
    when: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[str, ...] = ()

    def request_of(self, copy: int) -> dict[str, Any]:
        """The request of one of the copies."""
        return _replaced(self.request, {"@COPY@": str(copy)})  # type: ignore[no-any-return]


def all_cases() -> Iterator[Case]:
    """Every case, each variant of it on its own."""
    for folder in sorted(FOLDER.iterdir()):
        if (folder / "expect.yaml").exists():
            yield from _read(folder)


def _read(folder: Path) -> Iterator[Case]:
    data = yaml.safe_load((folder / "expect.yaml").read_text(encoding="utf-8"))
    variants = data.pop("variants", {"": {}})
    for name, change in variants.items():
        merged = {**data, **change, "expect": {**data.get("expect", {}), **change.get("expect", {})}}
        replace = {f"@{key}@": value for key, value in merged.pop("replace", {}).items()}
        yield _case(folder, f"{folder.name}-{name}".rstrip("-"), _replaced(merged, replace), replace)


def _case(folder: Path, name: str, data: dict[str, Any], replace: dict[str, Any]) -> Case:
    files = data.pop("blocks", None) or sorted(
        file.name for file in folder.iterdir() if file.suffix in _LANGUAGES
    )
    blocks = [_block(folder, item) for item in files] * data.pop("times", 1)
    request = _replaced({"timeout": 20.0, **data.pop("request", {}), "code_blocks": blocks}, replace)
    expect = {key: _tuple(key, value) for key, value in data.pop("expect", {}).items()}
    if "exit_code" not in expect and "refused" not in expect and expect.get("status", ("ok",)) == ("ok",):
        expect["exit_code"] = (0,)
    places = tuple(data.pop("places", _USUAL))
    assert set(places) <= set(PLACES), f"{name}: {places}"
    answers = tuple(data.pop("answers", ()))
    return Case(name, request=request, expect=Expectation(**expect), places=places, answers=answers, **data)


def _block(folder: Path, item: Any) -> dict[str, str]:
    """A file, or ``{language, code}``, or ``{language, begin, fill, count, end}`` for a long one."""
    if isinstance(item, str):
        file = folder / item
        return {"language": _LANGUAGES[file.suffix], "code": file.read_text(encoding="utf-8")}
    if "fill" in item:
        code = item.get("begin", "") + item["fill"] * item["count"] + item.get("end", "")
        return {"language": item["language"], "code": code}
    return dict(item)


def _replaced(data: Any, words: Mapping[str, Any]) -> Any:
    """The data with words replaced in its texts; a text that is one such word becomes its value."""
    if isinstance(data, dict):
        return {key: _replaced(value, words) for key, value in data.items()}
    if isinstance(data, list):
        return [_replaced(value, words) for value in data]
    if not isinstance(data, str):
        return data
    if data in words:
        return words[data]
    for word, value in words.items():
        data = data.replace(word, str(value))
    return data


_TUPLES = {"status", "exit_code", "has", "lacks", "cause", "limits_hit", "denied", "asked"}


def _tuple(key: str, value: Any) -> Any:
    if key not in _TUPLES:
        return value
    return tuple(value) if isinstance(value, list) else (value,)
