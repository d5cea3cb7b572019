"""uvicorn's protocols with a direct way to the socket, for connections that live long.

Feed messages are written to the transport as finished bytes: one message costs its encoding once and one write per
client, and messages that wait together go out in one write. The ASGI ``send`` would encode each for each client, wait
in a task of its own, and could not close a connection whose peer reads nothing: closing waits for the peer, aborting
does not. All else (handshake, reading, pings, answers) stays uvicorn's; handlers find the wire in the scope.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from websockets.http11 import Request as Handshake

from zmart_lite.api.http.crowd import Crowd, CrowdedHttp
from zmart_lite.api.http.headers import LINE_END, CommonHeaders, Lines
from zmart_lite.api.http.patient_websocket import CLOSE_GRACE_S, PatientWebSocket, bound_send_buffer
from zmart_lite.api.http.plain_wire import PlainHttpWire, PlainWebSocketWire
from zmart_lite.config import Config
from zmart_lite.errors import BadRequest
from zmart_lite.push.frames import SSE_RETRY, Batch, http_chunk
from zmart_lite.push.subscriber import SLOW, Ending

EXTENSION = "zmart_lite.wire"
WHOLE = "zmart_lite.whole"
HEAD_BYTES_MAX = 64 * 1024
"""Request line and headers, besides the piece in which they begin and that in which they end."""
PIPELINE_MAX = 16
"""Requests that may wait for the answer of one before them. A single read can bring thousands, and one may be a stream
that never ends."""
PATIENCE_S = 30.0
"""How long a client may take to send a whole request, and to take what was written for it."""


def _nothing() -> None:
    pass


class WebSocketWire(PatientWebSocket):
    """A WebSocket as the Hub's sink."""

    kind = "websocket"
    on_drain: Callable[[], None] = staticmethod(_nothing)
    on_lost: Callable[[], None] = staticmethod(_nothing)
    on_flood: Callable[[], None] = staticmethod(_nothing)

    def handle_connect(self, event: Handshake) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:
            # The handler's task has been made but has not run yet.
            cast(dict[str, Any], self.scope["extensions"])[EXTENSION] = self

    async def leave(self) -> None:
        """Nothing outlives the connection."""

    def forget_handshake(self) -> None:
        """Let go of what was only needed to accept."""
        self.request.headers.clear()
        del self.request, self.response

    @property
    def ready(self) -> bool:
        return self.is_flowing and self.handshake_complete and not self.close_sent and not self.transport.is_closing()

    @property
    def broke(self) -> bool:
        """Whether the connection ended without either side having said so."""
        return not self.close_sent and self.conn.close_rcvd is None and self.conn.close_sent is None

    def write(self, batch: Batch) -> None:
        self.transport.write(batch.frames)

    def offer(self, batch: Batch) -> bool:
        if self.ready:
            self.transport.write(batch.frames)
            return True
        return False

    def end(self, ending: Ending) -> None:
        """Close with this code now, even if earlier bytes still wait for the peer."""
        if self.close_sent or self.transport.is_closing():
            self.end_soon()
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": ending.code, "reason": ending.reason})
        self.conn.send_close(ending.code, ending.reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_GRACE_S, self.transport.abort)

    def flooded(self) -> None:
        self.on_flood()
        if not self.close_sent:
            super().flooded()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.on_drain()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.on_lost()


class _Timer:
    """One call after ``PATIENCE_S``, unless stopped before."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    @property
    def runs(self) -> bool:
        return self._handle is not None

    def start(self, call: Callable[[], None]) -> None:
        self.stop()
        self._handle = self._loop.call_later(PATIENCE_S, call)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class PatientHttp(CrowdedHttp):
    """uvicorn's HTTP with an end to its patience: it waits for ever for a request that does not come or an answer that
    is not read, and takes headers of any length.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = False
        self._is_whole = False
        """Whether the newest request has been received to its end."""
        self._upgraded = False
        self._head_bytes = 0
        self._running: RequestResponseCycle | None = None
        self._for_request = _Timer(self.loop)
        self._for_reader = _Timer(self.loop)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._for_request.start(self._give_up)

    def data_received(self, data: bytes) -> None:
        was_in_head = self._in_head
        super().data_received(data)
        if self._upgraded or self.transport.is_closing():
            return
        self._head_bytes = self._head_bytes + len(data) if was_in_head and self._in_head else 0
        if self._head_bytes > HEAD_BYTES_MAX:
            self.send_400_response("The request's headers are too long.")
        elif self._is_whole and not self.cycle.response_complete:
            self._for_request.stop()
        elif not self._for_request.runs:
            self._for_request.start(self._give_up)

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINE_MAX:
            # Stops the parser; uvicorn answers 400 and closes.
            raise BadRequest("Too many requests at once.")
        super().on_message_begin()
        self._in_head, self._is_whole = True, False

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_whole = True

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._finish_closing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._finish_closing()

    def handle_websocket_upgrade(self) -> None:
        self._upgraded = True
        self._for_request.stop()
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._for_reader.start(self.transport.abort)

    def resume_writing(self) -> None:
        self._for_reader.stop()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._for_request.stop()
        self._for_reader.stop()
        super().connection_lost(exc)
        self._disconnect()

    def send_400_response(self, msg: str) -> None:
        super().send_400_response(msg)
        self._disconnect()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _disconnect(self) -> None:
        """Tell the request that is being answered. uvicorn tells only the newest, which may wait behind it, and an
        answer to a connection that is gone raises.
        """
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()

    def _give_up(self) -> None:
        if self.pipeline:  # nothing is read while requests before this one are answered
            self._for_request.start(self._give_up)
        else:
            self.transport.abort()

    def _finish_closing(self) -> None:
        """A closed connection lives on until the peer has read the rest, or for ever."""
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._for_reader.start(self.transport.abort)


