"""What a setting is: a row with a name, a kind, a default, a help text and the rules its value must obey."""

import contextlib
import difflib
import hmac
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

from solders.pubkey import Pubkey

MASK = "***"

TRUE_WORDS = frozenset({"true", "1", "yes", "on"})
FALSE_WORDS = frozenset({"false", "0", "no", "off"})

HOST_CHARS_MAX = 253
HEADER_CHARS_MAX = 4_096
NAME_BYTES_MAX = 255
PATH_CHARS_MAX = 4_000
DSN_FORMS = "must be postgresql://user:password@host/database or sqlite:///path"
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")

Check = Callable[[str], str | None]
"""Answers what is wrong with a text, or None."""


class Secret:
    """A text that shows itself only when asked by name. It cannot be pickled, so that no queue or cache keeps it."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __str__(self) -> str:
        return MASK if self._value else ""

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written anywhere")


class Row(NamedTuple):
    """One setting. ``low`` and ``high`` are inclusive; ``check`` looks at a text, or at each entry of a list."""

    section: str
    key: str
    kind: Any
    default: Any
    help: str
    low: int | None
    high: int | None
    choices: tuple[str, ...]
    check: Check | None

    @property
    def name(self) -> str:
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        return f"ZMART_{self.section}_{self.key}".upper()

    @property
    def is_secret(self) -> bool:
        return self.kind is Secret or self.kind == tuple[Secret, ...]


def setting(
    default: Any,
    text: str,
    *,
    low: int | None = None,
    high: int | None = None,
    choices: tuple[str, ...] = (),
    check: Check | None = None,
) -> Any:
    """A field of a section, with its help and its rules."""
    return field(default=default, metadata={"help": text, "low": low, "high": high, "choices": choices, "check": check})


def row_of(section: str, part: Field[Any]) -> Row:
    rules: Mapping[str, Any] = part.metadata
    return Row(
        section,
        part.name,
        part.type,
        part.default,
        rules["help"],
        rules["low"],
        rules["high"],
        rules["choices"],
        rules["check"],
    )


def from_toml(row: Row, value: object) -> Any:
    """The setting's value from a TOML value; raises ValueError saying what is expected."""
    if row.kind is bool:
        return _expect(value, bool, "true or false")
    if row.kind is int:
        if isinstance(value, bool):
            raise ValueError("must be a whole number")
        return _in_range(row, _expect(value, int, "a whole number"))
    if row.kind is str or row.kind is Secret:
        return _text(row, _expect(value, str, "a text in quotes"))
    entries = _expect(value, list, "a list of texts")
    return tuple(_text(row, _expect(entry, str, "a list of texts")) for entry in entries)


def from_text(row: Row, text: str) -> Any:
    """The setting's value from an environment variable; lists are separated by commas. Raises ValueError.

    Blanks around it go: files of variables written on Windows leave a carriage return at the end of each.
    """
    text = text.strip()
    if row.kind is bool:
        return _boolean(text)
    if row.kind is int:
        return _in_range(row, _integer(text))
    if row.kind is str or row.kind is Secret:
        return _text(row, text)
    return tuple(_text(row, entry.strip()) for entry in text.split(",") if entry.strip())


def _expect(value: object, kind: type[Any], wanted: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"must be {wanted}")  # noqa: TRY004 - a setting's problem is a ValueError whatever its cause
    return value


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise ValueError("must be true or false")
    return word in TRUE_WORDS


def _integer(text: str) -> int:
    digits = text.strip().replace("_", "")
    if not (digits.isascii() and digits.removeprefix("-").isdigit() and len(digits) <= 20):
        raise ValueError("must be a whole number")
    return int(digits)


def _in_range(row: Row, number: int) -> int:
    if row.low is not None and row.high is not None and not row.low <= number <= row.high:
        raise ValueError(f"must be between {row.low} and {row.high}, not {number}")
    return number


def _text(row: Row, text: str) -> str | Secret:
    if row.is_secret:
        # A blank at its end would break the header that carries it, and the library's error would quote it.
        text = text.strip()
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    if row.choices:
        text = _choice(row, text)
    if row.check is not None and text and (problem := row.check(text)):
        raise ValueError(problem)
    return Secret(text) if row.is_secret else text


def _choice(row: Row, text: str) -> str:
    for choice in row.choices:
        if choice.lower() == text.lower():
            return choice
    # Not repeated: it may be a secret that was meant for the setting beside it.
    close = difflib.get_close_matches(text.lower(), [choice.lower() for choice in row.choices], n=1)
    meant = f"; did you mean {_choice(row, close[0])}?" if close else ""
    raise ValueError(f"must be one of {', '.join(row.choices)}{meant}")


def _url(text: str, schemes: tuple[str, ...]) -> str | None:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in schemes and host_name(parts.hostname or "") is None and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        return f"must be a URL that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    return header_text(text)


http_url: Check = partial(_url, schemes=("http", "https"))
ws_url: Check = partial(_url, schemes=("ws", "wss"))


def host_name(text: str) -> str | None:
    """A name or address as in a ``Host`` header, without port."""
    name = text.strip("[]")
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name.partition("%")[0])
        return None
    labels = name.removesuffix(".").split(".")
    if len(name) <= HOST_CHARS_MAX and all(_LABEL.fullmatch(label) for label in labels):
        return None
    return "must be a host name or an address, without port"


def header_text(text: str) -> str | None:
    """What a header or a request line can carry; the error of the library that sends it would quote it."""
    if len(text) > HEADER_CHARS_MAX:
        return f"must not be longer than {HEADER_CHARS_MAX} characters"
    return None if text.isascii() else "must not hold letters beyond ASCII"


def folder(text: str) -> str | None:
    """A path whose parts can be names of files."""
    if any(len(os.fsencode(part)) > NAME_BYTES_MAX for part in text.split("/")) or len(text) > PATH_CHARS_MAX:
        return f"must be a path, of which no part is longer than {NAME_BYTES_MAX} bytes"
    try:
        Path(text).expanduser()
    except RuntimeError:
        return "begins with the home folder of a user who is not known here"
    return None


def origin(text: str) -> str | None:
    """A web origin (``https://app.example``) or ``*``."""
    if text == "*" or (http_url(text) is None and text.rstrip("/").count("/") == 2):
        return None
    return "must be * or an origin like https://app.example"


def network(text: str) -> str | None:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return "must be an address or a network like 10.0.0.0/8"
    return None


def address(text: str) -> str | None:
    """A Solana address: base58 of 32 bytes."""
    try:
        Pubkey.from_string(text)
    except ValueError:
        return "must be a Solana address (base58 of 32 bytes)"
    return None


def dsn(text: str) -> str | None:
    """``postgresql://…``, or ``sqlite:///relative/path`` and ``sqlite:////absolute/path``."""
    if text.startswith("sqlite:///") and len(text) > len("sqlite:///"):
        # The path is shown where the database is spoken of: a password must not pass for one.
        return folder(text) if "://" not in text.removeprefix("sqlite:///") and "@" not in text else DSN_FORMS
    if _url(text, ("postgres", "postgresql")) is None:
        return None
    return DSN_FORMS


def _at_least(text: str, bytes_min: int, check: Check | None) -> str | None:
    size = len(text.encode(errors="surrogateescape"))
    if size < bytes_min:
        return f"must be at least {bytes_min} bytes long, not {size}"
    return check(text) if check else None


def secret_of(bytes_min: int, check: Check | None = None) -> Check:
    """A secret that is long enough to be one; ``check`` looks at what else it has to be."""
    return partial(_at_least, bytes_min=bytes_min, check=check)
