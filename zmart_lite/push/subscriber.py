"""One client of the feed: its channels, its place in the log, and what waits to be sent to it."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from zmart_lite.models import FeedMessage
from zmart_lite.push.channels import Channel, channels_of
from zmart_lite.push.frames import Batch, Envelope

BATCH_MESSAGES_MAX = 64
"""Messages joined in one write."""


class Ending(NamedTuple):
    """Why the node ends a connection: WebSocket close code, its reason, and the metric's label."""

    code: int
    reason: str
    label: str


IDLE = Ending(1001, "Idle", "idle")
MISBEHAVED = Ending(1008, "Policy violation", "misbehaved")
STOPPING = Ending(1012, "The node is stopping, reconnect and resume", "shutdown")
SLOW = Ending(1013, "Client too slow", "slow")
FULL = Ending(1013, "Too many connections", "full")
UNAUTHORIZED = Ending(4001, "Unauthorized", "unauthorized")
CROWDED = Ending(4029, "Too many connections", "address")
FLOOD = Ending(4029, "Too many messages", "flood")


class Sink(Protocol):
    """The way to the client. Nothing here waits."""

    kind: str
    """'websocket' or 'sse'."""

    @property
    def ready(self) -> bool:
        """Whether the client has taken enough of what was written that more may be."""

    def write(self, batch: Batch) -> None:
        """Send it in one piece."""

    def offer(self, batch: Batch) -> bool:
        """Send it, if the client is ready; False if not. The two above in one call."""

    def end(self, ending: Ending) -> None:
        """Say why and close; a client that does not even take that is cut off."""


class Subscriber:
    """What the Hub knows of a client. All that is sent passes through its queue, so that order is kept.

    ``cursor``: every feed message for its channels up to this offset has been put into the queue. While ``live``, the
    Hub adds new ones; while not, they are read from the log.
    """

    __slots__ = (
        "_drained",
        "_now",
        "_seen",
        "_seen_until",
        "channels",
        "cursor",
        "ended",
        "held",
        "live",
        "queue",
        "queued_bytes",
        "sink",
        "stalled_since",
        "touched",
    )

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.channels: dict[Channel, int] = {}
        """Each channel with the offset after which nothing of it was left out."""
        self.cursor = 0
        self.live = False
        self.ended: Ending | None = None
        self.queue: list[Envelope] = []
        """A list takes a tenth of an empty deque's memory, and nearly every client's queue is empty."""
        self.queued_bytes = 0
        self.held: deque[Envelope] | None = None
        """New messages that came while the log was being read; None while it is not, or when they were too many."""
        self.stalled_since: float | None = None
        """Set by the Hub's sweep while something waits and nothing moves; seconds of its clock."""
        self.touched = False
        """Whether this turn of the Hub has put something into the queue."""
        self._drained: asyncio.Future[None] | None = None
        self._seen: dict[Channel, int] = {}
        self._seen_until = 0

    @property
    def is_open(self) -> bool:
        return self.ended is None

    def put(self, envelopes: Iterable[Envelope]) -> None:
        for envelope in envelopes:
            self.queue.append(envelope)
            self.queued_bytes += envelope.size_bytes

    def send(self, *envelopes: Envelope) -> None:
        """Put and flush."""
        self.put(envelopes)
        self.flush()

    def flush(self) -> None:
        """Hand over what waits, as far as the client takes it now."""
        queue, sink = self.queue, self.sink
        while queue and sink.ready:
            batch = queue[:BATCH_MESSAGES_MAX]
            del queue[:BATCH_MESSAGES_MAX]
            self.queued_bytes -= sum([envelope.size_bytes for envelope in batch])
            self.stalled_since = None
            sink.write(Batch(batch))
        if not queue and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def hold(self, envelope: Envelope, offset: int, count_max: int) -> None:
        """Keep a new message for later; beyond ``count_max`` none is kept, they are all in the log."""
        held = self.held
        # Another channel may have brought the same message already.
        if held is None or (held and held[-1].offset == offset):
            return
        held.append(envelope)
        if len(held) > count_max:
            self.held = None

    def take_held(self) -> list[Envelope] | None:
        """What was held; None if it was too much."""
        held, self.held = self.held, None
        return None if held is None else list(held)

    async def drained(self) -> bool:
        """Wait until everything put so far is on its way; False if the connection ended instead."""
        self.flush()
        if self.queue and self.ended is None:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained
            self._drained = None
        return self.ended is None

    def end(self, ending: Ending) -> None:
        """Drop what waits and close. Only the first call counts."""
        if self.ended is not None:
            return
        self.detach(ending)
        self.sink.end(ending)

    def detach(self, ending: Ending) -> None:
        """The connection is gone: nothing more is queued, whoever waits for it to drain is woken."""
        self.ended = ending
        self.live = False
        self.held = None
        self.queue.clear()
        self.queued_bytes = 0
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def rewind(self, after: int) -> None:
        """Start anew after ``after``, without channels.

        What the channels so far already brought is remembered, so that the log does not bring it again.
        """
        self._seen, self._seen_until = self.channels, self.cursor
        self.channels = {}
        self.cursor = after

    def has_seen(self, message: FeedMessage) -> bool:
        """Whether a message of the log was already sent before :meth:`rewind`."""
        if message.offset > self._seen_until:
            return False
        return any(self._seen.get(channel, message.offset) < message.offset for channel in channels_of(message))
