"""Subscriptions that begin in the middle of the feed's life: no gap, no repetition, offsets that only grow."""

import asyncio
import random
from pathlib import Path

import msgspec
import pytest

from tests.api.stream_node import ALICE, BOB, StreamNode, stream_node
from tests.push.sinks import Inbox
from zmart_lite.api.live.callers import ANONYMOUS, Caller, authorize
from zmart_lite.api.live.commands import Command
from zmart_lite.api.live.listener import Listener
from zmart_lite.errors import Forbidden, Unauthorized
from zmart_lite.push.channels import ALERTS, Channel, channels_of
from zmart_lite.push.subscriber import Subscriber
from zmart_lite.store.log import feed

MARKETS = [bytes([1]) * 32, bytes([2]) * 32]
CHANNELS = [
    Channel("trades"),
    Channel("public"),
    *(Channel(k, m) for m in MARKETS for k in ("market", "price", "voting")),
]
TYPES = ["trade", "price", "vote", "market_state", "voting_progress"]
EVERYTHING = (feed.FeedFilter("listed", tuple(TYPES)),)


@pytest.mark.parametrize("seed", range(3))
async def test_subscribing_while_the_feed_runs(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    async with stream_node(tmp_path) as node:
        for number in (1, 2):
            await node.add_market(number)
        inbox = Inbox()
        subscriber = Subscriber(inbox)
        node.hub.join(subscriber, resumed=False)
        listener = Listener(node.streams, subscriber, ANONYMOUS)
        began: dict[Channel, int] = {}
        publishing = asyncio.get_running_loop().create_task(publish_all(node, chance))
        for channel in chance.sample(CHANNELS, 5):
            by_market = channel.kind == "market" and chance.random() < 0.5
            await listener.subscribe(Command("subscribe", (channel,), by_market))
            began[channel] = subscriber.channels[channel]
            for _ in range(chance.randint(0, 20)):
                await asyncio.sleep(0)
        await publishing
        await node.until(lambda: node.hub.head == 300)
        log = await node.store.read(lambda tx: feed.list_feed(tx, EVERYTHING, after=0, limit=1_000))
    expected = [m.offset for m in log if any(began.get(c, m.offset) < m.offset for c in channels_of(m))]
    assert live_offsets(inbox) == expected
    assert inbox.offsets == sorted(inbox.offsets), "snapshots stand where they are valid"


def live_offsets(inbox: Inbox) -> list[int]:
    """Offsets of the feed's own messages, which alone have a number in their data."""
    envelopes = [envelope for batch in inbox.writes for envelope in batch]
    return [e.offset for e in envelopes if e.offset and "n" in msgspec.json.decode(e.payload)["data"]]


async def publish_all(node: StreamNode, chance: random.Random) -> None:
    for number in range(300):
        type_ = chance.choice(TYPES)
        await node.publish(type_, {"n": number}, market_id=chance.choice(MARKETS), state_changed=chance.random() < 0.5)


async def test_a_snapshot_waits_for_what_the_other_channels_still_have_to_bring(tmp_path: Path) -> None:
    """The store is ahead of the Hub for a moment after every commit; here the moment is held."""
    async with stream_node(tmp_path) as node:
        market = await node.add_market()
        inbox = Inbox()
        subscriber = Subscriber(inbox)
        node.hub.join(subscriber, resumed=False)
        listener = Listener(node.streams, subscriber, ANONYMOUS)
        await listener.subscribe(Command("subscribe", (Channel("trades"),)))
        late = []
        node.store.on_commit = late.extend
        await node.publish("trade", {"n": 1}, market_id=market)
        await listener.subscribe(Command("subscribe", (Channel("market", market),)))
        await node.publish("price", {"n": 2}, market_id=market)
        node.hub.publish(late)
        kinds = [(e.type, e.offset) for batch in inbox.writes for e in batch]
        assert kinds == [
            ("subscribed", None),
            ("trade", 1),
            ("subscribed", None),
            ("market_state", 1),
            ("price", 2),
        ]


@pytest.mark.parametrize(
    ("caller", "channel", "refusal"),
    [
        (ANONYMOUS, Channel("user", ALICE), Unauthorized),
        (ANONYMOUS, ALERTS, Unauthorized),
        (Caller(wallet=BOB), Channel("user", ALICE), Forbidden),
        (Caller(wallet=BOB), ALERTS, None),
        (Caller(wallet=ALICE), Channel("user", ALICE), None),
        (Caller(wallet=BOB, is_admin=True), Channel("user", ALICE), None),
        (Caller(service_key=True), Channel("user", ALICE), None),
        (Caller(service_key=True), ALERTS, None),
    ],
)
def test_who_may_listen_to_what(caller: Caller, channel: Channel, refusal: type[Exception] | None) -> None:
    if refusal is None:
        authorize(caller, [channel])
        return
    with pytest.raises(refusal, match=r"^Forbidden channel: "):
        authorize(caller, [channel])
