"""Parsers of the contract's identifiers, numbers, times and words (sections 0.2 to 0.4)."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from solders.pubkey import Pubkey

from zmart_lite.api.contract.validate import Parser
from zmart_lite.models import MarketState
from zmart_lite.rules import U64_MAX
from zmart_lite.store.views.rows import MarketRef

JSON_INTEGER_MAX = 2**53 - 1
"""Largest integer that every JSON reader keeps exact; larger ones come as text."""
ADDRESS_LENGTH_MIN, ADDRESS_LENGTH_MAX = 32, 44
HEX_ID = re.compile(r"[0-9a-fA-F]{64}")
HEX_ID_LENGTH = 64
REFS_KEPT = 8_192
"""Texts whose market is remembered: one request names it several times, and many requests the same."""
U64_DIGITS = 20
UNIX_SECONDS_DIGITS = 10
UNIX_MS_DIGITS = 13
TIME_TEXT_MAX = 40

EXAMPLE_MARKET_ID = "01" * 32
EXAMPLE_WALLET = "9hSR6S7WPtxmTojgo6GG3k4yDPecgJY292j7xrsUGWBu"

CATEGORIES = ("crypto", "politics", "sports", "technology", "finance", "entertainment", "science", "other")
CATEGORY_ALIASES = {"tech": "technology"}
OUTCOME_WORDS = {"yes": True, "true": True, "no": False, "false": False}
BOOLEAN_WORDS = {"true": True, "1": True, "false": False, "0": False}
STATE_NAMES = {state.name: state for state in MarketState}


def find_wallet(text: object) -> bytes | None:
    """The 32 bytes behind a base58 address, None for anything else."""
    if not isinstance(text, str) or not ADDRESS_LENGTH_MIN <= len(text) <= ADDRESS_LENGTH_MAX:
        return None
    try:
        return bytes(Pubkey.from_string(text))
    except ValueError:
        return None


def find_market_ref(text: object) -> MarketRef | None:
    """The market a text names: 64 hex digits of its id, or its account's address. None for anything else."""
    return _named_market(text) if isinstance(text, str) and len(text) <= HEX_ID_LENGTH else None


@lru_cache(REFS_KEPT)
def _named_market(text: str) -> MarketRef | None:
    if HEX_ID.fullmatch(text):
        return MarketRef("market_id", bytes.fromhex(text))
    address = find_wallet(text)
    return None if address is None else MarketRef("address", address)


def _market_ref(value: Any) -> MarketRef:
    found = find_market_ref(value)
    if found is None:
        raise ValueError("must be a market id (64 hex digits) or the address of a market account")
    return found


def _wallet(value: Any) -> bytes:
    found = find_wallet(value)
    if found is None:
        raise ValueError("must be a wallet address (base58 of 32 bytes)")
    return found


market_ref = Parser(
    _market_ref,
    {"type": "string", "description": "Market id (64 hex digits) or account address.", "examples": [EXAMPLE_MARKET_ID]},
)
wallet = Parser(_wallet, {"type": "string", "description": "Base58 of 32 bytes.", "examples": [EXAMPLE_WALLET]})


def _u64_of(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= JSON_INTEGER_MAX:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value.lstrip("0")) <= U64_DIGITS:
        return int(value.lstrip("0") or "0")
    raise ValueError("must be a whole number: decimal digits as text, or a JSON integer up to 2^53-1")


def u64(least: int = 0, most: int = U64_MAX) -> Parser:
    """An exact amount in base units between ``least`` and ``most``."""

    def parse(value: Any) -> int:
        number = _u64_of(value)
        if not least <= number <= most:
            raise ValueError(f"must be between {least} and {most}")
        return number

    return Parser(parse, {"type": ["string", "integer"], "pattern": "^[0-9]+$", "minimum": least})


