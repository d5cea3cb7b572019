"""Clients that do not read: sockets without a library behind them, against the real server, on both event loops."""

import asyncio
import gc
import json
import socket
import tracemalloc
from pathlib import Path

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tests.api.raw_client import HANDSHAKE, Raw, close_code, masked, on_both_loops
from tests.api.stream_node import Client, StreamNode, stream_node
from zmart_lite.api.http.patient_websocket import PEER_GONE_MS, SEND_BUFFER_BYTES
from zmart_lite.api.http.wire import server_options
from zmart_lite.config import Config, Push

BIG = {"text": "x" * 4_000}


def dropped(node: StreamNode, reason: str) -> float:
    return float(node.parts.metrics.push_clients_dropped_total.labels(reason)._value.get())


async def flood(node: StreamNode) -> None:
    """Publish until the node loses patience with somebody."""
    for _ in range(400):
        if dropped(node, "slow"):
            return
        await node.publish_many(64, "trade", filler=BIG)
    raise AssertionError("nobody was dropped")


@on_both_loops
async def test_a_websocket_that_is_not_read_is_closed_and_others_get_everything(node: StreamNode) -> None:
    with Raw(node) as raw:
        await raw.subscribe()
        async with node.websocket() as healthy:
            await healthy.ask("subscribe", channel="trades")
            await node.until(lambda: node.hub.counts().subscriptions == 2)
            reading = asyncio.get_running_loop().create_task(read_offsets(healthy))
            await flood(node)
            head = await node.store.read(lambda tx: tx.value("SELECT MAX(feed_offset) FROM feed"))
            await node.publish("discussion")
            await node.publish("trade", {"last": True})
            assert await reading == [*range(1, head + 1), head + 2]
        assert node.hub.counts().websocket == 0
        assert close_code(await raw.read_all()) == 1013


async def read_offsets(client: Client) -> list[int]:
    found = []
    while True:
        frame = await client.next()
        found.append(frame["offset"])
        if frame["data"].get("last"):
            return found


