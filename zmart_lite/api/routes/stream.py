"""The live feed over HTTP: ``GET /api/stream`` and ``GET /api/events/latest``."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from zmart_lite.api.contract.endpoints import Endpoint, Stream
from zmart_lite.api.contract.parsers import JSON_INTEGER_MAX, integer, market_ref
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import Parser, Problems, field, page_limit
from zmart_lite.api.http.crowd import no_room, too_many_from_address
from zmart_lite.api.http.proxies import limit_key
from zmart_lite.api.live.callers import authorize
from zmart_lite.api.live.commands import OFFSET_MAX, ResumePoint, named_channel, resume_point
from zmart_lite.api.live.snapshots import read_opening
from zmart_lite.api.live.sse import EventStream
from zmart_lite.api.live.streams import Streams
from zmart_lite.api.openapi import examples
from zmart_lite.errors import BadRequest, NotFound, RateLimited, Unauthorized, Unavailable
from zmart_lite.models import FeedMessage
from zmart_lite.push.channels import PUBLIC, PUBLIC_TYPES, Channel
from zmart_lite.push.frames import envelope_of
from zmart_lite.push.subscriber import CROWDED, FULL, Ending
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import feed as feed_log
from zmart_lite.store.log.feed import FeedFilter
from zmart_lite.store.views.rows import MarketRef

SSE_CHANNELS_MAX = 20
LATEST_TYPES = (*PUBLIC_TYPES, "price", "voting_progress")

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
    streams = request.service(Streams)
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
