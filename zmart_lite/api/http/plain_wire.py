"""Streams over plain ASGI, for servers that are not the node's own: another uvicorn, ``TestClient``.

A task for each connection sends what waits, since the hub never does. It does what the wires of ``wire`` do, but for
two things that ASGI has no word for: a client that reads nothing is told to go and not cut off, and each message is
framed for each client.
"""

import asyncio
from collections.abc import Callable

from starlette.types import Message, Receive, Send

from zmart_lite.push.frames import SSE_RETRY, Batch
from zmart_lite.push.subscriber import Ending

CLOSE_GRACE_S = 1.0
"""How long a server may take for the last messages of a connection."""


def _nothing() -> None:
    pass


class _PlainWire:
    """``ready`` while the server has taken everything that was written."""

    def __init__(self, send: Send) -> None:
        self.on_drain: Callable[[], None] = _nothing
        self.on_lost: Callable[[], None] = _nothing
        self._send = send
        self._waiting: list[Message] = []
        self._more, self._sent = asyncio.Event(), asyncio.Event()
        self._is_open = True
        # Held here for as long as the connection lives, and cancelled at its end.
        self._task = asyncio.get_running_loop().create_task(self._send_waiting(), name="plain-stream")

    @property
    def ready(self) -> bool:
        return self._is_open and not self._waiting

    def offer(self, batch: Batch) -> bool:
        if self.ready:
            self.write(batch)
            return True
        return False

    def write(self, batch: Batch) -> None:
        raise NotImplementedError

    def release(self) -> None:
        """The connection is over, or no stream any more."""
        self._is_open = False
        self._task.cancel()

    def _put(self, message: Message) -> None:
        self._waiting.append(message)
        self._more.set()

    async def _send_waiting(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                try:
                    await self._send(self._waiting[0])
                except (OSError, RuntimeError):
                    # How servers say that the client is gone, or that its connection is closed.
                    self._is_open = False
                    self.on_lost()
                    return
                del self._waiting[0]
            self._sent.set()
            self._sent.clear()
            self.on_drain()


class PlainWebSocketWire(_PlainWire):
    """A WebSocket as the hub's sink."""

    kind = "websocket"
    broke = False
    """Plain ASGI does not tell a lost connection from one that was closed."""

    def __init__(self, send: Send) -> None:
        super().__init__(send)
        self.on_flood: Callable[[], None] = _nothing
        """Never called: how many frames a client may send is the server's to bound."""

    def forget_handshake(self) -> None:
        """The server keeps it."""

    def write(self, batch: Batch) -> None:
        for envelope in batch.envelopes:
            self._put({"type": "websocket.send", "text": envelope.payload.decode()})

    def end(self, ending: Ending) -> None:
        if self._is_open:
            self._is_open = False
            # What is being sent stays: it is taken off when the server has it.
            del self._waiting[1:]
            self._put({"type": "websocket.close", "code": ending.code, "reason": ending.reason})

    async def leave(self) -> None:
        """See off the connection: what still waits, a close above all, has a moment to go out."""
        try:
            async with asyncio.timeout(CLOSE_GRACE_S):
                while self._waiting and not self._task.done():
                    await self._sent.wait()
        except TimeoutError:
            self.broke = True
        self.release()


class PlainHttpWire(_PlainWire):
    """An event stream as the hub's sink. ``receive`` tells when the client leaves."""

    kind = "sse"

    def __init__(self, receive: Receive, send: Send) -> None:
        super().__init__(send)
        self.on_end: Callable[[Ending], None] = lambda _: None
        self._watching = asyncio.get_running_loop().create_task(self._watch(receive), name="plain-stream-end")

    def announce(self) -> None:
        """The server finds the form of the body by itself."""

    def begin(self) -> None:
        self.write_chunk(SSE_RETRY)

    def write(self, batch: Batch) -> None:
        self.write_chunk(batch.blocks)

    def write_chunk(self, data: bytes) -> None:
        self._put({"type": "http.response.body", "body": data, "more_body": True})

    def end(self, ending: Ending) -> None:
        self._is_open = False
        self.on_end(ending)

    def release(self) -> None:
        super().release()
        self._watching.cancel()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._is_open = False
        self.on_lost()
