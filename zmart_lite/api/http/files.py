"""Files as they are sent: read once, with their ETag, and only those of a known type."""

from pathlib import Path
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from zmart_lite.api.http.headers import Conditional, etag_of
from zmart_lite.errors import NotFound

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    # As text: browsers show it, where Markdown would be saved to disk.
    ".md": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
}
CACHE_CONTROL = b"no-cache"
"""Kept, but asked for each time: a new version of the node never runs with parts of the old page."""


class Shipped(NamedTuple):
    """A file as it is sent."""

    body: bytes
    etag: str
    media_type: str


_read: dict[Path, tuple[int, Shipped]] = {}
"""What was read, with the file's time. There are as many entries as files are shipped."""


def load(path: Path) -> Shipped:
    """The file, read again only when it has changed; one that was read stays when it vanishes from the disk.

    Raises NotFound for what is no file of a known type.
    """
    known = _read.get(path)
    if path.suffix not in MEDIA_TYPES:
        raise NotFound("There is no such file.")
    try:
        changed_ns = path.stat().st_mtime_ns
        if known is None or known[0] != changed_ns:
            body = path.read_bytes()
            known = _read[path] = (changed_ns, Shipped(body, etag_of(body), MEDIA_TYPES[path.suffix]))
    except OSError as error:
        if known is None:
            raise NotFound("There is no such file.") from error
    return known[1]


def load_all(folder: Path) -> None:
    """Read every file of a known type below ``folder``, so that later nothing depends on the disk."""
    for path in folder.rglob("*"):
        if path.suffix in MEDIA_TYPES and path.is_file():
            load(path)


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
