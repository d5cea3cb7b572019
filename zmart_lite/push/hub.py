"""Where every message of the feed meets every client that listens for it.

The feed is a log in the store. A client is either *live*, then :meth:`Hub.publish` puts new messages into its queue,
or *behind*, then the log is read for it, page by page as it takes them, up to the Hub's head of before, while newer
messages are held for the moment in which it becomes live. So there is no gap and no repetition, and a client that
catches up slowly costs a page of memory.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from zmart_lite.config import Push
from zmart_lite.models import FeedMessage
from zmart_lite.ops import Metrics
from zmart_lite.push.channels import Channel, channels_of
from zmart_lite.push.frames import Batch, Envelope, envelope_of
from zmart_lite.push.subscriber import CROWDED, FULL, SLOW, STOPPING, Ending, Subscriber

PAGE_MESSAGES = 128
"""Messages read from the log at once while a client catches up."""
ROUND_MESSAGES = 64
"""Messages handed out in one turn of the event loop: between the turns of a large commit the sockets are written."""
BACKLOG_MAX = 20_000
"""Messages waiting for their turn; beyond it they are handed out at once, which slows down whoever commits."""
SCAN_OFFSETS_MAX = 500_000
"""How far back a resume may look for messages of its channels: bounds the work of a single request."""


class LogState(NamedTuple):
    """The log at one moment. ``oldest``: the first offset that is kept; ``missed``: see :meth:`FeedLog.state`."""

    head: int
    oldest: int
    missed: int


class FeedLog(Protocol):
    """The feed as the store keeps it."""

    async def state(self, after: int, channels: Collection[Channel], count_max: int) -> LogState:
        """``missed`` counts the messages of the channels after ``after``, up to ``count_max``."""

    async def page(self, after: int, until: int, channels: Collection[Channel], limit: int) -> Sequence[FeedMessage]:
        """Messages of the channels with after < offset <= until, in order, at most ``limit``."""


class PushCounts(NamedTuple):
    """Open connections and the subscriptions of all of them."""

    websocket: int
    sse: int
    subscriptions: int


class Reset(NamedTuple):
    """The client has to reload by REST: ``too_old``, ``too_many`` or ``unknown_offset``; it continues from ``head``."""

    reason: str
    head: int


class _News(NamedTuple):
    """A message on its way out, with those of its channels that have listeners."""

    offset: int
    envelope: Envelope
    channels: list[Channel]


class Hub:
    """All clients of this node. Everything runs in the event loop's thread; only catching up ever waits."""

    def __init__(self, log: FeedLog, metrics: Metrics, limits: Push) -> None:
        self.limits = limits
        self.head = 0
        """Offset of the last message handed out; set it from the store before the first client comes."""
        self.closing = False
        self.opened_total = 0
        self.lost_total = 0
        """Connections that broke: beside those opened and open, it tells a network failure from visitors leaving."""
        self.subscribers: set[Subscriber] = set()
        self._log = log
        self._metrics = metrics
        self._listeners: dict[Channel, dict[Subscriber, None]] = {}
        self._addresses: Counter[str] = Counter()
        self._seats = 0
        self._transports: Counter[str] = Counter()
        self._backlog: deque[FeedMessage] = deque()
        self._round_due = False

    # Coming and going

    def admit(self, address: str) -> Ending | None:
        """Take a seat for a connection from ``address``, to be given back by :meth:`release`; or why there is none."""
        refusal = self._no_seat(address)
        if refusal is not None:
            return self.refuse(refusal)
        self._addresses[address] += 1
        self._seats += 1
        return None

    def refuse(self, refusal: Ending) -> Ending:
        """Count a connection that is not let in."""
        self._metrics.push_clients_dropped_total.labels(refusal.label).inc()
        return refusal

    def _no_seat(self, address: str) -> Ending | None:
        if self.closing:
            return STOPPING
        if self._seats >= self.limits.connections_max:
            return FULL
        return CROWDED if self._addresses[address] >= self.limits.connections_per_address else None

    def release(self, address: str) -> None:
        self._seats -= 1
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]

    def join(self, subscriber: Subscriber, *, resumed: bool) -> None:
        """A new connection, without channels yet."""
        kind = subscriber.sink.kind
        self.subscribers.add(subscriber)
        self.opened_total += 1
        self._transports[kind] += 1
        self._metrics.push_connections_opened_total.labels(kind, str(resumed).lower()).inc()
        self._show_connections()

    def leave(self, subscriber: Subscriber, *, lost: bool = False) -> None:
        """The connection is over, whoever ended it. ``lost``: without a word from the other side."""
        if subscriber not in self.subscribers:
            return
        self.lost_total += lost
        self.subscribers.discard(subscriber)
        self._transports[subscriber.sink.kind] -= 1
        for channel in subscriber.channels:
            self._forget(channel, subscriber)
        if subscriber.ended is None:
            subscriber.detach(Ending(1000, "", "client"))
        self._show_connections()

    def drop(self, subscriber: Subscriber, ending: Ending) -> None:
        """End a connection and count why."""
        if subscriber.ended is None:
            self._metrics.push_clients_dropped_total.labels(ending.label).inc()
            subscriber.end(ending)

    def close(self) -> None:
        """The node stops: every connection ends now, and none is admitted any more."""
        self.closing = True
        for subscriber in list(self.subscribers):
            self.drop(subscriber, STOPPING)

    def sweep(self, now_s: float) -> None:
        """Cut off clients that take nothing although something waits. Called about once a second, by any clock."""
        for subscriber in list(self.subscribers):
            if not subscriber.queue:
                subscriber.stalled_since = None
            elif subscriber.stalled_since is None:
                subscriber.stalled_since = now_s
            elif now_s - subscriber.stalled_since >= self.limits.send_timeout_s:
                self.drop(subscriber, SLOW)

    def counts(self) -> PushCounts:
        subscriptions = sum(len(subscriber.channels) for subscriber in self.subscribers)
        return PushCounts(self._transports["websocket"], self._transports["sse"], subscriptions)

    def _show_connections(self) -> None:
        self._metrics.websocket_connections.set(self._transports["websocket"])
        self._metrics.sse_connections.set(self._transports["sse"])

    # Channels

    def listen(self, subscriber: Subscriber, channels: Collection[Channel], since: int) -> None:
        """Add channels, complete from the offset ``since`` on. The subscriber has to be behind."""
        for channel in channels:
            subscriber.channels.setdefault(channel, since)
            self._listeners.setdefault(channel, {})[subscriber] = None

    def unlisten(self, subscriber: Subscriber, channels: Collection[Channel]) -> None:
        for channel in channels:
            if subscriber.channels.pop(channel, None) is not None:
                self._forget(channel, subscriber)

    def _forget(self, channel: Channel, subscriber: Subscriber) -> None:
        listeners = self._listeners.get(channel)
        if listeners is not None:
            listeners.pop(subscriber, None)
            if not listeners:
                del self._listeners[channel]

    # Live

    def publish(self, messages: Sequence[FeedMessage]) -> None:
        """Hand out committed messages, in offset order. Never waits: who cannot keep up loses the connection."""
        self._backlog.extend(messages)
        while len(self._backlog) > BACKLOG_MAX:
            self._hand_out()
        if self._backlog and not self._round_due:
            self._round()

    def _round(self) -> None:
        self._hand_out()
        self._round_due = bool(self._backlog)
        if self._round_due:
            asyncio.get_running_loop().call_soon(self._round)

    def _hand_out(self) -> None:
        news = self._next_round()
        by_channel: dict[Channel, list[_News]] = {}
        for one in news:
            for channel in one.channels:
                by_channel.setdefault(channel, []).append(one)
        others = {channel: self._deliver(channel, found) for channel, found in by_channel.items()}
        touched: list[Subscriber] = []
        for one in news:
            self._enqueue(one, [subscriber for channel in one.channels for subscriber in others[channel]], touched)
        for subscriber in touched:
            subscriber.touched = False
            subscriber.flush()
            self._check_queue(subscriber)
        self._metrics.feed_offset.set(self.head)

    def _next_round(self) -> list[_News]:
        """The next messages that somebody listens for."""
        found = []
        for _ in range(min(len(self._backlog), ROUND_MESSAGES)):
            message = self._backlog.popleft()
            # A message that comes twice, or late by way of another node, is in the log: whoever is live has had it.
            if message.offset > self.head:
                self.head = message.offset
                heard = [channel for channel in channels_of(message) if channel in self._listeners]
                if heard:
                    found.append(_News(message.offset, envelope_of(message), heard))
        return found

    def _deliver(self, channel: Channel, news: list[_News]) -> list[Subscriber]:
        """Send what a round brought in a channel to those who listen to nothing else and have nothing waiting, joined
        once for all of them; the other listeners.

        The innermost loop of the node: one turn per client.
        """
        batch, others = Batch([one.envelope for one in news]), []
        first, last = news[0].offset, news[-1].offset
        delivered = {"websocket": 0, "sse": 0}
        for subscriber in self._listeners[channel]:
            if (
                subscriber.live
                and subscriber.cursor < first
                and len(subscriber.channels) == 1
                and not subscriber.queue
                and subscriber.sink.offer(batch)
            ):
                subscriber.cursor = last
                delivered[subscriber.sink.kind] += 1
            else:
                others.append(subscriber)
        for kind, count in delivered.items():
            if count:
                self._count(kind, batch.envelopes, count)
        return others

    def _enqueue(self, news: _News, subscribers: list[Subscriber], touched: list[Subscriber]) -> None:
        """Put a message into the queues of those who listen to several channels or do not keep up."""
        offset, envelope, delivered = news.offset, news.envelope, {"websocket": 0, "sse": 0}
        for subscriber in subscribers:
            # The cursor moves with the first channel that matches, so the others find the message already queued.
            if subscriber.cursor >= offset:
                continue
            if subscriber.live:
                subscriber.cursor = offset
                subscriber.put((envelope,))
                delivered[subscriber.sink.kind] += 1
                if not subscriber.touched:
                    subscriber.touched = True
                    touched.append(subscriber)
            elif subscriber.held is not None:
                subscriber.hold(envelope, offset, self.limits.queue_messages_max)
        for kind, count in delivered.items():
            if count:
                self._count(kind, (envelope,), count)

    def _check_queue(self, subscriber: Subscriber) -> None:
        limits = self.limits
        if len(subscriber.queue) > limits.queue_messages_max or subscriber.queued_bytes > limits.queue_bytes_max:
            self.drop(subscriber, SLOW)

    # From the log

    def pause(self, subscriber: Subscriber) -> None:
        """Take the subscriber out of the live feed; its cursor then says up to where it has everything."""
        if subscriber.live:
            subscriber.live = False
            subscriber.cursor = max(subscriber.cursor, self.head)

    async def go_live(self, subscriber: Subscriber) -> None:
        """Send what its channels brought since its cursor, then keep it up to date.

        New messages are held back while the log is read up to the head of before; only if there are too many of them
        to hold, because the client takes its time, the log is read on.
        """
        replayed = 0
        while subscriber.is_open:
            subscriber.held = deque()
            replayed += await self.replay(subscriber, self.head)
            held = subscriber.take_held()
            if held is not None and subscriber.is_open:
                subscriber.put(held)
                self._count(subscriber.sink.kind, held)
                subscriber.cursor = max(subscriber.cursor, self.head)
                subscriber.live = True
                subscriber.flush()
                return
            # It was allowed to miss so many; who is that far behind again was slower than the feed all the while.
            if replayed > 2 * self.limits.resume_messages_max:
                self.drop(subscriber, SLOW)

    async def replay(self, subscriber: Subscriber, until: int) -> int:
        """Send the messages of its channels from its cursor up to ``until``; how many there were."""
        count = 0
        while subscriber.is_open and subscriber.cursor < until:
            page = await self._log.page(subscriber.cursor, until, tuple(subscriber.channels), PAGE_MESSAGES)
            news = [envelope_of(message) for message in page if not subscriber.has_seen(message)]
            subscriber.cursor = page[-1].offset if len(page) == PAGE_MESSAGES else until
            count += len(news)
            if subscriber.is_open:
                subscriber.put(news)
                self._count(subscriber.sink.kind, news)
                await subscriber.drained()
        return count

    async def resume(self, subscriber: Subscriber, channels: Collection[Channel], after: int | None) -> Reset | None:
        """Put the subscriber back to ``after`` (None: not a number) with these channels instead of its own.

        Follow with :meth:`go_live`. A Reset says that the log cannot tell what was missed: the subscriber stands at its
        head then.
        """
        self.pause(subscriber)
        state = await self._log.state(after or 0, channels, self.limits.resume_messages_max + 1)
        reason = self._why_not(after, state)
        for channel in subscriber.channels:
            self._forget(channel, subscriber)
        subscriber.rewind(state.head if after is None or reason else after)
        self.listen(subscriber, channels, subscriber.cursor)
        return None if reason is None else Reset(reason, state.head)

    def _why_not(self, after: int | None, state: LogState) -> str | None:
        if after is None or after > state.head:
            return "unknown_offset"
        if after + 1 < state.oldest:
            return "too_old"
        if state.missed > self.limits.resume_messages_max or state.head - after > SCAN_OFFSETS_MAX:
            return "too_many"
        return None

    def _count(self, kind: str, envelopes: Sequence[Envelope], clients: int = 1) -> None:
        for type_, count in Counter(envelope.type for envelope in envelopes).items():
            self._metrics.push_messages_total.labels(kind, type_).inc(count * clients)
