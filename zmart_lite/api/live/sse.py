"""One event stream of the feed (contract section 5).

Written plainly, not with sse-starlette: blocks go out ready-made and joined, a slow reader is cut off at once, and the
stream ends by the Hub's own word. The library encodes every event for every client and keeps four tasks for each;
streams of which each client has its own go through it (:mod:`zmart_lite.api.live.client_stream`).
"""

import asyncio
from collections.abc import Sequence

from starlette.types import Receive, Scope, Send

from zmart_lite.api.http.plain_wire import PlainHttpWire
from zmart_lite.api.http.wire import HttpWire, http_wire
from zmart_lite.api.live.callers import Caller
from zmart_lite.api.live.commands import ResumePoint
from zmart_lite.api.live.listener import Listener
from zmart_lite.api.live.streams import Streams
from zmart_lite.push.channels import Channel
from zmart_lite.push.frames import SSE_PING
from zmart_lite.push.subscriber import UNAUTHORIZED, Ending, Subscriber

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class EventStream:
    """The ASGI application of one admitted stream; gives its seat back when it ends."""

    def __init__(
        self,
        streams: Streams,
        address: str,
        caller: Caller,
        channels: Sequence[Channel],
        point: ResumePoint | None,
    ) -> None:
        self.caller = caller
        self.subscriber: Subscriber
        self._streams = streams
        self._address = address
        self._channels = channels
        self._point = point
        self._ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            wire = http_wire(scope, receive, send)
            # A ticket in the URL must not reach uvicorn's log.
            scope["query_string"] = b""
            wire.announce()
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await self._stream(wire)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._streams.hub.release(self._address)

    def check(self, now_ms: int, _: float) -> None:
        """End the stream if its credential has run out."""
        if self.caller.expires_ms is not None and now_ms >= self.caller.expires_ms:
            self.refuse()

    def refuse(self) -> None:
        self._streams.hub.drop(self.subscriber, UNAUTHORIZED)

    async def _stream(self, wire: HttpWire | PlainHttpWire) -> None:
        hub = self._streams.hub
        subscriber = self.subscriber = Subscriber(wire)
        wire.on_drain, wire.on_lost, wire.on_end = subscriber.flush, self._ended.set, self._on_end
        hub.join(subscriber, resumed=self._point is not None)
        self._streams.connections.add(self)
        try:
            wire.begin()
            await Listener(self._streams, subscriber, self.caller).open(self._channels, self._point)
            await self._keep_alive(wire)
        finally:
            self._streams.connections.discard(self)
            hub.leave(subscriber)
            wire.release()

    async def _keep_alive(self, wire: HttpWire | PlainHttpWire) -> None:
        while not self._ended.is_set():
            try:
                async with asyncio.timeout(self._streams.sse_ping_interval_s):
                    await self._ended.wait()
            except TimeoutError:
                if wire.ready:
                    wire.write_chunk(SSE_PING)

    def _on_end(self, _: Ending) -> None:
        self._ended.set()
