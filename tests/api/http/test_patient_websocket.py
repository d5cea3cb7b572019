"""What a peer may do to a WebSocket with bare frames, and what becomes of it; real sockets, on both event loops."""

import contextlib
import logging
import os
import socket
import struct
from pathlib import Path

import pytest

from tests.api.raw_client import HANDSHAKE, Raw, close_code, masked, on_both_loops
from tests.api.stream_node import StreamNode, stream_node
from zmart_lite.api.http import patient_websocket
from zmart_lite.api.http.patient_websocket import OTHER_FRAMES_PER_MINUTE, PatientWebSocket

CONTINUATION, TEXT, CLOSE, PING, PONG = 0, 1, 8, 9, 10
BIG = {"text": "x" * 4_000}


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    is_masked: bool = True,
    length: int | None = None,
) -> bytes:
    """Any frame, sound or not; the mask is zeros. ``length``: what it pretends to hold."""
    size = len(payload) if length is None else length
    first, mask = fin << 7 | reserved << 4 | opcode, is_masked << 7
    if size < 126:
        head = bytes((first, mask | size))
    elif size < 65_536:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    return head + (b"\0\0\0\0" if is_masked else b"") + payload


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_websocket, "CLOSE_GRACE_S", 0.1)


async def answer_to(node: StreamNode, *frames: bytes) -> int | None:
    """The close code that they bring to a new connection."""
    with Raw(node) as raw:
        await raw.subscribe()
        await node.until(lambda: node.hub.counts().subscriptions == 1)
        try:
            for data in frames:
                await raw.send(data)
        except ConnectionError:
            pass  # closed before it had been heard out
        code = close_code(await raw.read_all())
    await node.until(lambda: not node.hub.subscribers)
    return code


@on_both_loops
async def test_frames_that_the_protocol_forbids(node: StreamNode) -> None:
    forbidden = {
        "not masked": [frame(TEXT, b"{}", is_masked=False)],
        "reserved bits": [frame(TEXT, b"{}", reserved=4)],
        "unknown opcode": [frame(3)],
        "control frame too long": [frame(PING, b"x" * 126)],
        "control frame in pieces": [frame(PING, b"x", fin=False)],
        "continuation of nothing": [frame(CONTINUATION, b"x")],
        "message within a message": [frame(TEXT, b"x", fin=False), frame(TEXT, b"y")],
        "close without a whole code": [frame(CLOSE, b"\3")],
        "close with a code nobody may send": [frame(CLOSE, struct.pack("!H", 1005))],
    }
    assert {name: await answer_to(node, *frames) for name, frames in forbidden.items()} == dict.fromkeys(
        forbidden, 1002
    )


@on_both_loops
async def test_messages_that_are_too_big_however_they_come(node: StreamNode) -> None:
    assert await answer_to(node, frame(TEXT, b"x" * 4_097)) == 1009
    assert await answer_to(node, frame(TEXT, length=4_097)) == 1009, "before it has come"
    assert await answer_to(node, frame(TEXT, length=2**63 - 1)) == 1009
    pieces = [frame(TEXT, b"x" * 4_000, fin=False), frame(CONTINUATION, b"x" * 97)]
    assert await answer_to(node, *pieces) == 1009


async def test_text_that_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with stream_node(tmp_path) as node:
        assert await answer_to(node, frame(TEXT, b"\xff\xfe")) == 1007
        assert await answer_to(node, frame(TEXT, b"\xc3", fin=False), frame(CONTINUATION, b"\x28")) == 1007
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@on_both_loops
async def test_a_message_in_pieces_is_one_message(node: StreamNode) -> None:
    async with node.websocket() as client:
        await client.connection.send(iter(['{"action":', '"subscribe","chan', 'nel":"trades"}']))
        assert (await client.frame("subscribed"))["data"]["subscriptions"] == ["trades"]


@on_both_loops
async def test_floods_of_frames_that_are_no_messages_end_the_connection(node: StreamNode) -> None:
    count = OTHER_FRAMES_PER_MINUTE
    floods = {
        "pings": frame(PING) * (count + 1),
        "pongs": frame(PONG) * (count + 1),
        "empty pieces": frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * (count + 1),
    }
    assert {name: await answer_to(node, data) for name, data in floods.items()} == dict.fromkeys(floods, 1008)
    assert node.parts.metrics.push_clients_dropped_total.labels("misbehaved")._value.get() == len(floods)


@on_both_loops
async def test_as_many_pings_as_are_allowed_are_answered(node: StreamNode) -> None:
    with Raw(node) as raw:
        await raw.subscribe()
        await raw.send(frame(PING, b"?") * OTHER_FRAMES_PER_MINUTE + frame(CLOSE, struct.pack("!H", 1000)))
        data = await raw.read_all()
        assert data.count(b"\x8a\x01?") == OTHER_FRAMES_PER_MINUTE
        assert close_code(data) == 1000


