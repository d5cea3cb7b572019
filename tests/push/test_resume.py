"""Clients come, go and come back at random moments: each ends up with every message of its channels once, in order."""

import asyncio
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.push.sinks import Inbox
from zmart_lite.api.live.stored_feed import StoredFeed
from zmart_lite.config import Push
from zmart_lite.models import FeedMessage
from zmart_lite.ops import Metrics
from zmart_lite.push.channels import ALERTS, PUBLIC, Channel, channels_of
from zmart_lite.push.hub import Hub
from zmart_lite.push.subscriber import Subscriber
from zmart_lite.store.engine.db import Store, Tx

MARKETS = [bytes([number]) * 32 for number in (1, 2)]
WALLET = bytes([9]) * 32
TYPES = (
    "market_state",
    "price",
    "trade",
    "vote",
    "voting_progress",
    "discussion",
    "claims_enabled",
    "position",
    "alert",
)
CHANNELS = [
    PUBLIC,
    ALERTS,
    Channel("markets"),
    Channel("trades"),
    Channel("votes"),
    Channel("user", WALLET),
    *(Channel(kind, MARKETS[0]) for kind in ("market", "price", "trade", "discussion", "voting")),
    Channel("market", MARKETS[1]),
]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 200)),
        st.tuples(st.just("disconnect"), st.integers(0, 2)),
        st.tuples(st.just("reconnect"), st.integers(0, 2)),
        st.tuples(st.just("block"), st.integers(0, 2)),
        st.tuples(st.just("unblock"), st.integers(0, 2)),
        st.tuples(st.just("settle"), st.just(0)),
    ),
    max_size=25,
)


class Reader:
    """A client that remembers the largest offset it saw and comes back with it."""

    def __init__(self, hub: Hub, channels: Sequence[Channel]) -> None:
        self.hub, self.channels = hub, channels
        self.received: list[int] = []
        self.inbox: Inbox | None = None
        self.subscriber: Subscriber | None = None
        self.opening: asyncio.Task[None] | None = None

    def connect(self) -> None:
        if self.subscriber is None:
            self.inbox = Inbox()
            self.subscriber = Subscriber(self.inbox)
            self.hub.join(self.subscriber, resumed=True)
            self.opening = asyncio.get_running_loop().create_task(self._open(self.subscriber))

    async def _open(self, subscriber: Subscriber) -> None:
        reset = await self.hub.resume(subscriber, self.channels, max(self.received, default=0))
        assert reset is None
        await self.hub.go_live(subscriber)

    async def disconnect(self) -> None:
        """Gone in the middle of whatever happens; what was written is what the client has."""
        if self.subscriber is None or self.inbox is None or self.opening is None:
            return
        self.received += self.inbox.offsets
        self.hub.leave(self.subscriber)
        self.subscriber = self.inbox = None
        await self.opening

    def block(self, *, blocked: bool) -> None:
        if self.inbox is not None and self.subscriber is not None:
            self.inbox.open = not blocked
            self.subscriber.flush()


async def play(found: list[tuple[str, int]], seed: int) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        store = await Store(Path(folder) / "feed.db").open()
        hub = Hub(StoredFeed(store), Metrics(), Push(queue_messages_max=100_000, queue_bytes_max=67_108_864))
        published: list[FeedMessage] = []
        store.on_commit = lambda messages: (published.extend(messages), hub.publish(messages))[-1]
        readers = [Reader(hub, chance.sample(CHANNELS, chance.randint(1, 5))) for _ in range(3)]
        writes: list[asyncio.Task[None]] = []
        for action, number in found:
            writes.append(asyncio.get_running_loop().create_task(step(store, readers, chance, action, number)))
            for _ in range(chance.randint(0, 5)):
                await asyncio.sleep(0)
        await asyncio.gather(*writes)
        await finish(hub, readers, published)
        for reader in readers:
            wanted = set(reader.channels)
            assert reader.received == [m.offset for m in published if wanted & set(channels_of(m))]
        await store.close()


async def step(store: Store, readers: list[Reader], chance: random.Random, action: str, number: int) -> None:
    match action:
        case "publish":
            kinds = [chance.choice(TYPES) for _ in range(number)]
            await store.write(lambda tx: publish(tx, kinds, chance))
        case "disconnect":
            await readers[number].disconnect()
        case "reconnect":
            readers[number].connect()
        case "block" | "unblock":
            readers[number].block(blocked=action == "block")


def publish(tx: Tx, kinds: list[str], chance: random.Random) -> None:
    for kind in kinds:
        tx.publish(
            kind,
            {},
            market_id=None if kind == "alert" else chance.choice(MARKETS),
            wallet=chance.choice([WALLET, bytes(32)]) if kind == "position" else None,
            listed=chance.random() < 0.7,
            state_changed=kind == "market_state" and chance.random() < 0.5,
        )


async def finish(hub: Hub, readers: list[Reader], published: list[FeedMessage]) -> None:
    """Everybody comes back once more and gets all of the rest."""
    for reader in readers:
        reader.block(blocked=False)
        await reader.disconnect()
        reader.connect()
    for reader in readers:
        assert reader.opening is not None
        await reader.opening
    while hub.head < (published[-1].offset if published else 0):  # noqa: ASYNC110 - turns of the loop, not time
        await asyncio.sleep(0)
    for reader in readers:
        await reader.disconnect()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(found=steps, seed=st.integers(0, 2**32))
def test_every_message_once_in_order_whatever_happens(found: list[tuple[str, int]], seed: int) -> None:
    asyncio.run(play(found, seed))


@pytest.mark.parametrize("seed", range(3))
def test_a_long_life(seed: int) -> None:
    chance = random.Random(seed)
    actions = ["publish", "publish", "publish", "disconnect", "reconnect", "reconnect", "block", "unblock"]
    found = [(chance.choice(actions), chance.randint(0, 2)) for _ in range(300)]
    found = [(action, chance.randint(1, 200) if action == "publish" else number) for action, number in found]
    asyncio.run(play(found, seed))
