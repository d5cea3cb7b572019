"""Event streams of which each client has its own: sse-starlette encodes, pings and notices who has gone.

The feed is another matter (:mod:`zmart_lite.api.live.sse`): there one encoding serves all.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec
from starlette.types import Receive, Scope, Send
from uvicorn import Server

from zmart_lite.api.http.patient_websocket import bound_send_buffer
from zmart_lite.api.http.wire import HttpWire, find_wire
from zmart_lite.api.live.callers import Caller
from zmart_lite.api.live.streams import Streams
from zmart_lite.errors import Unavailable
from zmart_lite.ops.wake import Wake
from zmart_lite.push.subscriber import SLOW

# sse-starlette replaces this method of uvicorn's when it is imported, for every server of the process, to learn of
# signals. These streams end by the node's own event, so that the method is put back as it was.
_handle_exit = Server.handle_exit
from sse_starlette import EventSourceResponse, ServerSentEvent  # noqa: E402

Server.handle_exit = _handle_exit  # type: ignore[method-assign]

Event = ServerSentEvent
"""For those who make events: a module that imported the library itself might do so before this one."""

HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
LINE_END = "\n"
GRACE_S = 0.5
"""How long a stream may take to end by itself when the node stops; it needs a turn of the loop, unless it is stuck."""
RETRY_AFTER_S = 5
encode_json = msgspec.json.Encoder().encode


class Kind(NamedTuple):
    """A kind of stream, in words for people, and how many of it there may be at once."""

    name: str
    seats: int


PROGRESS = Kind("progress of jobs", 32)
LOG = Kind("log", 8)


def event(name: str, data: object) -> Event:
    """``data``: JSON as text, or what becomes JSON."""
    text = data if isinstance(data, str) else encode_json(data).decode()
    return ServerSentEvent(text, event=name, sep=LINE_END)


def _ping() -> Event:
    return ServerSentEvent(comment="ping", sep=LINE_END)


class ClientStream(EventSourceResponse):
    """The ASGI application of one stream; gives its seat back when it ends.

    ``events`` wait at ``wake`` and end once it is over: when the node stops, and when the caller's credential does.
    """

    def __init__(self, streams: Streams, kind: Kind, caller: Caller, wake: Wake, events: AsyncIterator[Event]) -> None:
        super().__init__(
            events,
            headers=HEADERS,
            ping=streams.sse_ping_interval_s,
            sep=LINE_END,
            ping_message_factory=_ping,
            shutdown_grace_period=GRACE_S,
        )
        self.caller = caller
        self._streams = streams
        self._kind = kind
        self._wake = wake
        self._wire: HttpWire | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._wire = find_wire(scope)
        if self._wire is not None:
            self._wire.announce()
            # What the system would keep for a client that reads too slowly is lost to it, but told.
            bound_send_buffer(self._wire.transport)
        self._streams.connections.add(self)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.connections.discard(self)
            self._streams.seats[self._kind.name] -= 1

    def check(self, now_ms: int, _: float) -> None:
        """End the stream if its credential has run out."""
        if self.caller.expires_ms is not None and now_ms >= self.caller.expires_ms:
            self.refuse()

    def refuse(self) -> None:
        self.end()

    def end(self) -> None:
        """Have the stream end; a client that takes nothing is cut off, because it would not see that."""
        self._wake.end()
        if self._wire is not None and not self._wire.ready:
            self._wire.end(SLOW)

    async def _listen_for_exit_signal(self) -> None:  # type: ignore[override]
        """In the place of the library's watcher, a task that asks the process's signal handlers twice a second."""
        await self._streams.stopping.wait()
        self.end()


def take_seat(streams: Streams, kind: Kind) -> None:
    """To be given back by the :class:`ClientStream`. Raises Unavailable."""
    if streams.stopping.is_set():
        raise Unavailable("The node is stopping.", reason="shutting_down")
    if streams.seats[kind.name] >= kind.seats:
        text = f"At most {kind.seats} clients may follow the {kind.name} at once."
        raise Unavailable(text, reason="connections_max", retry_after_s=RETRY_AFTER_S)
    streams.seats[kind.name] += 1
