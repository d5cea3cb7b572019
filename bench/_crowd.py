"""Thousands of clients of the live feed in one thread: sockets on epoll, frames counted, not decoded.

A client costs a few microseconds a message, less than any server needs to send it, so that what is measured is the
server. Connections are opened some at a time, and pings are answered whenever the crowd is let run.
"""

import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

OPENING_MAX = 256
RECEIVE_BYTES = 65_536
PATIENCE_S = 60.0
TEXT, CLOSE, PING = 1, 8, 9
PONG_FRAME = b"\x8a\x84\0\0\0\0"
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
STREAM = "GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n"


class Kind(NamedTuple):
    """How a client enters and how many messages it gets before those that are counted."""

    request: bytes
    status: bytes
    then: bytes = b""
    openings: int = 0
    is_stream: bool = False


def _masked(payload: bytes) -> bytes:
    """A text frame whose mask is zeros."""
    assert len(payload) < 126
    return bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def listening(channel: str) -> Kind:
    """A WebSocket of the node that subscribes: welcome and confirmation come first."""
    subscribe = json.dumps({"action": "subscribe", "channel": channel}).encode()
    return Kind(HANDSHAKE.format(path="/ws").encode(), b"HTTP/1.1 101", _masked(subscribe), openings=2)


def streaming(channel: str) -> Kind:
    """An event stream of the node; the confirmation and the line before it come first."""
    request = STREAM.format(path=f"/api/stream?channels={channel}").encode()
    return Kind(request, b"HTTP/1.1 200", openings=2, is_stream=True)


PLAIN = Kind(HANDSHAKE.format(path="/").encode(), b"HTTP/1.1 101")


class Client:
    """One connection. ``count`` messages have come, the last at ``last_at``."""

    __slots__ = ("_head_read", "_rest", "count", "is_open", "kind", "last_at", "socket", "wrong")

    def __init__(self, kind: Kind, port: int) -> None:
        self.kind = kind
        self.count = -kind.openings
        self.last_at = 0.0
        self.is_open = True
        self.wrong: str | None = None
        self._head_read = False
        self._rest = b""
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.socket.send(kind.request)

    @property
    def ready(self) -> bool:
        return self._head_read and self.count >= 0

    def receive(self) -> None:
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            self._fail("the connection ended")
            return
        if self._rest:
            data = self._rest + data
        if not self._head_read:
            data = self._read_head(data)
        if not self._head_read:
            self._rest = data
        elif self.kind.is_stream:
            self.count += data.count(b"\n\n")
            self._rest = b"\n" if data.endswith(b"\n") and not data.endswith(b"\n\n") else b""
        else:
            self._rest = self._read_frames(data)
        self.last_at = time.perf_counter()

    def _fail(self, why: str) -> None:
        self.is_open = False
        self.wrong = why

    def _read_head(self, data: bytes) -> bytes:
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            return data
        self._head_read = True
        if not head.startswith(self.kind.status):
            self._fail(head[:60].decode())
        elif self.kind.then:
            self.socket.send(self.kind.then)
        return rest

    def _read_frames(self, data: bytes) -> bytes:
        """Count the text frames and answer pings; what is left is the beginning of a frame."""
        at, end = 0, len(data)
        while end - at >= 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif length == 127:
                length, start = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if start + length > end:
                break
            if data[at] & 15 == TEXT:
                self.count += 1
            else:
                self._control(data[at] & 15, data[start : start + length])
            at = start + length
        return data[at:]

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.socket.send(PONG_FRAME + payload)
        elif opcode == CLOSE:
            self._fail(f"closed with {int.from_bytes(payload[:2])}")


class Crowd:
    """All clients of this process, and whatever else is to be read meanwhile."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._awaited = self._arrived = 0

    def watch(self, file_number: int, read: Callable[[], None]) -> None:
        self._readers[file_number] = read
        self._epoll.register(file_number, select.EPOLLIN)

    def forget(self, file_number: int) -> None:
        self._epoll.unregister(file_number)
        del self._readers[file_number]

    def run_until(self, done: Callable[[], bool], what: str) -> None:
        """Read until it is done. Raises TimeoutError, which names ``what`` was waited for."""
        until = time.perf_counter() + PATIENCE_S
        while not done():
            self.run_once()
            if time.perf_counter() > until:
                raise TimeoutError(what)

    def run_for(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            self.run_once()

    def run_once(self) -> None:
        readers = self._readers
        for file_number, _ in self._epoll.poll(0.05):
            readers[file_number]()

    def open(self, kind: Kind, port: int, count: int) -> list[Client]:
        """So many clients that are listening."""
        clients: list[Client] = []
        while len(clients) < count:
            some = list(self._enter(kind, port, min(OPENING_MAX, count - len(clients))))
            self.run_until(lambda some=some: all(each.ready or not each.is_open for each in some), "clients to enter")
            clients += some
        check(clients, 0)
        return clients

    def _enter(self, kind: Kind, port: int, count: int) -> Iterator[Client]:
        for _ in range(count):
            client = Client(kind, port)
            self.watch(client.socket.fileno(), lambda client=client: self._receive(client))
            yield client

    def _receive(self, client: Client) -> None:
        before = client.count
        client.receive()
        # Asking every client after every few frames would cost more than reading them.
        self._arrived += before < self._awaited <= client.count
        if not client.is_open:
            self._leave(client)

    def arrivals(self, clients: list[Client], count: int) -> list[float]:
        """When each had got so many more messages (``time.perf_counter``)."""
        self._awaited = count
        self._arrived = sum(client.count >= count for client in clients)
        self.run_until(lambda: self._arrived == len(clients), f"{count} messages to {len(clients)} clients")
        check(clients, count)
        for client in clients:
            client.count = 0
        return [client.last_at for client in clients]

    def close(self, clients: list[Client]) -> None:
        for client in clients:
            if client.is_open:
                client.is_open = False
                self._leave(client)

    def _leave(self, client: Client) -> None:
        self.forget(client.socket.fileno())
        client.socket.close()


def check(clients: list[Client], count: int) -> None:
    """Raise RuntimeError unless every client is there and has got exactly so many messages."""
    for client in clients:
        if client.wrong is not None or client.count != count:
            raise RuntimeError(client.wrong or f"{client.count} messages instead of {count}")
