"""The ASGI application around the route table: request ids, OPTIONS, headers, conditional answers, the access log.

Plain ASGI and one dispatch of our own: a chain of middlewares and Starlette's router, which tries sixty routes in
order, cost more than most handlers do.
"""

import itertools
import logging
import os
import time

import msgspec
from prometheus_client import Counter, Histogram
from starlette.types import Message, Receive, Scope, Send

from zmart_lite.api.checks import API_PREFIX, answer
from zmart_lite.api.contract.body import ClientGone
from zmart_lite.api.contract.endpoints import Caching, Level, Reply, Stream
from zmart_lite.api.contract.errors import error_reply
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.routing import RouteTable, allowed_methods
from zmart_lite.api.http.headers import (
    PREFLIGHT,
    REQUEST_ID,
    CommonHeaders,
    Conditional,
    Lines,
    Pairs,
    etag_of,
    lines_of,
    pairs_of,
)
from zmart_lite.api.http.wire import whole_answer
from zmart_lite.api.instance import Api
from zmart_lite.errors import NotFound
from zmart_lite.logs import AccessLog, request_id

logger = logging.getLogger("zmart_lite.api.access")

NO_STORE = b"cache-control: no-store\r\n"
PUBLIC = b"cache-control: public, no-cache\r\n"
SHORT = b"cache-control: public, max-age=30\r\n"
UNROUTED = "(none)"
QUIET = frozenset({"/status", "/health", "/health/{service}", "/ready", "/metrics"})
"""Asked every few seconds by each open page and each monitor: only what fails of them has a line in the access log."""
ERRORS_FROM = 400
PATH_LOGGED_MAX = 200
METHODS_COUNTED = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"})

encode_json = msgspec.json.Encoder().encode


class Application:
    """Answers HTTP requests by the route table."""

    def __init__(self, api: Api, table: RouteTable) -> None:
        self.api = api
        self.table = table
        self._common = CommonHeaders(api.parts.config.server)
        self._ids_prefix, self._ids = os.urandom(4).hex(), itertools.count(1)
        """Request ids: of this start of the node, and counted."""
        self._access_log = AccessLog(logger)
        self._observed: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        """The series of each method, route and status, looked up once."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(self.api.parts, self.api.shared, scope, receive)
        request.started = time.perf_counter()
        peer = scope.get("client")
        request.address = self.api.addresses.of(peer[0] if peer else None, scope["headers"])
        given = request.header(b"x-request-id")
        is_given = given is not None and REQUEST_ID.fullmatch(given) is not None
        request.request_id = given if given is not None and is_given else f"{self._ids_prefix}{next(self._ids):08x}"
        token = request_id.set(request.request_id)
        try:
            status = await self._respond(request, send)
            self._record(request, status)
        except ClientGone:
            self._record(request, 499)
        finally:
            request_id.reset(token)

    async def _respond(self, request: Request, send: Send) -> int:
        try:
            if request.method == "OPTIONS":
                return await self._options(request, send)
            result = await answer(self.api, request, self.table)
            if isinstance(result, Stream):
                return await self._stream(request, result, send)
            body = result.body if isinstance(result.body, bytes) else encode_json(result.body)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - the one place where any error becomes an answer
            result = error_reply(error, request)
            body = encode_json(result.body)
        return await self._send(request, result, body, send)

    async def _options(self, request: Request, send: Send) -> int:
        match = self.table.match(request.path)
        if match is None:
            raise NotFound(f"Route {request.method} {request.path} not found")
        lines = self._lines(request, policy=True)
        lines += lines_of([*PREFLIGHT, (b"allow", allowed_methods(match.methods).encode())])
        await send({"type": "http.response.start", "status": 204, "headers": pairs_of(lines)})
        await send({"type": "http.response.body", "body": b""})
        return 204

    async def _stream(self, request: Request, stream: Stream, send: Send) -> int:
        """Let an ASGI application answer; the common headers are added unless it sets them itself."""
        status = 200

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own: Pairs = list(message.get("headers", []))
                names = {name.lower() for name, _ in own}
                common = pairs_of(self._lines(request, policy=True))
                own += [(name, value) for name, value in common if name not in names]
                message = {**message, "headers": own}
                # A stream is answered when it begins: how long a client listens is no latency.
                self._record(request, status)
            await send(message)

        await stream.app(request.scope, request.receive, send_with_headers)
        return status

    async def _send(self, request: Request, reply: Reply, body: bytes, send: Send) -> int:
        """``body``: the reply's, encoded."""
        status, lines = reply.status, self._lines(request, policy=not _sets_policy(reply))
        if reply.headers:
            own = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
            lines += lines_of(own)
        caching = _cache_control(request, reply)
        if caching is not NO_STORE and status == 200:
            etag = reply.etag or etag_of(body)
            if request.kept_at is not None and not reply.etag:
                self.api.answers.keep(request.kept_at, reply._replace(body=body, etag=etag))
            lines += b"etag: %s\r\n" % etag.encode()
            known = Conditional(request.header(b"if-none-match"), request.header(b"origin"), request.header(b"host"))
            if known.has(etag):
                status = 304
        lines += caching
        if status != 304:
            lines += b"content-type: %s\r\ncontent-length: %d\r\n" % (reply.media_type.encode(), len(body))
        if status == 304 or request.method == "HEAD":
            body = b""
        whole = whole_answer(request.scope)
        if whole is not None:
            await whole(status, lines, body)
        else:
            await send({"type": "http.response.start", "status": status, "headers": pairs_of(lines)})
            await send({"type": "http.response.body", "body": body})
        return status

    def _lines(self, request: Request, *, policy: bool) -> Lines:
        """The headers that any answer to this request has."""
        common = self._common.of(request.header(b"origin"), policy=policy)
        limits = self.api.limits.headers(request.spent)
        return b"%sx-request-id: %s\r\n%s" % (common, request.request_id.encode(), limits)

    def _record(self, request: Request, status: int) -> None:
        """Metrics and one line in the access log, once. The query is left out: it may hold a ticket."""
        if request.is_recorded:
            return
        request.is_recorded = True
        seconds = time.perf_counter() - request.started
        route = request.endpoint.path if request.endpoint is not None else UNROUTED
        method = request.method if request.method in METHODS_COUNTED else "OTHER"
        observed = self._observed.get((method, route, status))
        if observed is None:
            metrics = self.api.parts.metrics
            observed = self._observed[method, route, status] = (
                metrics.http_requests_total.labels(method, route, str(status)),
                metrics.http_request_duration_seconds.labels(method, route),
            )
        observed[0].inc()
        observed[1].observe(seconds)
        self.api.shared.traffic.count(status)
        if route in QUIET and status < ERRORS_FROM:
            return
        path, duration_ms = request.path[:PATH_LOGGED_MAX], round(seconds * 1_000, 2)
        self._access_log.note(request.request_id, request.method, path, status, duration_ms, request.address)


def _sets_policy(reply: Reply) -> bool:
    return bool(reply.headers) and any(name.lower() == "content-security-policy" for name, _ in reply.headers)


def _cache_control(request: Request, reply: Reply) -> bytes:
    endpoint = request.endpoint
    caching = reply.caching
    if caching is Caching.AUTO and endpoint is not None:
        caching = endpoint.caching
    if reply.status >= 400 or caching is Caching.NO_STORE:
        return NO_STORE
    if caching is Caching.SHORT:
        return SHORT
    is_public = (
        endpoint is not None
        and endpoint.level is Level.NONE
        and request.method in ("GET", "HEAD")
        and request.path.startswith(API_PREFIX)
    )
    return PUBLIC if is_public else NO_STORE
