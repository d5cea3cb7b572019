"""Headers that every answer carries: security, CORS, caching (contract 0.7).

They are kept as they are sent, as lines of bytes, and those that never change are written once: fifteen pairs, put
together for each answer, took a tenth of the time of a small request.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from zmart_lite.config import Server

Pairs = list[tuple[bytes, bytes]]
Lines = bytes
"""Whole header lines, each with its end."""
LINE_END = b"\r\n"

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
HSTS = b"max-age=31536000"
CORS_METHODS = b"GET, HEAD, POST, DELETE, OPTIONS"
CORS_REQUEST_HEADERS = (
    b"Accept-Encoding, Authorization, Content-Encoding, Content-Type, If-None-Match, Last-Event-ID, X-Request-ID,"
    b" X-Service-Key"
)
CORS_EXPOSED = (
    b"ETag, Retry-After, X-Request-ID, X-Total-Count, X-Next-Cursor, RateLimit-Limit, RateLimit-Remaining,"
    b" RateLimit-Reset, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Action-Version, X-Blockchain-Ids"
)
PREFLIGHT = (
    (b"access-control-allow-methods", CORS_METHODS),
    (b"access-control-allow-headers", CORS_REQUEST_HEADERS),
    (b"access-control-max-age", b"600"),
)


def lines_of(pairs: Iterable[tuple[bytes, bytes]]) -> Lines:
    """Raises ValueError for a header that would end its line itself."""
    lines = b""
    for name, value in pairs:
        if any(end in part for part in (name, value) for end in (b"\r", b"\n")):
            raise ValueError("a header contains a line break")
        lines += b"%s: %s\r\n" % (name, value)
    return lines


def pairs_of(lines: Lines) -> Pairs:
    """The names and values of header lines, for whoever does not take them as they are."""
    found = [line.partition(b": ") for line in lines.split(LINE_END)[:-1]]
    return [(name, value) for name, _, value in found]


class CommonHeaders:
    """Security and CORS headers for one configuration."""

    def __init__(self, server: Server) -> None:
        self._any_origin = "*" in server.cors_origins
        self._origins = frozenset(origin.rstrip("/").lower() for origin in server.cors_origins)
        fixed: Pairs = [
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"cross-origin"),
        ]
        if urlsplit(server.public_url).scheme == "https":
            fixed.append((b"strict-transport-security", HSTS))
        fixed.append((b"access-control-expose-headers", CORS_EXPOSED))
        fixed.append((b"access-control-allow-origin", b"*") if self._any_origin else (b"vary", b"Origin"))
        self._fixed = lines_of(fixed)
        self._with_policy = lines_of([*fixed, (b"content-security-policy", API_POLICY.encode())])

    def of(self, origin: str | None, *, policy: bool) -> Lines:
        """The headers for a request from this origin. ``policy``: with the API's content policy; pages replace it."""
        lines = self._with_policy if policy else self._fixed
        if not self._any_origin and origin is not None and origin.lower() in self._origins:
            return lines + lines_of([(b"access-control-allow-origin", origin.encode("latin-1"))])
        return lines

    def allows(self, origin: str) -> bool:
        """Whether a browser page of this origin may call the node."""
        return self._any_origin or origin.lower() in self._origins


class Conditional(NamedTuple):
    """What a request says about the copy it has."""

    none_match: str | None
    origin: str | None
    host: str | None

    def has(self, etag: str) -> bool:
        """Whether 304 is the answer. A relay in use sends its own host as Origin and cannot deal with a 304."""
        if self.none_match is None or self._is_relay:
            return False
        if self.none_match.strip() == "*":
            return True
        return any(candidate.strip().removeprefix("W/") == etag for candidate in self.none_match.split(","))

    @property
    def _is_relay(self) -> bool:
        return self.origin is not None and self.host is not None and urlsplit(self.origin).netloc == self.host


def etag_of(body: bytes) -> str:
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
