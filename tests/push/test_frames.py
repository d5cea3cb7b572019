import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.streams import StreamReader

from zmart_lite.models import FeedMessage
from zmart_lite.push.frames import Batch, Envelope, envelope_of, iso_time, text_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536])
def test_frames_are_what_a_websocket_library_reads(size: int) -> None:
    payload = b"x" * size
    reader = StreamReader()
    reader.feed_data(text_frame(payload))
    parser = Frame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as done:
        next(parser)
    frame = done.value.value
    assert (frame.opcode, frame.data, frame.fin) == (1, payload, True)


def test_an_envelope_of_the_feed() -> None:
    found = envelope_of(FeedMessage(7, "trade", bytes([1]) * 32, None, True, False, 1_767_323_045_678, '{"a":1}'))
    assert json.loads(found.payload) == {
        "type": "trade",
        "market_id": "01" * 32,
        "timestamp": "2026-01-02T03:04:05.678Z",
        "data": {"a": 1},
        "offset": 7,
    }
    assert found.block == b"event: trade\nid: 7\ndata: " + found.payload + b"\n\n"
    assert found.frame is found.frame


def test_an_event_may_have_an_id_that_its_envelope_does_not_tell() -> None:
    found = Envelope("subscribed", {}, timestamp_ms=0, event_id=0)
    assert b"\nid: 0\n" in found.block
    assert b"offset" not in found.payload
    assert b"id:" not in Envelope("subscribed", {}, timestamp_ms=0).block


def test_a_batch_is_its_messages_in_order_as_frames_or_as_one_chunk() -> None:
    first, second = (Envelope("trade", {"n": n}, timestamp_ms=0, offset=n) for n in (1, 2))
    batch = Batch([first, second])
    assert batch.frames == first.frame + second.frame
    blocks = first.block + second.block
    assert batch.chunk == f"{len(blocks):x}\r\n".encode() + blocks + b"\r\n"
    assert (batch.frames is batch.frames, batch.chunk is batch.chunk) == (True, True)
    assert Batch([first]).frames == first.frame


@given(st.text())
def test_no_text_breaks_an_event_into_two(text: str) -> None:
    block = Envelope("discussion", {"text": text}, timestamp_ms=0, offset=1).block
    lines = block.decode().split("\n")
    assert len(lines) == 5
    assert "\r" not in block.decode()


@given(st.integers(0, 4_102_444_800_000))
def test_times_are_exact_to_the_millisecond(unix_ms: int) -> None:
    from datetime import datetime

    text = iso_time(unix_ms)
    assert len(text) == 24
    assert round(datetime.fromisoformat(text).timestamp() * 1_000) == unix_ms
