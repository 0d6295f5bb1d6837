"""Reading requests: what is wrong with one becomes an error that names the field."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from ..errors import InvalidRequest, UnknownEnvironment

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    Model = TypeVar("Model", bound=BaseModel)

#: What Jupyter itself reads from the query of any request.
JUPYTER_NAMES = frozenset({"token", "_xsrf", "no_track_activity"})

#: JupyterLab appends the time in milliseconds, without a value, so that nothing is cached.
_CACHE_BUSTER = re.compile(r"[0-9]{1,20}")
_FAULTS_LISTED = 100
#: Values that a body may consist of: more than any request needs, and few enough to be read in an instant.
MOST_VALUES = 20_000
_PIECE = 64 * 1024

#: The largest integer that every JSON reader keeps exact.
BIGGEST = 2**53 - 1


def parse_body(model: type[Model], body: bytes) -> Model:
    """Read a JSON body as a request.

    Raises
    ------
    InvalidRequest
        With the first field that is wrong, or given twice; ``body`` where it is no JSON object at all.
    UnknownEnvironment
        Where that is `environment`, with text that is not the name of one.
    """
    from pydantic import ValidationError

    values, names = _weigh(body)
    if values > MOST_VALUES:
        # Reading millions of them takes seconds, in which the whole server would stand still.
        raise InvalidRequest(f"body: has more than {MOST_VALUES:,} values; send fewer.", field="body")
    try:
        request = model.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error) from None
    if names > _names(request):  # only now is the body read once more, which may take a while
        raise _repeated(body)
    return request


def _weigh(body: bytes) -> tuple[int, int]:
    """How many values there are in a text of JSON, nearly, and how many of them have a name."""
    values = names = 0
    for outside in _outside(body):
        values += sum(map(outside.count, (b",", b"[", b"{")))
        names += outside.count(b":")
    return values, names


def _outside(body: bytes) -> Iterator[bytes]:
    """What is in a text of JSON but its strings.

    It is looked through piece by piece, since a copy of all of it would be as large as the body.
    """
    rest, within = b"", 0
    for start in range(0, len(body), _PIECE):
        piece = rest + body[start : start + _PIECE]
        rest = b"\\" if (len(piece) - len(piece.rstrip(b"\\"))) % 2 else b""  # it escapes what comes next
        plain = piece[: len(piece) - len(rest)].replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = plain.split(b'"')
        yield b"".join(parts[within::2])
        within ^= 1 - len(parts) % 2  # an odd number of quotation marks ends within a string, or leaves one


def _names(value: Any) -> int:
    """How many names a request gives, its own and those in it."""
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in value.model_fields_set}
    if isinstance(value, dict):
        return len(value) + sum(map(_names, value.values()))
    return sum(map(_names, value)) if isinstance(value, list) else 0


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON as it is written: a name may come twice."""


def _repeated(body: bytes) -> InvalidRequest:
    """The refusal of a body that gives a name twice: which of the two was meant, nobody can know."""
    field = _path(next(_twice(json.loads(body, object_pairs_hook=_Pairs), ()), ())) or "body"
    return InvalidRequest(f"{field}: is given more than once; give it once.", field=field)


def _twice(value: Any, place: tuple[int | str, ...]) -> Iterator[tuple[int | str, ...]]:
    """Where a name is given again."""
    pairs: Iterable[tuple[int | str, Any]] = value if isinstance(value, _Pairs) else enumerate(value)
    seen = set()
    for name, inner in pairs:
        if name in seen:
            yield (*place, name)
        seen.add(name)
        if isinstance(inner, list):
            yield from _twice(inner, (*place, name))


def _path(place: Iterable[int | str]) -> str:
    """A place in a body, as it is written."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)[1:201]


def _refusal(error: ValidationError) -> InvalidRequest:
    # A body of nothing but unknown fields has millions of faults, and listing them takes seconds.
    if error.error_count() > _FAULTS_LISTED:
        return InvalidRequest(
            f"The body has {error.error_count()} wrong or unknown fields; see the REST documentation.",
            field="body",
        )
    fault = error.errors(include_url=False, include_input=False)[0]
    place = fault["loc"]
    if place[-1:] == ("[key]",):
        place = place[:-2]  # a name of the sender's is wrong, and names nothing
    field = _path(place)
    text = fault["msg"]
    if fault["type"] == "extra_forbidden":
        text = "there is no such field in this request; check its spelling"
    elif fault["type"] == "value_error":
        text = str(fault["ctx"]["error"])
        if not field:
            field, _, text = text.partition(": ")
    field = field or "body"
    # A name that no environment can have is that of none; what is no text at all is no name.
    unknown = fault["loc"] == ("environment",) and fault["type"] != "string_type"
    kind = UnknownEnvironment if unknown else InvalidRequest
    return kind(f"{field}: {text[:1].lower()}{text[1:]}.", field=field)


def parse_empty(body: bytes) -> None:
    """Accept no body, or ``{}``.

    Raises
    ------
    InvalidRequest
        Where there is anything else.
    """
    if body.strip() not in (b"", b"{}"):
        raise InvalidRequest("body: this request takes none; leave it empty.", field="body")


class Query:
    """The query of one request: only known names, each at most once.

    Parameters
    ----------
    arguments : mapping
        Names and their values, as tornado parsed them.
    names : frozenset
        The names this verb takes.
    """

    def __init__(self, arguments: Mapping[str, list[bytes]], names: frozenset[str]) -> None:
        self._values: dict[str, str] = {}
        for name, values in arguments.items():
            if name not in names | JUPYTER_NAMES and not (_CACHE_BUSTER.fullmatch(name) and values == [b""]):
                shown = name[:100].encode("ascii", "backslashreplace").decode()
                raise InvalidRequest(
                    f"{shown}: there is no such query parameter here; check its spelling.", field=shown
                )
            if len(values) > 1:
                raise InvalidRequest(f"{name}: is given more than once; give it once.", field=name)
            self._values[name] = _text(name, values[0])

    def text(self, name: str) -> str | None:
        """The value as it stands; None where it is not given."""
        return self._values.get(name)

    def number(self, name: str, *, least: int = 0, most: int = BIGGEST) -> int | None:
        """The value as a whole number in the given bounds; None where it is not given."""
        value = self._values.get(name)
        return None if value is None else parse_number(name, value, least, most)

    def seconds(self, name: str, most: float) -> float | None:
        """The value as a time from 0 seconds to `most`; None where it is not given."""
        value = self._values.get(name)
        if value is None:
            return None
        try:
            seconds = float(value) if len(value) <= 32 and value.isascii() else math.nan
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds <= most or "_" in value:
            raise InvalidRequest(f"{name}: must be a time in seconds from 0 to {most:g}.", field=name)
        return seconds

    def choice(self, name: str, choices: object) -> str | None:
        """The value, one of the values of a `Literal`; None where it is not given."""
        value = self._values.get(name)
        if value is not None and value not in get_args(choices):
            raise InvalidRequest(f"{name}: must be one of {', '.join(get_args(choices))}.", field=name)
        return value


def parse_number(name: str, value: str, least: int, most: int) -> int:
    """Read a whole number, which is written in ASCII digits, between two bounds.

    Raises
    ------
    InvalidRequest
        Where it is anything else.
    """
    if not re.fullmatch(r"[0-9]{1,16}", value) or not least <= int(value) <= most:
        raise InvalidRequest(f"{name}: must be a whole number from {least} to {most}.", field=name)
    return int(value)


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest(f"{name}: is not UTF-8; encode it so.", field=name) from None
