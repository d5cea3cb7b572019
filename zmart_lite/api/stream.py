"""The live feed over HTTP: ``GET /api/stream``, ``GET /api/events/latest``, and what all connections share."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
from starlette.types import Receive, Scope, Send

from zmart_lite.api import examples
from zmart_lite.api.commands import OFFSET_MAX, ResumePoint, named_channel, resume_point
from zmart_lite.api.crowd import no_room, too_many_from_address
from zmart_lite.api.endpoints import Endpoint, Identity, Request, Stream
from zmart_lite.api.headers import CommonHeaders
from zmart_lite.api.listener import ANONYMOUS, Caller, authorize
from zmart_lite.api.parsers import JSON_INTEGER_MAX, integer, market_ref
from zmart_lite.api.proxies import limit_key
from zmart_lite.api.snapshots import read_opening
from zmart_lite.api.sse import EventStream
from zmart_lite.api.validate import Parser, Problems, field, page_limit
from zmart_lite.api.websocket import serve_websocket
from zmart_lite.errors import BadRequest, NotFound, RateLimited, StoreUnavailable, Unauthorized, Unavailable
from zmart_lite.models import FeedMessage
from zmart_lite.push.channels import PUBLIC, PUBLIC_TYPES, Channel, selections
from zmart_lite.push.frames import envelope_of
from zmart_lite.push.hub import Hub, LogState
from zmart_lite.push.subscriber import CROWDED, FULL, UNAUTHORIZED, Ending, Subscriber
from zmart_lite.store import feed as feed_log
from zmart_lite.store.db import Store, Tx
from zmart_lite.store.feed import FeedFilter
from zmart_lite.store.messages import FeedContext
from zmart_lite.store.rows import MarketRef
from zmart_lite.store.shown import optional_address

if TYPE_CHECKING:
    from zmart_lite.api.auth import Authenticator
    from zmart_lite.api.context import ApiParts
    from zmart_lite.api.limits import Limiter
    from zmart_lite.api.proxies import ClientAddresses

logger = logging.getLogger(__name__)

IMPLICIT_DELAY_S = 1.0
SSE_PING_INTERVAL_S = 15.0
SWEEP_INTERVAL_S = 1.0
SWEEPS_PER_REVOCATION_CHECK = 10
SSE_CHANNELS_MAX = 20
LATEST_TYPES = (*PUBLIC_TYPES, "price", "voting_progress")


class StoredFeed:
    """The Hub's view of the feed in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def head(self) -> int:
        return await self._store.read(feed_log.feed_head)

    async def state(self, after: int, channels: Collection[Channel], count_max: int) -> LogState:
        filters = feed_filters(channels)

        def read(tx: Tx) -> LogState:
            missed = feed_log.count_feed(tx, filters, after=after, count_max=count_max)
            return LogState(feed_log.feed_head(tx), feed_log.oldest_offset(tx), missed)

        return await self._store.read(read)

    async def page(self, after: int, until: int, channels: Collection[Channel], limit: int) -> Sequence[FeedMessage]:
        filters = feed_filters(channels)
        return await self._store.read(lambda tx: feed_log.list_feed(tx, filters, after=after, until=until, limit=limit))


def feed_filters(channels: Collection[Channel]) -> tuple[FeedFilter, ...]:
    return tuple(FeedFilter(*selection) for selection in selections(channels))


class Connection(Protocol):
    """An open connection, as the sweep sees it."""

    caller: Caller
    subscriber: Subscriber

    def check(self, now_ms: int, now_s: float) -> None:
        """End it if its time is over."""