AnswerWhole = Callable[[int, Lines, bytes], Awaitable[None]]
"""Sends a whole answer: status, headers, body."""


class HttpWire(PatientHttp):
    """An HTTP connection that takes whole answers, and is the Hub's sink once a response of type text/event-stream has
    begun.
    """

    kind = "sse"
    on_drain: Callable[[], None] = staticmethod(_nothing)
    on_lost: Callable[[], None] = staticmethod(_nothing)
    on_end: Callable[[Ending], None] = staticmethod(lambda _: None)
    _answered: RequestResponseCycle
    _chunks = True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # Nothing in the scope refers to the cycle, which refers to the scope: a request in a circle stays in memory
        # until Python looks for circles, and fifty thousand of them stop everything for a twentieth of a second.
        cast(dict[str, Any], cycle.scope)["extensions"] = {EXTENSION: self, WHOLE: self.answer_whole}
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    async def answer_whole(self, status: int, lines: Lines, body: bytes) -> None:
        """Answer the request whose turn it is, head and body in one write: one system call, and the peer wakes up once.
        The ASGI ``send`` needs two.

        An answer that nobody waits for any more is dropped.
        """
        cycle = self._answered
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        closing = b"" if cycle.keep_alive else b"connection: close\r\n"
        # The server's own: the date.
        defaults = b"".join([b"%s: %s\r\n" % header for header in cycle.default_headers])
        cycle.transport.write(b"".join((STATUS_LINE[status], defaults, lines, closing, LINE_END, body)))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()

    def announce(self) -> None:
        """A stream is about to begin. HTTP/1.0 knows no chunks: there it ends with its connection."""
        self._chunks = self._answered.scope["http_version"] != "1.0"
        if not self._chunks:
            self._answered.chunked_encoding = False

    @property
    def ready(self) -> bool:
        return not self.flow.write_paused and not self.transport.is_closing()

    def write(self, batch: Batch) -> None:
        self.transport.write(batch.chunk if self._chunks else batch.blocks)

    def offer(self, batch: Batch) -> bool:
        if self.ready:
            self.write(batch)
            return True
        return False

    def write_chunk(self, data: bytes) -> None:
        self.transport.write(http_chunk(data) if self._chunks else data)

    def begin(self) -> None:
        """A stream begins."""
        self.leave_crowd()
        bound_send_buffer(self.transport)
        self.write_chunk(SSE_RETRY)

    def release(self) -> None:
        """The stream is over; the connection may serve other requests."""
        self.join_crowd()
        del self.on_drain, self.on_lost, self.on_end

    def end(self, ending: Ending) -> None:
        """Let the handler finish the response; cut off a peer that reads too slowly to see that."""
        if ending is SLOW or self.flow.write_paused:
            self.transport.abort()
        self.on_end(ending)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.on_drain()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.on_lost()


def websocket_wire(scope: Scope, send: Send) -> WebSocketWire | PlainWebSocketWire:
    """The sink of an accepted WebSocket: the connection itself, or plain ASGI in a server that is not
    the node's own.
    """
    return cast(WebSocketWire | None, _wire(scope)) or PlainWebSocketWire(send)


def http_wire(scope: Scope, receive: Receive, send: Send) -> HttpWire | PlainHttpWire:
    """The sink of an event stream, likewise."""
    return cast(HttpWire | None, _wire(scope)) or PlainHttpWire(receive, send)


def find_wire(scope: Scope) -> HttpWire | None:
    """The connection of an HTTP request; None in another's server, which knows nothing of it."""
    return cast(HttpWire | None, scope.get("extensions", {}).get(EXTENSION))


def whole_answer(scope: Scope) -> AnswerWhole | None:
    """How this server sends a whole answer; None if it can only be sent in parts."""
    found = scope.get("extensions", {}).get(WHOLE)
    return cast(AnswerWhole | None, found)


def _wire(scope: Scope) -> object:
    return scope.get("extensions", {}).get(EXTENSION)


def server_options(config: Config, crowd: Crowd | None = None) -> dict[str, Any]:
    """What ``uvicorn.Config`` has to be given for the streams: protocols, frame size, pings, no compression.

    ``crowd`` counts the connections; by default one with the settings' limits.
    """
    push = config.push
    # Of a request that was not understood the origin is not known.
    common = CommonHeaders(config.server).of(None, policy=True)
    return {
        "http": partial(HttpWire, crowd=crowd or Crowd(config.server), common=common),
        "ws": WebSocketWire,
        "ws_max_size": push.frame_bytes_max,
        "ws_ping_interval": float(push.ping_interval_s),
        "ws_ping_timeout": float(push.ping_interval_s),
        "ws_per_message_deflate": False,
    }
