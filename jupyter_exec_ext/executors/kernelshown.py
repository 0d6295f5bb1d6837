"""What a kernel shows, made valid: whatever it sends, the outputs are nbformat's and have a form in JSON."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from .. import text as texts
from ..kernels.heavy import shortened

__all__ = ["as_text", "error_of", "note_of", "shown_of", "size_of", "within", "writable"]

#: How deep what is shown may be nested: Python's own limit depends on where it is read, others have theirs.
DEPTH = 200
#: What nbformat lets have any form; all else is text.
_JSON = re.compile(r"application/(.*\+)?json")


def shown_of(kind: str, content: dict[str, Any]) -> tuple[dict[str, Any] | None, bool]:
    """The data of a display's event, None where it shows nothing; and whether a part was too deep for it."""
    data, metadata, transient = (content.get(name) for name in ("data", "metadata", "transient"))
    if not isinstance(data, dict):
        return None, False
    forms, cut = _bundle(data)
    shown: dict[str, Any] = {"data": forms, "metadata": _mapping(metadata)}
    if kind == "execute_result":
        count = content.get("execution_count")
        valid = isinstance(count, int) and not isinstance(count, bool) and count >= 0
        shown["execution_count"] = count if valid else None
    if named := _mapping(transient):
        shown["transient"] = named
    return shown, cut


def _mapping(value: Any) -> dict[str, Any]:
    try:
        return dict(writable(value)) if isinstance(value, dict) else {}
    except RecursionError:
        return {}


def _bundle(data: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The forms of a display by their types; null is none, and what is too deep is told of."""
    forms: dict[str, Any] = {}
    deep: list[str] = []
    for name, value in data.items():
        name = str(writable(name))
        try:
            if value is not None:
                forms[name] = _form(name, value)
        except RecursionError:
            deep.append(name)
    if deep:
        _note(forms, f"it is nested more than {DEPTH} deep", deep)
    return forms, bool(deep)


def _note(forms: dict[str, Any], why: str, names: list[str]) -> None:
    """Say below the text of a display what is not there."""
    note = f"[left out, since {why}: {shortened(', '.join(names), 1000)}]"
    text = forms.get("text/plain")
    forms["text/plain"] = f"{text}\n{note}" if isinstance(text, str) else note


def _form(name: str, value: Any) -> Any:
    if isinstance(value, str) or _JSON.fullmatch(name):
        return writable(value)
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return writable(value)  # lines, as nbformat has it
    return json.dumps(writable(value), ensure_ascii=False)


def as_text(value: Any) -> str:
    """The same as text: that of what is none in JSON, and of null none."""
    if isinstance(value, str):
        return value if value.isascii() else texts.shown(value)
    try:
        return "" if value is None else json.dumps(writable(value), ensure_ascii=False)
    except RecursionError:
        return f"[left out, since it is nested more than {DEPTH} deep]"


def error_of(content: dict[str, Any], length: int) -> tuple[dict[str, Any], bool]:
    """An error with texts of that length at most, and fewer lines the less it is; and whether it is cut.

    The last lines are kept, too, since they name the error.
    """
    value, lines = as_text(content.get("evalue")), content.get("traceback")
    lines = [as_text(line) for line in lines] if isinstance(lines, list) else []
    half = max(1, length // 400)
    kept = lines if len(lines) <= 2 * half else lines[:half] + lines[-half:]
    data = {
        "ename": as_text(content.get("ename"))[:1000],
        "evalue": shortened(value, length),
        "traceback": [shortened(line, length) for line in kept],
    }
    return data, len(kept) < len(lines) or any(len(text) > length for text in (value, *lines))


def writable(value: Any, depth: int = DEPTH) -> Any:
    """The same, without what JSON cannot hold: lone surrogates, and numbers that are none.

    Raises RecursionError where it is nested deeper than that.
    """
    if isinstance(value, str):
        return value if value.isascii() else texts.shown(value)
    if isinstance(value, (dict, list)):
        if depth <= 0:
            raise RecursionError
        if isinstance(value, list):
            return [writable(item, depth - 1) for item in value]
        return {writable(str(name)): writable(item, depth - 1) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def size_of(value: Any) -> int:
    """Bytes of a value as JSON."""
    return len(json.dumps(value, default=str))


def within(shown: dict[str, Any], limit: int) -> dict[str, Any]:
    """A display with the forms that are small enough; the text says which are not there."""
    data, most = shown["data"], limit // 4
    sizes = {name: size_of(value) for name, value in data.items()}
    kept = {name: value for name, value in data.items() if sizes[name] <= most}
    left_out = [f"{name} of {sizes[name]:,} bytes" for name in data if name not in kept]
    if size_of(shown["metadata"]) > most:
        shown = {**shown, "metadata": {}}
        left_out.append("metadata")
    if left_out:
        _note(kept, f"it is over the limit of {limit:,} bytes for a display", left_out)
    return {**shown, "data": kept}


def note_of(note: str) -> dict[str, Any]:
    """The data of a display of nothing but a note."""
    return {"data": {"text/plain": note}, "metadata": {}}
