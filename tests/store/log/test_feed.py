from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.log import feed
from zmart_lite.store.log.feed import FeedFilter

MARKET, WALLET = bytes([1]) * 32, bytes([2]) * 32
ALL = (FeedFilter("listed", ("trade", "price")),)


class Clock:
    now_ms = 1_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    store = await Store(tmp_path / "feed.db", now_ms=clock).open()
    yield store
    await store.close()


async def publish(store: Store, count: int, **options: object) -> None:
    def unit(tx: Tx) -> None:
        for _ in range(count):
            tx.publish("trade", {}, **options)  # type: ignore[arg-type]

    await store.write(unit)


async def test_an_empty_feed(store: Store) -> None:
    assert await store.read(feed.feed_head) == 0
    assert await store.read(feed.oldest_offset) == 1
    assert await store.read(lambda tx: feed.list_feed(tx, ALL, after=0, limit=10)) == []
    assert await store.read(lambda tx: feed.offset_before(tx, 0)) == 0


async def test_pages_follow_each_other(store: Store) -> None:
    await publish(store, 5)
    first = await store.read(lambda tx: feed.list_feed(tx, ALL, after=0, limit=2))
    rest = await store.read(lambda tx: feed.list_feed(tx, ALL, after=2, until=4, limit=100))
    assert [m.offset for m in [*first, *rest]] == [1, 2, 3, 4]
    newest = await store.read(lambda tx: feed.list_newest(tx, ALL, limit=2))
    assert [m.offset for m in newest] == [4, 5]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ((FeedFilter("market", ("trade",), (MARKET,)),), [1]),
        ((FeedFilter("market", ("trade",), ()),), []),
        ((FeedFilter("wallet", ("position",), (WALLET,)),), [2]),
        ((FeedFilter("all", ("alert",)),), [3]),
        ((FeedFilter("listed", ("market_state",), (), True),), [5]),
        ((FeedFilter("listed", ("market_state",)), FeedFilter("all", ("alert",))), [3, 4, 5]),
        ((), []),
    ],
)
async def test_filters(store: Store, filters: tuple[FeedFilter, ...], expected: list[int]) -> None:
    def unit(tx: Tx) -> None:
        tx.publish("trade", {}, market_id=MARKET, listed=False)
        tx.publish("position", {}, market_id=MARKET, wallet=WALLET, listed=False)
        tx.publish("alert", {}, listed=False)
        tx.publish("market_state", {}, market_id=MARKET)
        tx.publish("market_state", {}, market_id=MARKET, state_changed=True)

    await store.write(unit)
    found = await store.read(lambda tx: feed.list_feed(tx, filters, after=0, limit=10))
    assert [message.offset for message in found] == expected
    assert await store.read(lambda tx: feed.count_feed(tx, filters, after=0, count_max=10)) == len(expected)


async def test_counting_stops(store: Store) -> None:
    await publish(store, 10)
    assert await store.read(lambda tx: feed.count_feed(tx, ALL, after=0, count_max=4)) == 4
    assert await store.read(lambda tx: feed.count_feed(tx, ALL, after=8, count_max=4)) == 2


async def test_pruning_leaves_the_newest_and_the_offsets_go_on(store: Store, clock: Clock) -> None:
    await publish(store, 5)
    clock.now_ms = 2_000
    assert await store.write(lambda tx: feed.prune_feed(tx, 1_500)) == 4
    assert await store.read(feed.oldest_offset) == 5
    await publish(store, 2)
    assert await store.write(lambda tx: feed.prune_feed(tx, 1_500)) == 1
    assert await store.read(feed.feed_head) == 7
    assert await store.read(lambda tx: feed.offset_before(tx, 2_000)) == 5
    assert await store.read(lambda tx: feed.offset_before(tx, 3_000)) == 7