class Streams:
    """What all connections share. ``monotonic``, ``new_id`` and the delays are arguments for tests' sake."""

    def __init__(
        self,
        parts: "ApiParts",
        auth: "Authenticator",
        addresses: "ClientAddresses",
        limiter: "Limiter",
        *,
        monotonic: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] = lambda: secrets.token_hex(8),
        implicit_delay_s: float = IMPLICIT_DELAY_S,
        sse_ping_interval_s: float = SSE_PING_INTERVAL_S,
    ) -> None:
        self.hub: Hub = parts.hub
        self.store = parts.store
        self._make_feed = parts.feed
        self.limits = parts.config.push
        self.version = parts.version
        self.now_ms = parts.now_ms
        self.monotonic = monotonic
        self.new_id = new_id
        self.implicit_delay_s = implicit_delay_s
        self.sse_ping_interval_s = sse_ping_interval_s
        self.connections: set[Connection] = set()
        self._auth = auth
        self._addresses = addresses
        self._limiter = limiter
        self._origins = CommonHeaders(parts.config.server)
        self._url_token = parts.config.auth.url_token

    @property
    def feed(self) -> FeedContext:
        """A new one for each unit of work: it remembers the config that was in force."""
        return self._make_feed()

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application of every WebSocket."""
        await serve_websocket(self, scope, receive, send)

    async def run(self) -> None:
        """Sweep for as long as the node runs."""
        count = 0
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            self.sweep()
            count += 1
            if count % SWEEPS_PER_REVOCATION_CHECK == 0:
                try:
                    await self.end_revoked()
                except StoreUnavailable as error:
                    # The next check may work; expiry and slow clients are seen to meanwhile.
                    logger.warning("ended sessions could not be looked up", extra={"cause": str(error)})

    def sweep(self) -> None:
        """End connections whose credential has expired, which are idle, or whose client takes nothing."""
        now_ms, now_s = self.now_ms(), self.monotonic()
        self.hub.sweep(now_s)
        for connection in list(self.connections):
            connection.check(now_ms, now_s)

    async def end_revoked(self) -> None:
        """End connections whose session has been ended since they were opened."""
        for jti in {connection.caller.jti for connection in self.connections} - {None}:
            if jti is not None and await self._auth.is_revoked(jti):
                for connection in [one for one in self.connections if one.caller.jti == jti]:
                    self.hub.drop(connection.subscriber, UNAUTHORIZED)

    async def identify(self, headers: Mapping[bytes, bytes], query: Mapping[str, str]) -> Caller:
        """Who opens a WebSocket; raises Unauthorized for a credential that is not good."""
        caller = ANONYMOUS
        if (key := headers.get(b"x-service-key")) is not None:
            if not self._auth.is_service_key(key.decode("latin-1")):
                raise Unauthorized("The service key is not valid.", reason="bad_signature")
            caller = Caller(service_key=True)
        if "ticket" in query:
            return caller_of(await self._auth.from_ticket(query["ticket"]), service_key=caller.service_key)
        if (value := headers.get(b"authorization")) is not None:
            identity = await self._auth.from_header(value.decode("latin-1"))
            if identity.method != "jwt":
                raise Unauthorized("A stream needs a session or a ticket.", reason="jwt_required")
            return caller_of(identity, service_key=caller.service_key)
        if "token" in query and self._url_token:
            return caller_of(await self._auth.from_token(query["token"]), service_key=caller.service_key)
        return caller

    async def http_caller(self, request: Request) -> Caller:
        """Who opens an event stream; raises Unauthorized for a bad ticket, other bad credentials count as none."""
        ticket = request.query.get("ticket")
        identity = request.identity
        if ticket is not None:
            identity = await self._auth.from_ticket(ticket)
        if identity is None or (identity.method != "jwt" and ticket is None):
            return Caller(service_key=request.service_key)
        return caller_of(identity, service_key=request.service_key)

    def address_of(self, scope: Scope) -> str:
        """What connections are counted by."""
        peer = scope.get("client")
        return limit_key(self._addresses.of(peer[0] if peer else None, scope["headers"]))

    def may_open(self, address: str) -> bool:
        """Count a WebSocket's opening: as many a minute as requests, because each may ask for as much as they do."""
        return self._limiter.spend("address", "websocket", address).allowed

    def origin_allowed(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a page of this origin may listen: one that is listed, or the node's own."""
        origin = headers.get(b"origin")
        if origin is None:
            return True
        own_host = origin.partition(b"://")[2] == headers.get(b"host")
        return own_host or self._origins.allows(origin.decode("latin-1"))

    def wallet_text(self, caller: Caller) -> str | None:
        return optional_address(caller.wallet)


def caller_of(identity: Identity, *, service_key: bool) -> Caller:
    return Caller(identity.wallet, identity.is_admin, service_key, identity.expires_ms, identity.jti)


# GET /api/stream


def _as_text(value: Any) -> str:
    return str(value)


_text = Parser(_as_text, {"type": "string"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFields:
    """Taken as they are: what is wrong with them is said by whoever reads them."""

    channels: str | None = field(_text, None, help="At most 20 channels, separated by commas; else public.")
    from_: str | None = field(_text, None, name="from", help="Last offset seen; Last-Event-ID counts first.")
    ticket: str | None = field(_text, None, help="Of POST /api/auth/ticket, for channels that need a credential.")


async def stream(request: Request, fields: StreamFields) -> Stream:
    streams = request.api.streams
    channels = _stream_channels(fields.channels or PUBLIC.name)
    caller = await streams.http_caller(request)
    try:
        authorize(caller, channels)
    except Unauthorized:
        raise request.credential_error or Unauthorized(reason="missing") from None
    if any(channel.by_address for channel in channels):
        opening = await streams.store.read(lambda tx: read_opening(tx, streams.feed, channels, snapshot=False))
        channels = opening.channels
    address = limit_key(request.address)
    refusal = streams.hub.admit(address)
    if refusal is not None:
        raise _no_seat(streams, refusal)
    return Stream(EventStream(streams, address, caller, channels, _stream_resume(request, fields)))


def _stream_channels(text: str) -> tuple[Channel, ...]:
    wanted = tuple(dict.fromkeys(named_channel(name.strip()) for name in text.split(",") if name.strip()))
    if len(wanted) > SSE_CHANNELS_MAX:
        raise BadRequest("Too many subscriptions")
    return wanted or (PUBLIC,)


def _stream_resume(request: Request, fields: StreamFields) -> ResumePoint | None:
    """A reconnecting EventSource says where it was in a header; that is newer than what stands in its URL."""
    text = request.header(b"last-event-id") or fields.from_
    return None if text is None else resume_point(text)


def _no_seat(streams: Streams, refusal: Ending) -> RateLimited | Unavailable:
    if refusal is CROWDED:
        return too_many_from_address(streams.limits.connections_per_address)
    if refusal is FULL:
        return no_room()
    return Unavailable("The node is stopping.", reason="shutting_down")


# GET /api/events/latest


def _types(value: Any) -> tuple[str, ...]:
    names = tuple(name.strip() for name in str(value).split(",") if name.strip())
    if not all(name in LATEST_TYPES for name in names):
        raise ValueError(f"must be a list of {', '.join(LATEST_TYPES)}")
    return names


type_list = Parser(_types, {"type": "string", "description": f"Of {', '.join(LATEST_TYPES)}, separated by commas."})


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestFields:
    """From where, of what, and how many."""

    after: int | None = field(integer(0, OFFSET_MAX), None, help="Offset of the last message seen.")
    since: int | None = field(integer(0, JSON_INTEGER_MAX), None, help="Unix milliseconds, instead of after.")
    market_id: MarketRef | None = field(market_ref, None, help="Only this market's messages.")
    types: tuple[str, ...] = field(type_list, LATEST_TYPES, help="Types of message, separated by commas.")
    limit: int = page_limit(50)

    def check(self) -> Problems:
        if self.after is not None and self.since is not None:
            yield "since", "give either after or since"


class Latest(NamedTuple):
    """Messages from a point of the log on, and where the next question begins."""

    messages: list[FeedMessage]
    next_after: int
    reset: bool


async def latest(request: Request, fields: LatestFields) -> dict[str, Any]:
    found = await request.read(lambda tx: read_latest(tx, fields))
    return {
        "events": [msgspec.Raw(envelope_of(message).payload) for message in found.messages],
        "count": len(found.messages),
        "since": fields.since,
        "limit": fields.limit,
        "next_after": found.next_after,
        "reset": found.reset,
        "timestamp": request.parts.now_ms(),
    }


def read_latest(tx: Tx, fields: LatestFields) -> Latest:
    """The messages asked for, oldest first. Raises NotFound for a market nobody knows."""
    filters = (_latest_filter(tx, fields),)
    head, oldest = feed_log.feed_head(tx), feed_log.oldest_offset(tx)
    if fields.after is None and fields.since is None:
        return Latest(feed_log.list_newest(tx, filters, limit=fields.limit), head, reset=False)
    after = fields.after if fields.after is not None else feed_log.offset_before(tx, fields.since or 0)
    reset = after > head or after + 1 < oldest
    if fields.since is not None:
        # Nothing tells when a pruned message was made; what is older than all that is kept may have been pruned.
        reset = oldest > 1 and after + 1 == oldest
    start = min(max(after, oldest - 1), head)
    until = min(head, start + feed_log.COUNT_SCAN_OFFSETS_MAX)
    messages = feed_log.list_feed(tx, filters, after=start, until=until, limit=fields.limit)
    is_full = len(messages) == fields.limit
    next_after = (messages[-1].offset if messages else start) if is_full else until
    return Latest(messages, next_after, reset)


def _latest_filter(tx: Tx, fields: LatestFields) -> FeedFilter:
    reference = fields.market_id
    if reference is None:
        return FeedFilter("listed", fields.types)
    market_id = tx.value(
        f"SELECT market_id FROM markets WHERE {reference.column} = ? AND known = 1", (reference.value,)
    )
    if market_id is None:
        raise NotFound("There is no such market.")
    return FeedFilter("market", fields.types, (market_id,))


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/stream",
        stream,
        "Server-sent events.",
        fields=StreamFields,
        tag="push",
        head=False,
        media_type="text/event-stream",
        answer='event: trade\nid: 42\ndata: {"type":"trade","offset":42,…}\n\n',
        refuses=(
            "missing",
            "bad_signature",
            "expired",
            "revoked",
            "wallet_mismatch",
            "connections_max",
            "shutting_down",
        ),
    ),
    Endpoint(
        "GET",
        "/api/events/latest",
        latest,
        "The feed's messages, for clients that poll.",
        fields=LatestFields,
        tag="events",
        answer=examples.LATEST,
    ),
)