@on_both_loops
async def test_the_system_keeps_little_for_who_does_not_read_and_nothing_for_who_is_gone(node: StreamNode) -> None:
    with Raw(node) as websocket, Raw(node) as stream:
        await websocket.subscribe()
        await stream.send(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await node.until(lambda: node.hub.counts().subscriptions == 2)
        for connection in node.server.server_state.connections:
            found = connection.transport.get_extra_info("socket")
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * SEND_BUFFER_BYTES
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == PEER_GONE_MS


@on_both_loops
async def test_a_client_that_never_reads_is_cut_off_for_good(node: StreamNode) -> None:
    with Raw(node) as raw:
        await raw.subscribe()
        await node.until(lambda: node.hub.counts().subscriptions == 1)
        await flood(node)
        await node.until(lambda: not node.server.server_state.connections)


@on_both_loops
async def test_a_stream_that_is_not_read_is_cut_off(node: StreamNode) -> None:
    with Raw(node) as raw:
        await raw.send(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await node.until(lambda: node.hub.counts().subscriptions == 1)
        await flood(node)
        await node.until(lambda: node.hub.counts().sse == 0 and not node.server.server_state.connections)
        assert not (await raw.read_all()).endswith(b"0\r\n\r\n"), "a cut stream does not look complete"


@on_both_loops
async def test_a_client_stuck_below_the_limits_is_swept_away(node: StreamNode) -> None:
    with Raw(node) as raw:
        await raw.subscribe()
        await node.until(lambda: node.hub.counts().subscriptions == 1)
        subscriber = next(iter(node.hub.subscribers))
        while not subscriber.queue:
            await node.publish_many(8, "trade", filler=BIG)
        node.streams.sweep()
        node.times.pass_s(10)
        node.streams.sweep()
        assert dropped(node, "slow") == 1


@on_both_loops
async def test_stopping_does_not_wait_for_clients_that_do_not_read(node: StreamNode) -> None:
    with Raw(node) as websocket, Raw(node) as stream:
        await websocket.subscribe()
        await stream.send(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await node.until(lambda: node.hub.counts().subscriptions == 2)
        while not all(subscriber.queue for subscriber in node.hub.subscribers):
            await node.publish_many(4, "trade", filler=BIG)
        node.server.should_exit = True
        await node.until(lambda: not node.server.server_state.connections)


@on_both_loops
async def test_what_waits_goes_out_joined_and_whole(node: StreamNode) -> None:
    with Raw(node) as raw:
        await raw.subscribe()
        await node.until(lambda: node.hub.counts().subscriptions == 1)
        await node.publish_many(200)
        reading = asyncio.get_running_loop().create_task(raw.read_all())
        await node.until(lambda: node.hub.head == 200)
        node.hub.close()
        data = await reading
        assert data.count(b'"type":"trade"') == 200
        assert close_code(data) == 1012


@on_both_loops
async def test_broken_connections_are_counted_apart_from_those_that_say_goodbye(node: StreamNode) -> None:
    with Raw(node) as raw:
        await raw.subscribe()
        await node.until(lambda: node.hub.counts().subscriptions == 1)
    async with node.websocket():
        pass
    await node.until(lambda: not node.hub.subscribers)
    assert (node.hub.opened_total, node.hub.lost_total) == (2, 1)


@on_both_loops
async def test_answers_do_not_pile_up_for_who_asks_without_reading(node: StreamNode) -> None:
    market = await node.add_market()
    with Raw(node) as raw:
        await raw.subscribe()
        await node.until(lambda: node.hub.counts().subscriptions == 1)
        asking = masked(json.dumps({"action": "subscribe", "market_id": market.hex()}).encode())
        (subscriber,) = node.hub.subscribers
        for _ in range(99):
            await raw.send(asking)
            await asyncio.sleep(0)
            assert subscriber.queued_bytes < 65_536


@on_both_loops
async def test_an_open_connection_keeps_nothing_of_its_handshake(node: StreamNode) -> None:
    long = "".join(f"X-{number}: {'x' * 6_000}\r\n" for number in range(8))
    request = (HANDSHAKE.format(path="/ws").removesuffix("\r\n") + long + "\r\n").encode()
    with Raw(node) as raw:
        tracemalloc.start()
        try:
            await raw.send(request)
            await node.until(lambda: node.hub.counts().websocket == 1)
            await raw.read_until(b'"welcome"')
            gc.collect()
            kept = [trace.size for trace in tracemalloc.take_snapshot().traces if trace.size > 5_000]
        finally:
            tracemalloc.stop()
    assert sum(kept) < 12_000


def test_compression_is_off_and_frames_are_limited() -> None:
    options = server_options(Config(push=Push(frame_bytes_max=512, ping_interval_s=7)))
    assert options["ws_per_message_deflate"] is False
    assert (options["ws_max_size"], options["ws_ping_interval"], options["ws_ping_timeout"]) == (512, 7.0, 7.0)


GET_HEALTH = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: %s\r\n%s\r\n"


@on_both_loops
async def test_requests_sent_at_once_are_answered_in_their_order(node: StreamNode) -> None:
    with Raw(node) as raw:
        ids = [b"first", b"second", b"third"]
        await raw.send(b"".join(GET_HEALTH % (each, b"Connection: close\r\n" * (each == b"third")) for each in ids))
        answers = await raw.read_all()
        found = [line.split(b": ")[1] for line in answers.split(b"\r\n") if line.startswith(b"x-request-id: ")]
        assert found == ids
        assert answers.count(b"HTTP/1.1 ") == 3
        assert answers.count(b"connection: close\r\n") == 1


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_answer_is_one_piece_and_its_length_is_right(tmp_path: Path, version: bytes) -> None:
    async with stream_node(tmp_path) as node:
        with Raw(node) as raw:
            close = b"Connection: close\r\n"
            await raw.send((GET_HEALTH % (b"one", close)).replace(b"HTTP/1.1", b"HTTP/" + version))
            head, _, body = (await raw.read_all()).partition(b"\r\n\r\n")
            assert f"content-length: {len(body)}".encode() in head.split(b"\r\n")
            assert b"connection: close" in head.split(b"\r\n")
            assert b"date" in head


@on_both_loops
async def test_an_answered_request_leaves_nothing_for_the_collector(node: StreamNode) -> None:
    """Circles stay until Python looks for them, which then stops everything for longer than any request takes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    gc.collect()
    gc.disable()
    try:
        before = count_cycles()
        for _ in range(20):
            writer.write(b"GET /api/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        # The connection itself keeps the last one.
        assert count_cycles() <= before + 1
    finally:
        gc.enable()
        writer.close()


def count_cycles() -> int:
    """uvicorn's objects of requests that are in memory."""
    return sum(isinstance(each, RequestResponseCycle) for each in gc.get_objects())
