"""uvicorn's WebSocket protocol, made to stand hostile peers."""

import asyncio
import socket
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

CLOSE_GRACE_S = 2.0
"""How long a peer may take to read the rest and answer the close frame before the socket is cut off."""
SEND_BUFFER_BYTES = 131_072
"""What the system may keep for a peer that does not read; left alone it keeps 4 MB, before the node notices."""
PIECE_BYTES = 1_024
"""How much is decoded at once. A socket may bring forty thousand empty frames in one read: a second of work."""
OTHER_FRAMES_PER_MINUTE = 300
"""Pings, pongs and pieces of messages a client may send; whole messages have a limit of their own."""
MINUTE_S = 60.0
BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
INVALID_TEXT = 1007


PEER_GONE_MS = 30_000
"""How long what was sent may stay unacknowledged. Nobody answers the pings of an event stream: without this the system
goes on for a quarter of an hour to send to a peer whose network is gone."""


def bound_send_buffer(transport: asyncio.BaseTransport) -> None:
    """Let a connection that carries messages for long hold little in the system, and no longer than somebody is there;
    Linux grants twice what is asked.
    """
    found = transport.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PEER_GONE_MS)


class PatientWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket with an end to its patience: it decodes whatever a read brings before anybody may object,
    answers pings whose answers nobody reads, waits for ever for a handshake it could not read, and for a peer that does
    not read the close.
    """

    is_flowing = True
    """Whether the transport has little enough to send. uvicorn's event says the same at three times the cost."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unread: list[bytes] = []
        self._other_frames = 0
        self._minute_ends_s = 0.0
        self._is_deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        bound_send_buffer(transport)

    def data_received(self, data: bytes) -> None:
        self._unread += [data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)]
        self._decode()
        if not self.handshake_initiated:
            # The whole request comes in one piece from the HTTP protocol, so the rest of it will not come.
            self.transport.write(BAD_HANDSHAKE)
            self.transport.close()
        if self.transport.is_closing():
            self.end_soon()

    def _decode(self) -> None:
        """As far as the handler takes what is found; the rest waits in the node, and then in the peer."""
        while self._unread and not self.read_paused:
            if self._is_deaf or self.transport.is_closing():
                self._unread.clear()
                return
            super().data_received(self._unread.pop(0))

    async def receive(self) -> Any:
        message = await super().receive()
        self._decode()
        return message

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_text(self.frames):
            # uvicorn writes a traceback into the log for it.
            self.frames = []
            self.conn.send_close(INVALID_TEXT)
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def handle_text(self, event: Frame) -> None:
        if self.close_sent:
            self._count_frame()
        super().handle_text(event)

    def handle_cont(self, event: Frame) -> None:
        self._count_frame()
        super().handle_cont(event)

    def handle_ping(self) -> None:
        self._count_frame()
        if self.is_flowing:
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_pong(self, event: Frame) -> None:
        self._count_frame()
        super().handle_pong(event)

    def _count_frame(self) -> None:
        now_s = self.loop.time()
        if now_s >= self._minute_ends_s:
            self._minute_ends_s = now_s + MINUTE_S
            self._other_frames = 0
        self._other_frames += 1
        if self._other_frames > OTHER_FRAMES_PER_MINUTE and not self._is_deaf:
            self._is_deaf = True
            self.flooded()

    def flooded(self) -> None:
        """The client sends more frames than anybody needs; whatever else it sends is thrown away."""
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.is_flowing = False

    def resume_writing(self) -> None:
        super().resume_writing()
        self.is_flowing = True

    def eof_received(self) -> None:
        super().eof_received()
        self.end_soon()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self.end_soon()

    def shutdown(self) -> None:
        super().shutdown()
        self.end_soon()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        # The peer is silent: what it has not read by now would keep the socket open for ever.
        self.transport.abort()

    def end_soon(self) -> None:
        """A transport that is closed lives on until the peer has read the rest, or for ever."""
        self.loop.call_later(CLOSE_GRACE_S, self.transport.abort)


def _is_text(pieces: list[bytes]) -> bool:
    try:
        b"".join(pieces).decode()
    except UnicodeDecodeError:
        return False
    return True
