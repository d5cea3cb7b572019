"""Clients that send slowly, for ever, or not at all, and such as read nothing: against the real server."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.api.raw_client import on_both_loops
from tests.api.stream_node import StreamNode, stream_node
from zmart_lite.api.http import wire
from zmart_lite.push.frames import SSE_RETRY

SOON_S = 0.2
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
POST = (
    b"POST /api/trades/buy HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
)


@asynccontextmanager
async def connected(node: StreamNode) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the node ends the connection."""
    async with asyncio.timeout(5):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PATIENCE_S", SOON_S)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("sent", [b"", b"\r\n", b"G", GET, POST, POST + b"{"], ids=range(6))
async def test_a_request_that_does_not_come_ends_the_connection(tmp_path: Path, sent: bytes) -> None:
    async with stream_node(tmp_path) as node, connected(node) as (reader, writer):
        writer.write(sent)
        assert await rest(reader) == b""


@pytest.mark.usefixtures("impatient")
async def test_another_request_begun_and_not_ended_ends_the_connection(tmp_path: Path) -> None:
    async with stream_node(tmp_path) as node, connected(node) as (reader, writer):
        for begun in (GET, b"\r\n"):
            writer.write(GET + b"\r\n")
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            writer.write(begun)
            if begun == GET:
                writer.write(b"\r\n")
        assert (await rest(reader)).count(b"200 OK") == 1


@pytest.mark.usefixtures("impatient")
async def test_open_streams_outlast_the_patience_for_requests(tmp_path: Path) -> None:
    async with stream_node(tmp_path) as node, node.websocket() as client, node.sse() as events:
        await client.ask("subscribe", channel="trades")
        await events.next()
        await asyncio.sleep(2 * SOON_S)
        await node.publish("trade", {"number": 1})
        assert (await client.frame("trade"))["data"] == {"number": 1}


async def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    async with stream_node(tmp_path) as node, connected(node) as (reader, writer):
        writer.write(GET + b"X-Long: ")
        sent = 0
        while not reader.at_eof() and sent < 100 * wire.HEAD_BYTES_MAX:
            writer.write(b"x" * 16_384)
            sent += 16_384
            try:
                await writer.drain()
            except ConnectionError:
                break
        assert sent < 100 * wire.HEAD_BYTES_MAX


async def test_more_requests_at_once_than_anybody_needs_are_refused(tmp_path: Path) -> None:
    async with stream_node(tmp_path) as node, connected(node) as (reader, writer):
        writer.write((GET + b"\r\n") * (wire.PIPELINE_MAX + 1))
        for _ in range(wire.PIPELINE_MAX + 1):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"200 OK" in head
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
        writer.write(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n" + (GET + b"\r\n") * 1_000)
        assert b"400 Bad Request" in await rest(reader)
    await node.until(lambda: not node.hub.subscribers)


@on_both_loops
async def test_who_leaves_with_requests_waiting_behind_a_stream_leaves_no_trace(node: StreamNode) -> None:
    with handled() as records:
        async with connected(node) as (reader, writer):
            writer.write(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n" + (GET + b"\r\n") * 2)
            await reader.readuntil(b"subscribed")
        # Nothing more is read of it, so only writing shows that nobody is there.
        while node.hub.subscribers:
            await node.publish("trade")
        await node.until(lambda: not node.server.server_state.connections and not node.server.server_state.tasks)
    assert not [record.getMessage() for record in records if record.levelno >= logging.WARNING]


@contextmanager
def handled() -> Iterator[list[logging.LogRecord]]:
    """Whatever is logged meanwhile."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    names = ("", "uvicorn", "uvicorn.error")
    for name in names:
        logging.getLogger(name).addHandler(handler)
    try:
        yield records
    finally:
        for name in names:
            logging.getLogger(name).removeHandler(handler)


async def test_a_long_head_that_ends_is_taken(tmp_path: Path) -> None:
    async with stream_node(tmp_path) as node, connected(node) as (reader, writer):
        writer.write(GET + b"X-Long: " + b"x" * (wire.HEAD_BYTES_MAX // 2) + b"\r\nConnection: close\r\n\r\n")
        assert (await rest(reader)).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.usefixtures("impatient")
async def test_answers_that_nobody_reads_end_the_connection(tmp_path: Path) -> None:
    async with stream_node(tmp_path) as node, connected(node) as (reader, writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # the stream itself would go on reading
        connections = node.server.server_state.connections
        await node.until(lambda: bool(connections))
        writer.write(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10)
        await node.until(lambda: not connections)


@pytest.mark.parametrize(
    "sent", [b"nonsense\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", bytes(64)]
)
async def test_what_is_no_http_gets_an_error_like_any_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    async with stream_node(tmp_path) as node, connected(node) as (reader, writer):
        writer.write(sent)
        head, _, body = (await rest(reader)).partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    assert status == b"HTTP/1.1 400 Bad Request"
    assert b"content-type: application/json" in lines
    answer = json.loads(body)
    assert (answer["code"], answer["error"], answer["status"]) == ("BAD_REQUEST", "BAD_REQUEST", 400)
    assert set(answer) == {"error", "code", "message", "status", "timestamp", "path", "request_id"}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_stream_over_http_1_0_has_no_chunks(tmp_path: Path) -> None:
    async with stream_node(tmp_path) as node, connected(node) as (reader, writer):
        writer.write(b"GET /api/stream?channels=public HTTP/1.0\r\nHost: localhost\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding" not in head
        assert b"connection: close" in head
        assert await reader.readexactly(len(SSE_RETRY)) == SSE_RETRY
        assert (await reader.readuntil(b"\n\n")).startswith(b"event: subscribed\n")
        await node.publish("trade")
        assert (await reader.readuntil(b"\n\n")).startswith(b"event: trade\n")
        health = b"GET /api/stats HTTP/1.0\r\nHost: localhost\r\n\r\n"
        async with connected(node) as (other, plain):
            plain.write(health)
            assert b"content-length" in await rest(other)
