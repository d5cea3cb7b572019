"""Checks a query or a body field by field and reports every bad field at once.

What a route takes is a frozen dataclass whose fields are made by :func:`field`: a parser (text or JSON value in,
value out, ValueError with a message for people), aliases, a default. A ``check`` method may report contradictions
between fields. The same declarations yield the OpenAPI document.

msgspec, which decodes the JSON, could fill structs of its own. It stops at the first bad field, though, and gives a
field one name, where frontends that exist use several, and a query's texts need other parsers than a body's values.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import parse_qsl

from zmart_lite.errors import BadRequest, ValidationFailed

F = TypeVar("F")

QUERY_PARAMETERS_MAX = 64
LIMIT_MAX = 100
OFFSET_MAX = 100_000
CURSOR_LENGTH_MAX = 256
REQUIRED = object()
"""The default of a field that must be given."""

Problems = Iterator[tuple[str, str]]
"""(field, message) of each bad field."""


class Parser(NamedTuple):
    """Turns a JSON value or a query's text into a value; raises ValueError saying what is expected. ``schema`` is
    JSON Schema.
    """

    parse: Callable[[Any], Any]
    schema: Mapping[str, Any]


class FieldSpec(NamedTuple):
    """One field as declared. ``names``: its own name, then the aliases."""

    name: str
    names: tuple[str, ...]
    parser: Parser
    default: Any
    help: str
    example: Any


def field(
    parser: Parser,
    default: Any = REQUIRED,
    *,
    name: str | None = None,
    aliases: tuple[str, ...] = (),
    help: str = "",  # noqa: A002
    example: Any = None,
) -> Any:
    """A field of a request. Without ``default`` it is required; null and (in a query) an empty text count as not
    given. ``example``: shown in the documentation, as the caller would write it.
    """
    return dataclasses.field(
        metadata={
            "parser": parser,
            "default": default,
            "name": name,
            "aliases": aliases,
            "help": help,
            "example": example,
        }
    )


@cache
def specs_of(fields: type[Any]) -> tuple[FieldSpec, ...]:
    """The declared fields of a request class, in order."""
    found = []
    for part in dataclasses.fields(fields):
        rules = part.metadata
        names = (rules["name"] or part.name, *rules["aliases"])
        found.append(FieldSpec(part.name, names, rules["parser"], rules["default"], rules["help"], rules["example"]))
    return tuple(found)


class _Form(NamedTuple):
    """A request class as :func:`decode` uses it: places of its fields by name, those that have to be given, and the
    values of the others.
    """

    specs: tuple[FieldSpec, ...]
    places: dict[str, int]
    required: frozenset[int]
    defaults: dict[str, Any]

    def concerned(self, given: Mapping[str, Any]) -> list[FieldSpec]:
        """The fields that are given or have to be, in order: of a dozen that a route knows most requests name one."""
        found = self.required.union([self.places[name] for name in given if name in self.places])
        return [self.specs[place] for place in sorted(found)]


@cache
def _form_of(fields: Any) -> _Form:
    specs = specs_of(fields)
    return _Form(
        specs,
        {name: place for place, spec in enumerate(specs) for name in spec.names},
        frozenset(place for place, spec in enumerate(specs) if spec.default is REQUIRED),
        {spec.name: spec.default for spec in specs},
    )


def decode(fields: type[F], given: Mapping[str, Any]) -> F:
    """The request's fields; raises ValidationFailed naming all bad ones. Unknown fields are ignored."""
    form, problems = _form_of(cast(Any, fields)), list[tuple[str, str]]()
    values = form.defaults.copy()
    for spec in form.concerned(given):
        try:
            values[spec.name] = _value(spec, given)
        except ValueError as error:
            problems.append((_given_name(spec, given), str(error)))
    if not problems:
        decoded = fields(**values)
        problems = list(getattr(decoded, "check", _no_problems)())
        if not problems:
            return decoded
    raise ValidationFailed(problems)


def _no_problems() -> Problems:
    return iter(())


def _value(spec: FieldSpec, given: Mapping[str, Any]) -> Any:
    """The field's value under whichever name it came; several names must agree."""
    found = REQUIRED
    for name in spec.names:
        raw = given.get(name)
        if raw is None or raw == "":
            continue
        value = spec.parser.parse(raw)
        if found is not REQUIRED and found != value:
            raise ValueError(f"contradicts another name of the same field ({', '.join(spec.names)})")
        found = value
    if found is not REQUIRED:
        return found
    if spec.default is REQUIRED:
        raise ValueError("is required")
    return spec.default


def _given_name(spec: FieldSpec, given: Mapping[str, Any]) -> str:
    return next((name for name in spec.names if given.get(name) is not None), spec.names[0])


def parse_query(raw: bytes) -> dict[str, str]:
    """Query parameters by name, the last of repeated ones. Raises BadRequest when there are too many or they are no
    UTF-8.
    """
    if not raw:
        return {}
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_PARAMETERS_MAX
        )
    except ValueError as error:
        raise BadRequest("The query string cannot be read.") from error
    return dict(pairs)


# Paging


def limit_parser(most: int = LIMIT_MAX) -> Parser:
    """A page's length: a higher one is lowered, 0 is an empty page."""

    def parse(value: Any) -> int:
        return min(_whole(value), most)

    return Parser(parse, {"type": "integer", "minimum": 0, "maximum": most})


def _whole(value: Any) -> int:
    """0 or more, from JSON or text."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        # Long digit runs are all the same: too large. int() of a huge text would be slow.
        return int(value) if len(value) <= 20 else 10**20
    raise ValueError("must be a whole number, 0 or more")


def _offset(value: Any) -> int:
    offset = _whole(value)
    if offset > OFFSET_MAX:
        raise ValueError(f"must be at most {OFFSET_MAX}; use cursor to go further")
    return offset


def _cursor(value: Any) -> str:
    if not isinstance(value, str) or len(value) > CURSOR_LENGTH_MAX:
        raise ValueError("must be a cursor of an earlier answer")
    return value


offset_parser = Parser(_offset, {"type": "integer", "minimum": 0, "maximum": OFFSET_MAX})
cursor_parser = Parser(_cursor, {"type": "string", "maxLength": CURSOR_LENGTH_MAX})


def page_limit(default: int, most: int = LIMIT_MAX) -> Any:
    """The ``limit`` field of a list, where it differs from the usual one."""
    return field(limit_parser(most), default, help="Rows on a page; a higher number is lowered.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFields:
    """What every list takes; lists derive from it and add their filters."""

    limit: int = page_limit(50)
    offset: int | None = field(offset_parser, None, help="Rows to leave out; not together with cursor.")
    cursor: str | None = field(cursor_parser, None, help="next_cursor of the page before.")

    def check(self) -> Problems:
        if self.offset is not None and self.cursor is not None:
            yield "cursor", "give either offset or cursor"


def check_span(from_ms: int | None, to_ms: int | None) -> Problems:
    """A range of time has to begin before it ends."""
    if from_ms is not None and to_ms is not None and from_ms > to_ms:
        yield "to", "must not be before from"
