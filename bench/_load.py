"""A load generator: many connections on one uvloop, requests made beforehand, answers only counted."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

NextRequest = Callable[[bytes | None], bytes | None]
"""Gets the end of the answer before (None at first) and gives the next request, None to stop."""
TAIL_BYTES = 600
"""How much of an answer's end a client is shown."""


class Load(NamedTuple):
    """What came of it. Times in seconds."""

    answers: int
    seconds: float
    latencies: list[float]
    wrong: int

    @property
    def rate(self) -> float:
        return self.answers / self.seconds

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1_000


class _Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered. ``status``: how a good answer begins."""

    def __init__(self, following: NextRequest, status: bytes) -> None:
        self._following, self._status = following, status
        self._until = 0.0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.latencies: list[float] = []
        self.wrong = 0
        self._missing = 0
        self._head = b""
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    async def greet(self) -> None:
        """One request that is not counted: the server has taken the connection then, for which it has no time later."""
        self._asked = time.perf_counter()
        self._transport.write(HELLO)
        await self._done
        self.latencies.clear()
        self.wrong, self._tail = 0, b""

    async def ask(self, until: float) -> None:
        self._until, self._done = until, asyncio.get_running_loop().create_future()
        self._ask(None)
        await self._done
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
            self._tail = (self._tail + data)[-TAIL_BYTES:]
        else:
            self._begin(self._head + data)
        if not self._missing and not self._head:
            self._answered()

    def _begin(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n")
        self._head = data if end < 0 else b""
        if end < 0:
            return
        at = data.index(b"content-length: ") + 16
        length = int(data[at : data.index(b"\r\n", at)])
        self._missing = end + 4 + length - len(data)
        self._tail = data[-TAIL_BYTES:]
        if not data.startswith(self._status):
            self.wrong += 1

    def _answered(self) -> None:
        now = time.perf_counter()
        self.latencies.append(now - self._asked)
        if now >= self._until:
            self._finish()
        else:
            self._ask(self._tail)

    def _ask(self, tail: bytes | None) -> None:
        request = self._following(tail)
        if request is None:
            self._finish()
            return
        self._asked = time.perf_counter()
        self._transport.write(request)

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the node closed the connection"))


async def load(port: int, clients: list[NextRequest], status: bytes, seconds: float) -> Load:
    """Let all clients ask at once for so long, beginning when the server has taken the last connection."""
    loop = asyncio.get_running_loop()
    protocols: list[_Client] = []
    for following in clients:
        _, protocol = await loop.create_connection(
            lambda following=following: _Client(following, status), "127.0.0.1", port
        )
        await protocol.greet()
        protocols.append(protocol)
    started = time.perf_counter()
    await asyncio.gather(*(protocol.ask(started + seconds) for protocol in protocols))
    took = time.perf_counter() - started
    latencies = [latency for protocol in protocols for latency in protocol.latencies]
    return Load(len(latencies), took, latencies, sum(protocol.wrong for protocol in protocols))


def get_request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()


def post_request(path: str, token: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def repeating(request: bytes) -> NextRequest:
    return lambda _: request


def each_once(requests: Iterator[bytes]) -> NextRequest:
    return lambda _: next(requests, None)


HELLO = get_request("/health")