def integer(least: int, most: int) -> Parser:
    """A plain whole number (bps, minutes, seconds)."""
    parser = u64(least, most)
    return Parser(parser.parse, {"type": "integer", "minimum": least, "maximum": most})


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = BOOLEAN_WORDS.get(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be true or false")
    return found


boolean = Parser(_boolean, {"type": "boolean", "examples": [True]})


def _outcome(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = OUTCOME_WORDS.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be yes or no, or a boolean")
    return found


outcome = Parser(
    _outcome, {"type": ["boolean", "string"], "description": "true or yes, false or no.", "examples": ["yes"]}
)


def word(*choices: str, aliases: Mapping[str, str] | None = None) -> Parser:
    """One of some lower-case words, in any case; ``all`` is not special here."""
    meanings = {choice: choice for choice in choices} | dict(aliases or {})

    def parse(value: Any) -> str:
        found = meanings.get(value.lower()) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return found

    return Parser(parse, {"type": "string", "enum": list(choices)})


def words(meanings: Mapping[str, bool]) -> Parser:
    """A boolean that is also written as words, in any case (votes)."""

    def parse(value: Any) -> bool:
        if isinstance(value, bool):
            return value
        found = meanings.get(value.lower()) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f"must be one of {', '.join(meanings)}")
        return found

    return Parser(parse, {"type": ["boolean", "string"], "enum": [True, False, *meanings]})


category = word(*CATEGORIES, aliases=CATEGORY_ALIASES)


def optional_filter(parser: Parser) -> Parser:
    """A filter for which ``all`` means none."""

    def parse(value: Any) -> Any:
        return None if isinstance(value, str) and value.lower() == "all" else parser.parse(value)

    choices = parser.schema.get("enum")
    return Parser(parse, parser.schema if choices is None else {**parser.schema, "enum": [*choices, "all"]})


def _state(value: Any) -> int:
    if isinstance(value, str):
        if value.isascii() and value.isdigit() and len(value) == 1 and int(value) <= MarketState.CANCELLED:
            return int(value)
        found = STATE_NAMES.get(value.upper())
        if found is not None:
            return int(found)
    raise ValueError(f"must be a state by name ({', '.join(STATE_NAMES)}) or number")


state_filter = optional_filter(Parser(_state, {"type": "string", "enum": [*STATE_NAMES, *"0123456"]}))


def _time_ms(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > TIME_TEXT_MAX:
        raise ValueError("must be a time")
    if value.isascii() and value.isdigit():
        if len(value) == UNIX_SECONDS_DIGITS:
            return int(value) * 1000
        if len(value) == UNIX_MS_DIGITS:
            return int(value)
        raise ValueError("must be unix seconds (10 digits) or milliseconds (13 digits)")
    return _iso_ms(value)


def _iso_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        # In a query a plus sign that was not escaped arrives as a space.
        moment = _iso_with_space(text)
    if moment.tzinfo is None:
        raise ValueError("must be ISO 8601 with an offset, like 2026-01-02T03:04:05Z")
    return int((moment - EPOCH).total_seconds() * 1000)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _iso_with_space(text: str) -> datetime:
    head, space, offset = text.rpartition(" ")
    try:
        return datetime.fromisoformat(f"{head}+{offset}" if space else text)
    except ValueError:
        raise ValueError("must be ISO 8601 with an offset, unix seconds or milliseconds") from None


time_ms = Parser(
    _time_ms,
    {
        "type": ["string", "integer"],
        "description": "ISO 8601 with offset, unix seconds or milliseconds.",
        "examples": ["2026-02-01T00:00:00Z"],
    },
)


def text(
    least: int, most: int, *, trim: bool = True, allowed: Callable[[str], bool] = lambda _: True, wrong: str = ""
) -> Parser:
    """A text of ``least`` to ``most`` characters. ``allowed`` looks at each character; ``wrong`` says what is not."""

    def parse(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a text")  # noqa: TRY004 - whatever is wrong with a field is a ValueError
        found = value.strip() if trim else value
        if not least <= len(found) <= most:
            raise ValueError(f"must have {least} to {most} characters")
        if not all(map(allowed, found)):
            raise ValueError(wrong or "must not hold control characters")
        return found

    return Parser(parse, {"type": "string", "minLength": least, "maxLength": most})


def is_printable(character: str) -> bool:
    """Anything but control characters and lone surrogates, which JSON can hold and UTF-8 cannot."""
    return character in "\t\n" or not (
        character < " " or "\x7f" <= character < "\xa0" or "\ud800" <= character <= "\udfff"
    )


def plain_text(least: int, most: int, *, trim: bool = True) -> Parser:
    """A text for people: no control characters but tab and newline."""
    return text(least, most, trim=trim, allowed=is_printable)
