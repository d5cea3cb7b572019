"""The bytes of a message, made once however many clients get it."""

import struct
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import msgspec

from zmart_lite.models import FeedMessage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT_FRAME = 0x81
_LENGTH_1_MAX, _LENGTH_2_MAX = 125, 65_535

SSE_PING = b": ping\n\n"
SSE_RETRY = b"retry: 3000\n\n"


def iso_time(unix_ms: int) -> str:
    """``2026-01-02T03:04:05.678Z``."""
    moment = _EPOCH + timedelta(milliseconds=unix_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03d}Z"


def text_frame(payload: bytes) -> bytes:
    """One unmasked, unfragmented WebSocket text frame (RFC 6455, 5.2)."""
    length = len(payload)
    if length <= _LENGTH_1_MAX:
        return bytes((_TEXT_FRAME, length)) + payload
    if length <= _LENGTH_2_MAX:
        return struct.pack("!BBH", _TEXT_FRAME, 126, length) + payload
    return struct.pack("!BBQ", _TEXT_FRAME, 127, length) + payload


def http_chunk(data: bytes) -> bytes:
    """One chunk of the chunked body (RFC 9112, 7.1)."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class Envelope:
    """A message for clients: the JSON of it, and on demand its WebSocket frame and its SSE block.

    ``offset`` is what the envelope says; ``event_id`` what SSE gives as ``id``, the same unless told otherwise.
    """

    def __init__(
        self,
        type_: str,
        data: Any,
        *,
        timestamp_ms: int,
        market_id: bytes | None = None,
        offset: int | None = None,
        event_id: int | None = None,
    ) -> None:
        self.type = type_
        self.offset = offset
        self.event_id = offset if event_id is None else event_id
        content: dict[str, Any] = {"type": type_}
        if market_id is not None:
            content["market_id"] = market_id.hex()
        content["timestamp"] = iso_time(timestamp_ms)
        content["data"] = data
        if offset is not None:
            content["offset"] = offset
        self.payload = msgspec.json.encode(content)
        self.size_bytes = len(self.payload)

    @cached_property
    def frame(self) -> bytes:
        return text_frame(self.payload)

    @cached_property
    def block(self) -> bytes:
        """JSON escapes every line break, so the envelope always is one line."""
        id_line = b"" if self.event_id is None else b"id: %d\n" % self.event_id
        return b"event: %s\n%sdata: %s\n\n" % (self.type.encode(), id_line, self.payload)


class Batch:
    """Messages that go out together, joined once however many clients get them."""

    def __init__(self, envelopes: list[Envelope]) -> None:
        self.envelopes = envelopes

    @cached_property
    def frames(self) -> bytes:
        return b"".join([envelope.frame for envelope in self.envelopes])

    @cached_property
    def chunk(self) -> bytes:
        """The blocks as one chunk of a chunked body."""
        return http_chunk(self.blocks)

    @cached_property
    def blocks(self) -> bytes:
        """The blocks of server-sent events as they are."""
        return b"".join([envelope.block for envelope in self.envelopes])


def envelope_of(message: FeedMessage) -> Envelope:
    """A message of the feed as every transport sends it."""
    return Envelope(
        message.type,
        msgspec.Raw(message.data.encode()),
        timestamp_ms=message.created_ms,
        market_id=message.market_id,
        offset=message.offset,
    )
