"""One WebSocket connection (contract section 4), from the handshake to its close."""

import asyncio
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from zmart_lite.api.contract.errors import as_request_error
from zmart_lite.api.contract.validate import parse_query
from zmart_lite.api.http.plain_wire import PlainWebSocketWire
from zmart_lite.api.http.wire import WebSocketWire, websocket_wire
from zmart_lite.api.live.callers import ANONYMOUS, Caller
from zmart_lite.api.live.commands import Command, ResumePoint, decode_command, resume_point
from zmart_lite.api.live.listener import Listener
from zmart_lite.api.live.streams import Streams
from zmart_lite.errors import BadRequest, RequestError, StoreUnavailable, Unauthorized
from zmart_lite.push.channels import ALERTS, Channel, market_channel, wallet_channel
from zmart_lite.push.frames import Envelope
from zmart_lite.push.subscriber import CROWDED, FLOOD, IDLE, MISBEHAVED, UNAUTHORIZED, Ending, Subscriber
from zmart_lite.shown import optional_address

BAD_MESSAGES_MAX = 10
"""Bad messages in a row before a client is sent away."""
RATE_WINDOW_S = 60.0
CHANNEL_TURNS_PER_MINUTE = 3
"""How often a client may ask for as many channels as a connection may have: each may bring a snapshot."""
PATH_SEGMENTS_MAX = 3


class Destination(NamedTuple):
    """What a WebSocket URL stands for. ``exists`` is False where its id can name nothing."""

    channel: Channel | None = None
    needs_credential: bool = False
    exists: bool = True


def find_destination(path: str) -> Destination | None:
    """The destination of a path; None refuses the handshake."""
    segments = [part for part in path.split("/") if part] if len(path) < 256 else []
    match segments:
        case [] if path in ("", "/"):
            return Destination()
        case ["ws"]:
            return Destination()
        case ["markets", reference]:
            return _required(market_channel(reference))
        case ["markets", reference, "voting"]:
            return _required(market_channel(reference, "voting"))
        case ["users", reference, "positions"]:
            return _required(wallet_channel(reference))
        case ["alerts"]:
            return _required(ALERTS)
    return None


def _required(channel: Channel | None) -> Destination:
    return Destination(channel, needs_credential=True, exists=channel is not None)


class WebSocketConnection:
    """Reads the client's frames one by one; all that goes out passes through the subscriber."""

    def __init__(
        self, streams: Streams, wire: WebSocketWire | PlainWebSocketWire, address: str, caller: Caller, *, browser: bool
    ) -> None:
        self.subscriber = Subscriber(wire)
        self.caller = caller
        self._streams = streams
        self._wire = wire
        self._address = address
        self._may_be_implicit = streams.limits.implicit_feed == "all" or (
            browser and streams.limits.implicit_feed == "browser"
        )
        self._implicit_due = False
        self._busy = True
        self._asked = False
        self._bad_in_a_row = 0
        self._window_ends_s = 0.0
        self._window_count = 0
        self._window_channels = 0
        self.last_heard_s = streams.monotonic()

    async def run(self, receive: Receive, destination: Destination, point: ResumePoint | None) -> None:
        """From the welcome to the end. The seat has been taken and is given back here."""
        streams, subscriber = self._streams, self.subscriber
        wire = self._wire
        wire.on_drain, wire.on_lost, wire.on_flood = subscriber.flush, self._lost, self._flooded
        streams.hub.join(subscriber, resumed=point is not None)
        streams.connections.add(self)
        timer = None
        try:
            subscriber.send(self._welcome())
            if await self._open(destination, point):
                if destination.channel is None and self._may_be_implicit:
                    timer = asyncio.get_running_loop().call_later(streams.implicit_delay_s, self.begin_implicit)
                await self._read(receive)
        finally:
            if timer is not None:
                timer.cancel()
            streams.connections.discard(self)
            streams.hub.leave(subscriber)
            streams.hub.release(self._address)

    def check(self, now_ms: int, now_s: float) -> None:
        """End the connection if its credential or its patience has run out."""
        if self.caller.expires_ms is not None and now_ms >= self.caller.expires_ms:
            self.refuse()
        elif not self.subscriber.channels and now_s - self.last_heard_s >= self._streams.limits.idle_timeout_s:
            self._streams.hub.drop(self.subscriber, IDLE)

    def refuse(self) -> None:
        self._streams.hub.drop(self.subscriber, UNAUTHORIZED)

    def _lost(self) -> None:
        self._streams.hub.leave(self.subscriber, lost=self._wire.broke)

    def _flooded(self) -> None:
        self._end(MISBEHAVED)

    def _welcome(self) -> Envelope:
        limits = self._streams.limits
        data = {
            "client_id": self._streams.new_id(),
            "message": "Connected to ZMART WebSocket server",
            "version": self._streams.version,
            "database_id": self._streams.store.database_id,
            "genesis_hash": optional_address(self._streams.genesis_hash),
            "head": self._streams.hub.head,
            "heartbeat_seconds": limits.ping_interval_s,
            "wallet": self._streams.wallet_text(self.caller),
            "limits": {
                "messages_per_minute": limits.messages_per_minute,
                "subscriptions": limits.subscriptions_max,
                "frame_bytes": limits.frame_bytes_max,
            },
        }
        return Envelope("welcome", data, timestamp_ms=self._streams.now_ms())

    async def _open(self, destination: Destination, point: ResumePoint | None) -> bool:
        """Subscribe to what the URL names; False if that was the connection's end."""
        channel = destination.channel
        self._listener = Listener(self._streams, self.subscriber, self.caller, point if channel is None else None)
        if channel is not None:
            try:
                await self._listener.open((channel,), point, by_market=channel.kind == "market")
            except (BadRequest, StoreUnavailable) as error:
                self._streams.hub.drop(self.subscriber, _ending_for(error))
        self._busy = False
        return self.subscriber.ended is None

    async def _read(self, receive: Receive) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            self.last_heard_s = self._streams.monotonic()
            if text is None:
                self._end(MISBEHAVED)
            elif not self._within_rate():
                self._end(FLOOD)
            elif self.subscriber.ended is None:
                await self._handle(text)

    async def _handle(self, text: str) -> None:
        self._busy = True
        try:
            command = decode_command(text)
            if not self._within_channels(command):
                self._end(FLOOD)
                return
            await self._obey(command)
            self._bad_in_a_row = 0
        except (RequestError, StoreUnavailable) as error:
            self._complain(error)
        finally:
            self._busy = False
        # Who asks without reading the answers is not listened to either, so that answers do not pile up.
        await self.subscriber.drained()
        if self._implicit_due:
            self.begin_implicit()

    async def _obey(self, command: Command) -> None:
        match command.action:
            case "subscribe":
                await self._listener.subscribe(command)
                self._asked = True
            case "resume":
                await self._listener.resume(command)
                self._asked = True
            case "unsubscribe":
                await self._listener.unsubscribe(command)

    def _complain(self, error: Exception) -> None:
        known = as_request_error(error)
        if known is None:
            raise error
        data = {"error": known.message, "message": known.message, "code": known.code}
        self.subscriber.send(Envelope("error", data, timestamp_ms=self._streams.now_ms()))
        self._bad_in_a_row += 1
        if self._bad_in_a_row >= BAD_MESSAGES_MAX:
            self._end(MISBEHAVED)

    def _within_rate(self) -> bool:
        if self.last_heard_s >= self._window_ends_s:
            self._window_ends_s = self.last_heard_s + RATE_WINDOW_S
            self._window_count = self._window_channels = 0
        self._window_count += 1
        return self._window_count <= self._streams.limits.messages_per_minute

    def _within_channels(self, command: Command) -> bool:
        self._window_channels += len(command.channels)
        return self._window_channels <= CHANNEL_TURNS_PER_MINUTE * self._streams.limits.subscriptions_max

    def begin_implicit(self) -> None:
        """Begin the feed nobody asked for, unless the client has asked meanwhile or is being answered."""
        self._implicit_due = True
        if not self._asked and not self._busy and self.subscriber.ended is None and not self._listener.implicit:
            self._listener.begin_implicit()
        if not self._busy:
            self._implicit_due = False

    def _end(self, ending: Ending) -> None:
        self._streams.hub.drop(self.subscriber, ending)


