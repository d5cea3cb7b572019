"""Headers that every answer carries: security, CORS, caching (contract 0.7). Built once where they never change."""

import hashlib
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from zmart_lite.config import Server

RawHeaders = list[tuple[bytes, bytes]]

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
HSTS = b"max-age=31536000"
CORS_METHODS = b"GET, HEAD, POST, DELETE, OPTIONS"
CORS_REQUEST_HEADERS = b"Authorization, Content-Type, If-None-Match, Last-Event-ID, X-Request-ID, X-Service-Key"
CORS_EXPOSED = (
    b"ETag, Retry-After, X-Request-ID, X-Total-Count, X-Next-Cursor, RateLimit-Limit, RateLimit-Remaining,"
    b" RateLimit-Reset, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
)
CORS_MAX_AGE = b"600"


class CommonHeaders:
    """Security and CORS headers for one configuration."""

    def __init__(self, server: Server) -> None:
        self._any_origin = "*" in server.cors_origins
        self._origins = frozenset(origin.rstrip("/").lower() for origin in server.cors_origins)
        self._security: RawHeaders = [
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"cross-origin"),
        ]
        if urlsplit(server.public_url).scheme == "https":
            self._security.append((b"strict-transport-security", HSTS))
        self._fixed = [*self._security, (b"access-control-expose-headers", CORS_EXPOSED)]
        if self._any_origin:
            self._fixed.append((b"access-control-allow-origin", b"*"))
        self._policy = (b"content-security-policy", API_POLICY.encode())

    def of(self, origin: str | None, *, policy: bool) -> RawHeaders:
        """The headers for a request from this origin. ``policy``: with the API's content policy; pages replace it."""
        headers = [*self._fixed, self._policy] if policy else list(self._fixed)
        if not self._any_origin:
            headers.append((b"vary", b"Origin"))
            if origin is not None and origin.lower() in self._origins:
                headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
        return headers

    def preflight(self) -> RawHeaders:
        return [
            (b"access-control-allow-methods", CORS_METHODS),
            (b"access-control-allow-headers", CORS_REQUEST_HEADERS),
            (b"access-control-max-age", CORS_MAX_AGE),
        ]

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
