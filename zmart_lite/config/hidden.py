"""The texts that nobody may see: what each secret setting holds, and the parts of addresses that carry keys."""

from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

from zmart_lite.config.keypair import names_file
from zmart_lite.config.settings import Config, rows
from zmart_lite.config.values import Row, Secret

CHARS_MIN = 8
"""Shorter texts stand in other words, too."""
PATH_PART_CHARS_MIN = 12
"""Parts of an address's path: shorter ones are words like "services"."""
WEB = ("http", "https", "ws", "wss", "mailto", "mailtos", "postgres", "postgresql")
"""Addresses whose host is one; those of messengers hold a key in its place."""


def hidden_texts(config: Config) -> tuple[str, ...]:
    """Every text that the log and the command line have to mask, the longest first."""
    found = {part for row in rows().values() if row.is_secret for part in _held(config, row)}
    return tuple(sorted((part for part in found if len(part) >= CHARS_MIN), key=len, reverse=True))


def _held(config: Config, row: Row) -> Iterator[str]:
    value = getattr(getattr(config, row.section), row.key)
    for secret in (value,) if isinstance(value, Secret) else value:
        text = secret.reveal()
        if row.check is None and names_file(secret):  # only the settings for keys may name a file
            continue
        if "://" not in text:
            yield text
        elif not text.startswith("sqlite:"):
            yield from _held_by_address(text)


def _held_by_address(text: str) -> Iterator[str]:
    url = urlsplit(text)
    yield from (unquote(part) for part in (url.username, url.password) if part)
    yield from (value for _, value in parse_qsl(url.query))
    yield from (part for part in (*url.path.split("/"), url.password or "") if len(part) >= PATH_PART_CHARS_MIN)
    if url.scheme not in WEB:
        yield url.netloc.rpartition("@")[2]
