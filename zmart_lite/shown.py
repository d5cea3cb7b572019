"""How values look in answers and push messages: addresses, times, prices, whole units. Pure."""

import re
from datetime import UTC, datetime
from functools import lru_cache

from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_lite.rules import P

TIME_MAX_S = 253_402_300_799
"""The last second of the year 9999: a chain's clock may claim more, ISO 8601 cannot say it."""
TEXTS_CACHED = 65_536
PRINTABLE = re.compile(rb"[!-~]+")


@lru_cache(TEXTS_CACHED)
def address_text(key: bytes) -> str:
    """Base58 of 32 bytes."""
    return str(Pubkey.from_bytes(key))


def optional_address(key: bytes | None) -> str | None:
    return None if key is None else address_text(key)


@lru_cache(TEXTS_CACHED)
def signature_text(signature: bytes) -> str:
    """Base58 of 64 bytes."""
    return str(Signature.from_bytes(signature))


def optional_signature(signature: bytes | None) -> str | None:
    return None if signature is None else signature_text(signature)


@lru_cache(TEXTS_CACHED)
def time_text(unix_s: int) -> str:
    """``2026-01-02T03:04:05.000Z`` of unix seconds; out of ISO's range the nearest that can be written."""
    moment = datetime.fromtimestamp(min(max(unix_s, 0), TIME_MAX_S), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


@lru_cache(TEXTS_CACHED)
def time_text_ms(unix_ms: int) -> str:
    """``2026-01-02T03:04:05.678Z`` of unix milliseconds."""
    seconds, ms = divmod(unix_ms, 1_000)
    return f"{time_text(seconds)[:-4]}{ms:03d}Z"


def optional_time(unix_s: int | None) -> str | None:
    """None for an absent time, which the program writes as 0."""
    return time_text(unix_s) if unix_s else None


def optional_time_ms(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else time_text_ms(unix_ms)


def price_text(price: int) -> str:
    """``0.500524967`` of a price with 10^9 = 1.0."""
    return f"{price // P}.{price % P:09d}"


def exact_text(amount: int) -> str:
    """Lamports as SOL, or shares with 9 decimals as whole ones, exactly: ``1.5``."""
    whole, rest = divmod(amount, P)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


def units(amount: int) -> float:
    """Lamports as SOL, or shares with 9 decimals as whole ones: the double nearest to the exact value."""
    return amount / P


def percent(price: int) -> float:
    """A price (10^9 = 1.0) as 0 … 100."""
    return price * 100 / P


def hash_text(value: bytes | None) -> str | None:
    """A 46-byte content hash: its text, or hex where that is not printable ASCII. None where there is none."""
    if value is None or not value.strip(b"\0"):
        return None
    return value.decode("ascii") if PRINTABLE.fullmatch(value) else value.hex()


def outcome_name(outcome: bool | None) -> str | None:
    if outcome is None:
        return None
    return "YES" if outcome else "NO"


def as_bool(value: int | None) -> bool | None:
    """A nullable 0/1 column."""
    return None if value is None else bool(value)


def trimmed_u64(text: str) -> str:
    """A stored amount (zero-padded) as a plain decimal."""
    return text.lstrip("0") or "0"


def shown_title(market_id: bytes, question: str | None) -> str:
    """The market's question, or a name made of its id where the text is not known."""
    return question if question is not None else f"Market {market_id.hex()[:8]}"
