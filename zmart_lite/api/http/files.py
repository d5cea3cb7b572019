"""Files as they are sent: read once, with their ETag, and only those of a known type."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from zmart_lite.api.http.headers import Conditional, etag_of
from zmart_lite.errors import NotFound

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
CACHE_CONTROL = b"no-cache"
"""Kept, but asked for each time: a new version of the node never runs with parts of the old page."""
FILES_CACHED = 256


class Shipped(NamedTuple):
    """A file as it is sent."""

    body: bytes
    etag: str
    media_type: str


@lru_cache(maxsize=FILES_CACHED)
def _load(path: Path, _changed_ns: int) -> Shipped:
    body = path.read_bytes()
    return Shipped(body, etag_of(body), MEDIA_TYPES[path.suffix])


def load(path: Path) -> Shipped:
    """The file, read again only when it has changed. Raises NotFound for what is no file of a known type."""
    if path.suffix not in MEDIA_TYPES or not path.is_file():
        raise NotFound("There is no such file.")
    return _load(path, path.stat().st_mtime_ns)


class FileAnswer:
    """An ASGI application that sends one file, or says that the client has it."""

    def __init__(self, file: Shipped, policy: str) -> None:
        self._file = file
        self._policy = policy.encode()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        given = {name: value.decode("latin-1") for name, value in scope["headers"]}
        known = Conditional(given.get(b"if-none-match"), given.get(b"origin"), given.get(b"host")).has(self._file.etag)
        headers = [
            (b"etag", self._file.etag.encode()),
            (b"cache-control", CACHE_CONTROL),
            (b"content-security-policy", self._policy),
        ]
        if not known:
            headers.append((b"content-type", self._file.media_type.encode()))
            headers.append((b"content-length", b"%d" % len(self._file.body)))
        await send({"type": "http.response.start", "status": 304 if known else 200, "headers": headers})
        hidden = known or scope["method"] == "HEAD"
        await send({"type": "http.response.body", "body": b"" if hidden else self._file.body})
