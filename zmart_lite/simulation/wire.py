"""HTTP without sockets: an ASGI application is called in the same process, which costs a tenth of a connection.

Nothing else is left out: the requests, answers, statuses and headers are those that a server would read and write.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
from starlette.types import ASGIApp, Message

Header = tuple[bytes, bytes]


async def exchange(
    app: ASGIApp, method: str, path: str, body: bytes = b"", headers: Sequence[Header] = ()
) -> tuple[httpx.Response, bytes]:
    """One request, its answer and the answer's body.

    Raises httpx.RemoteProtocolError for a body that ends before it should, as a socket does.
    """
    target, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": target,
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"content-length", str(len(body)).encode()), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    pending: list[bytes] = [body]
    parts: list[bytes] = []
    started: dict[str, Any] = {}
    ended = asyncio.Event()

    async def receive() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.update(message)
        else:
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                ended.set()

    await app(scope, receive, send)
    if not ended.is_set():
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
    return httpx.Response(started["status"], headers=list(started["headers"])), b"".join(parts)


class InProcess:
    """In place of a connection to one RPC address."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app, self._path = app, path

    async def post(self, body: bytes) -> tuple[httpx.Response, bytes]:
        return await exchange(self._app, "POST", self._path, body, [(b"content-type", b"application/json")])

    async def close(self) -> None:
        return
