"""Clients without a library behind them: bytes over a socket, against the real server, on both event loops."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from tests.api.stream_node import StreamNode, stream_node

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


Scenario = Callable[[StreamNode], Awaitable[None]]


def on_both_loops(scenario: Scenario) -> Callable[[Path, Callable[[], asyncio.AbstractEventLoop]], None]:
    """A test of a running node on asyncio's loop and on the one the node uses."""

    @pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
    def test(tmp_path: Path, make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        async def run() -> None:
            async with stream_node(tmp_path) as node:
                await scenario(node)

        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(run())

    return test


class Raw:
    """A client that reads only when told to."""

    def __init__(self, node: StreamNode) -> None:
        self.socket = socket.socket()
        # Small buffers: a test need not send megabytes before the node notices.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.connect(("127.0.0.1", node.port))
        self.socket.setblocking(False)
        self.loop = asyncio.get_running_loop()

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    async def send(self, data: bytes) -> None:
        await self.loop.sock_sendall(self.socket, data)

    async def subscribe(self) -> None:
        await self.send(HANDSHAKE.format(path="/ws").encode())
        await self.read_until(b"\r\n\r\n")
        await self.send(masked(json.dumps({"action": "subscribe", "channel": "public"}).encode()))

    async def read_until(self, end: bytes) -> bytes:
        """What comes up to ``end``, and few bytes more."""
        found = b""
        async with asyncio.timeout(5):
            while end not in found:
                found += await self.loop.sock_recv(self.socket, 64)
        return found

    async def read_all(self) -> bytes:
        found = b""
        try:
            async with asyncio.timeout(5):
                while chunk := await self.loop.sock_recv(self.socket, 65_536):
                    found += chunk
        except ConnectionResetError:
            pass
        return found


def masked(payload: bytes) -> bytes:
    """A short text frame of a client, with a mask of zeros."""
    assert len(payload) < 126
    return struct.pack("!BBI", 0x81, 0x80 | len(payload), 0) + payload


def close_code(data: bytes) -> int | None:
    """The code of the close frame at the very end."""
    start = data.rfind(b"\x88")
    if start < 0 or start + 2 + data[start + 1] != len(data):
        return None
    return int.from_bytes(data[start + 2 : start + 4], "big")
