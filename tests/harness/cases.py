"""Cases as data: a folder with the blocks and an ``expect.yaml``, and what can be written there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

__all__ = ["CONTAINER", "KERNEL", "OWN", "PLACES", "Case", "Expectation", "all_cases"]

FOLDER = Path(__file__).parents[1] / "cases"

#: The places in which a case may expect something else, or may not run at all: see `Case`.
KERNEL, CONTAINER = OWN = ("kernel", "container")

#: Where a case runs. ``library`` is the executor without a server; in ``subreaper`` there are no
#: PID namespaces for runs; in ``limited`` and ``limited-venv`` runs have limits; in ``kernel`` the
#: blocks are cells of a fresh kernel of IPython; in ``container`` the executor without a server has a
#: container, for each case that runs in ``library``.
PLACES = ("local", "venv", "library", "subreaper", "limited", "limited-venv", KERNEL, CONTAINER)
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
    answer names; `kept` how many processes go on until the session ends; `late` whether output may come after
    the end; `next` what a `print("next")` afterwards in the same session comes to.
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
    kept: int = 0
    late: bool = False
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
    not_in : dict
        Of `OWN`, where it makes no sense, and why, in a sentence. In ``expect.yaml`` that is said under the
        place's name, which is otherwise what is different there: everything that can be written, ``expect``
        item by item.
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
    not_in: Mapping[str, str] = field(default_factory=dict)

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
    for variant, change in variants.items():
        name, merged = f"{folder.name}-{variant}".rstrip("-"), _merged(data, change)
        different = {place: merged.pop(place, {}) for place in OWN}
        reasons = {place: said for place, said in different.items() if isinstance(said, str)}
        yield _case(folder, name, {**merged, "not_in": reasons})
        places = merged.get("places", _USUAL)
        for place in different.keys() - reasons:
            if (place == KERNEL and KERNEL not in places) or (place == CONTAINER and "library" in places):
                yield _case(folder, name, {**_merged(merged, different[place]), "places": [place]})


def _merged(data: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The data with the change; what is expected, and what is said of the kernel, item by item."""
    both = [key for key in ("expect", *OWN) if isinstance(data.get(key), dict) and key in change]
    nested = {key: _merged(data[key], change[key]) for key in both if isinstance(change[key], dict)}
    return {**data, **change, **nested}


def _case(folder: Path, name: str, data: dict[str, Any]) -> Case:
    replace = {f"@{key}@": value for key, value in data.pop("replace", {}).items()}
    data = _replaced(data, replace)
    request = {"timeout": 20.0, **data.pop("request", {})}
    blocks = _replaced(_blocks(folder, data), replace)
    expect = {key: _tuple(key, value) for key, value in data.pop("expect", {}).items()}
    if (
        "exit_code" not in expect
        and expect.get("refused") is None
        and expect.get("status", ("ok",)) == ("ok",)
    ):
        expect["exit_code"] = (0,)
    places = tuple(data.pop("places", _USUAL))
    assert set(places) <= set(PLACES), f"{name}: {places}"
    data["answers"] = tuple(data.pop("answers", ()))
    return Case(
        name, request={**request, "code_blocks": blocks}, expect=Expectation(**expect), places=places, **data
    )


def _blocks(folder: Path, data: dict[str, Any]) -> list[dict[str, str]]:
    """What the data names, or every file of the folder that is a block, as often as it says."""
    files = sorted(file.name for file in folder.iterdir() if file.suffix in _LANGUAGES)
    return [_block(folder, item) for item in data.pop("blocks", None) or files] * data.pop("times", 1)


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