@on_both_loops
async def test_a_read_full_of_tiny_messages_is_decoded_no_further_than_they_are_taken(node: StreamNode) -> None:
    """Forty thousand frames in one read: nobody else waits for them, and they do not pile up."""
    with Raw(node) as raw:
        await raw.subscribe()
        await node.until(lambda: node.hub.counts().subscriptions == 1)
        (wire,) = node.server.server_state.connections
        assert isinstance(wire, PatientWebSocket)
        decoded = 0
        handle_text = wire.handle_text

        def count(event: object) -> None:
            nonlocal decoded
            decoded += 1
            handle_text(event)

        wire.handle_text = count
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                await raw.send(masked(b'{"action":"pong"}') * 10_000)
        await node.until(lambda: not node.hub.subscribers)
        assert 100 <= decoded < 1_000


async def subscribe_without_reading(node: StreamNode, raw: Raw) -> None:
    """A client for whom messages wait, because its socket is full."""
    await raw.subscribe()
    await node.until(lambda: node.hub.counts().subscriptions == 1)
    (subscriber,) = node.hub.subscribers
    while not subscriber.queue:
        await node.publish_many(8, "trade", filler=BIG)


@on_both_loops
async def test_pings_whose_answers_are_not_read_are_not_answered(node: StreamNode) -> None:
    with Raw(node) as raw:
        await subscribe_without_reading(node, raw)
        (wire,) = node.server.server_state.connections
        assert isinstance(wire, PatientWebSocket)
        waiting = wire.transport.get_write_buffer_size()
        await raw.send(frame(PING, b"x" * 125) * 100)
        await node.until(lambda: wire._other_frames == 100)
        assert wire.transport.get_write_buffer_size() <= waiting


@on_both_loops
async def test_who_leaves_without_having_read_is_not_waited_for(node: StreamNode) -> None:
    """By half a TCP close, by a close frame, by a broken frame: the socket goes whatever still waits in it."""
    for last in (b"", frame(CLOSE, struct.pack("!H", 1000)), frame(3)):
        with Raw(node) as raw:
            await subscribe_without_reading(node, raw)
            if last:
                await raw.send(last)
            else:
                raw.socket.shutdown(socket.SHUT_WR)
            await node.until(lambda: not node.server.server_state.connections and not node.hub.subscribers)


@on_both_loops
async def test_handshakes_that_cannot_be_read_are_answered_and_closed(node: StreamNode) -> None:
    good = HANDSHAKE.format(path="/ws")
    end = good.removesuffix("\r\n")
    broken = {
        "another method": good.replace("GET", "POST"),
        "too many headers": end + "".join(f"X-{number}: y\r\n" for number in range(200)) + "\r\n",
        "too long a header": end + f"X-Long: {'y' * 9_000}\r\n\r\n",
        "too long a path": good.replace("/ws", "/ws?" + "a" * 20_000),
        "a body": end + "Content-Length: 5\r\n\r\nhello",
        "no key": good.replace("Sec-WebSocket-Key", "X-Key"),
        "another version": good.replace("Version: 13", "Version: 12"),
        "two origins": end + "Origin: http://a\r\nOrigin: http://b\r\n\r\n",
    }
    for name, request in broken.items():
        with Raw(node) as raw:
            await raw.send(request.encode())
            assert (await raw.read_all()).startswith(b"HTTP/1.1 400"), name
    await node.until(lambda: not node.server.server_state.connections)


@on_both_loops
async def test_compression_is_not_agreed_to(node: StreamNode) -> None:
    with Raw(node) as raw:
        offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        await raw.send((HANDSHAKE.format(path="/ws").removesuffix("\r\n") + offer).encode())
        answer = await raw.read_until(b'"welcome"')
        assert answer.startswith(b"HTTP/1.1 101")
        assert b"permessage-deflate" not in answer


@pytest.mark.parametrize("seed", range(3))
async def test_noise(tmp_path: Path, seed: int) -> None:
    """Random bytes end their connection and nothing else."""
    async with stream_node(tmp_path) as node, node.websocket() as healthy:
        await healthy.ask("subscribe", channel="trades")
        for _ in range(20):
            with Raw(node) as raw:
                await raw.send(HANDSHAKE.format(path="/ws").encode())
                await raw.loop.sock_recv(raw.socket, 64)
                await raw.send(os.urandom(seed * 1_000 + 200))
                raw.socket.shutdown(socket.SHUT_WR)
                await raw.read_all()
        await node.until(lambda: len(node.hub.subscribers) == 1)
        await node.publish("trade")
        assert (await healthy.frame("trade"))["offset"] == 1


async def test_a_peer_that_is_gone_is_noticed_by_its_silence(tmp_path: Path) -> None:
    """Half-open: the socket is there, nobody answers pings."""
    async with stream_node(tmp_path, ping_interval_s=1) as node:
        with Raw(node) as raw:
            await raw.subscribe()
            await node.until(lambda: node.hub.counts().subscriptions == 1)
            assert close_code(await raw.read_all()) is not None
        assert node.hub.lost_total == 0
        await node.until(lambda: not node.server.server_state.connections)