def _ending_for(error: Exception) -> Ending:
    """Why the channel of a URL could not be opened."""
    return MISBEHAVED if isinstance(error, BadRequest) else Ending(1013, "Try again later", "store")


async def serve_websocket(streams: Streams, scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of every WebSocket URL."""
    destination = find_destination(scope["path"])
    await receive()
    if destination is None:
        await send({"type": "websocket.close"})
        return
    query = _query(scope)
    # Credentials in the URL must not reach uvicorn's log, which writes the query string on accept.
    scope["query_string"] = b""
    await send({"type": "websocket.accept"})
    wire = websocket_wire(scope, send)
    try:
        address = streams.address_of(scope)
        headers = dict(scope["headers"])
        caller, refusal = await _admit(streams, headers, query, destination, address)
        if refusal is not None:
            wire.end(refusal)
            return
        connection = WebSocketConnection(streams, wire, address, caller, browser=b"origin" in headers)
        # A connection may last for days; the kilobytes that a browser sent to open it need not.
        headers.clear()
        scope["headers"] = []
        wire.forget_handshake()
        await connection.run(receive, destination, resume_point(query["from"]) if query and "from" in query else None)
    finally:
        await wire.leave()


async def _admit(
    streams: Streams,
    headers: dict[bytes, bytes],
    query: dict[str, str] | None,
    destination: Destination,
    address: str,
) -> tuple[Caller, Ending | None]:
    """Who comes, and why not; without a refusal a seat has been taken."""
    if not streams.may_open(address):
        return ANONYMOUS, streams.hub.refuse(CROWDED)
    if not streams.origin_allowed(headers):
        return ANONYMOUS, Ending(MISBEHAVED.code, "Origin not allowed", "origin")
    if query is None:
        return ANONYMOUS, UNAUTHORIZED
    try:
        caller = await streams.identify(headers, query)
    except Unauthorized:
        return ANONYMOUS, UNAUTHORIZED
    except StoreUnavailable:
        return ANONYMOUS, Ending(1013, "Try again later", "store")
    if destination.needs_credential and not caller.is_known:
        return caller, UNAUTHORIZED
    if not destination.exists or not _may_enter(caller, destination):
        return caller, MISBEHAVED
    return caller, streams.hub.admit(address)


def _may_enter(caller: Caller, destination: Destination) -> bool:
    channel = destination.channel
    if channel is None or channel.kind != "user":
        return True
    return caller.is_admin or caller.service_key or caller.wallet == channel.subject


def _query(scope: Scope) -> dict[str, str] | None:
    """None where it cannot be read: a credential may be in it."""
    try:
        return parse_query(scope["query_string"])
    except BadRequest:
        return None
