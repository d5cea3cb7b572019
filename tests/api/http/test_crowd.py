"""Plain HTTP connections are counted, in all and by address; streams and what has ended are not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.api.stream_node import StreamNode, config_for_tests, stream_node
from zmart_lite.api.http import crowd
from zmart_lite.api.http.crowd import Crowd
from zmart_lite.config.sections import Server
from zmart_lite.errors import RateLimited, Unavailable

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
STREAM = b"GET /api/stream?channels=public HTTP/1.1\r\nHost: localhost\r\n\r\n"
Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def crowded(folder: Path, **limits: int) -> AsyncIterator[tuple[StreamNode, AsyncExitStack]]:
    config = config_for_tests(folder)
    config = replace(config, server=replace(config.server, **limits))
    async with stream_node(folder, config=config) as node, AsyncExitStack() as stack:
        yield node, stack


async def connect(node: StreamNode, stack: AsyncExitStack) -> Peer:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    stack.callback(writer.close)
    return reader, writer


async def asked(peer: Peer, request: bytes = GET) -> bytes:
    """The head of the answer."""
    peer[1].write(request)
    async with asyncio.timeout(5):
        head = await peer[0].readuntil(b"\r\n\r\n")
        if b"event-stream" not in head:
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return head + await peer[0].readexactly(length)
        return head


@pytest.mark.parametrize(
    ("setting", "status", "code", "reason"),
    [
        ("connections_max", 503, "SERVICE_UNAVAILABLE", "connections_max"),
        ("connections_per_address", 429, "RATE_LIMIT_EXCEEDED", None),
    ],
)
async def test_one_too_many_is_refused_in_the_one_shape(
    tmp_path: Path, setting: str, status: int, code: str, reason: str | None
) -> None:
    async with crowded(tmp_path, **{setting: 2}) as (node, stack):
        peers = [await connect(node, stack) for _ in range(3)]
        assert [b" 200 OK\r\n" in await asked(peer) for peer in peers[:2]] == [True, True]
        head, _, body = (await asked(peers[2])).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status)
        lines = set(head.split(b"\r\n"))
        assert {b"content-type: application/json", b"retry-after: 1", b"connection: close"} <= lines
        assert {b"access-control-allow-origin: *", b"x-content-type-options: nosniff"} <= lines, (
            "a page could not read it"
        )
        answer = json.loads(body)
        assert (answer["status"], answer["code"], answer["error"], answer.get("reason")) == (status, code, code, reason)
        assert await peers[2][0].read() == b""
        # Those inside go on, and who leaves makes room.
        assert b" 200 OK\r\n" in await asked(peers[0])
        peers[0][1].close()
        await node.until(lambda: len(node.server.server_state.connections) == 1)
        assert b" 200 OK\r\n" in await asked(await connect(node, stack))


async def test_streams_leave_room_and_take_it_again(tmp_path: Path) -> None:
    async with crowded(tmp_path, connections_max=1) as (node, stack):
        for _ in range(3):
            assert b"event-stream" in await asked(await connect(node, stack), STREAM)
        async with node.websocket() as first, node.websocket():
            await first.ask("subscribe", channel="trades")
            plain = await connect(node, stack)
            assert b" 200 OK\r\n" in await asked(plain)
            assert b" 503 " in await asked(await connect(node, stack))


async def test_who_is_refused_and_says_nothing_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "REFUSAL_S", 0.05)
    async with crowded(tmp_path, connections_max=1) as (node, stack):
        assert b" 200 OK\r\n" in await asked(await connect(node, stack))
        reader, _ = await connect(node, stack)
        async with asyncio.timeout(5):
            assert await reader.read() == b""


async def test_so_many_are_told_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "REFUSED_MAX", 1)
    async with crowded(tmp_path, connections_max=1) as (node, stack):
        assert b" 200 OK\r\n" in await asked(await connect(node, stack))
        told = await connect(node, stack)
        await node.until(lambda: len(node.server.server_state.connections) == 2)
        reader, _ = await connect(node, stack)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        assert b" 503 " in await asked(told)


def test_addresses_are_counted_apart_and_proxies_not() -> None:
    refused: list[None] = []
    settings = Server(connections_max=5, connections_per_address=1, trusted_proxies=("10.0.0.0/8",))
    found = Crowd(settings, lambda: refused.append(None))
    assert [found.enter(peer) for peer in ("10.1.1.1", "10.1.1.1", "192.0.2.1", "2001:db8::1")] == [None] * 4
    assert isinstance(found.enter("2001:db8::2"), RateLimited)
    found.leave("192.0.2.1")
    assert [found.enter("192.0.2.1"), found.enter("192.0.2.2")] == [None, None]
    assert isinstance(found.enter("192.0.2.3"), Unavailable)
    assert len(refused) == 2
    for peer in ("10.1.1.1", "10.1.1.1", "192.0.2.1", "192.0.2.2", "2001:db8::1"):
        found.leave(peer)
    assert found.total == 0
    assert not found._by_address
