"""Reading the history again, from the devnet into another database, and folding a log again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.jobs.devnet import World, devnet_world
from zmart_lite.chain.rpc import Rpc
from zmart_lite.demo.accounts import differences
from zmart_lite.errors import RpcUnavailable
from zmart_lite.indexer import Indexer, backfill
from zmart_lite.indexer.backfill import Backfill, Progress
from zmart_lite.indexer.rebuild import rebuild
from zmart_lite.indexer.service import IndexerOptions
from zmart_lite.localnet.tempers import Temper
from zmart_lite.ops import ChainClock, Metrics
from zmart_lite.store.engine.db import Store
from zmart_lite.store.log import chainlog
from zmart_lite.store.publishing.messages import FeedContext


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with devnet_world(tmp_path / "first") as opened:
        market_id = await opened.active_market(1)
        for wallet in range(3):
            await opened.buy(market_id, wallet, outcome=wallet == 1)
        await opened.resolving_market(2)
        yield opened


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store(tmp_path / "second.db").open()
    yield opened
    await opened.close()


def indexer(world: World, store: Store, rpc: Rpc | None = None) -> Indexer:
    def feed() -> FeedContext:
        return world.indexer.writer._feed_context()

    return Indexer(store, world.codec, rpc or world.rpc, ChainClock(), Metrics(), feed, IndexerOptions())


async def no_pause(_: float) -> None:
    """What is waited for here is postponed by the wall clock only."""


async def test_the_whole_history_into_an_empty_database(world: World, store: Store) -> None:
    steps: list[Progress] = []
    done = await Backfill(indexer(world, store), steps.append, no_pause).run(0)
    assert done.seen == done.new > 10
    compared, wrong = await differences(store, world.codec, world.localnet.rpc_url)
    assert compared
    assert wrong == []
    assert {step.phase for step in steps} == {"reading", "indexing"}
    assert all(0 <= step.done <= step.total for step in steps)
    assert steps[-1].done == steps[-1].total == done.new
    again = await Backfill(indexer(world, store), sleep=no_pause).run(0)
    assert (again.seen, again.new) == (done.seen, 0)


async def test_only_from_a_slot_on(world: World, store: Store) -> None:
    tip = world.localnet.ledger.open_slot
    done = await Backfill(indexer(world, store), sleep=no_pause).run(tip - 40)
    slots = await store.read(lambda tx: [row["slot"] for row in tx.all("SELECT slot FROM transactions")])
    assert 0 < done.seen == len(slots)
    assert min(slots) >= tip - 40


async def test_history_that_the_node_has_not_got_is_told(world: World, store: Store) -> None:
    reading = Backfill(indexer(world, store), sleep=no_pause)
    assert (await reading.run(0)).lacking_below is None
    kept = world.localnet.ledger.history
    kept._transactions_max = 2
    kept._prune_transactions()
    first = kept.first_slot
    assert first > 0
    assert (await reading.run(first - 1)).lacking_below == first
    assert (await reading.run(first)).lacking_below is None


async def test_it_goes_on_where_it_was_interrupted(world: World, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "SIGNATURES_PER_PAGE_MAX", 3)
    reads: list[int] = []

    def fail_third(step: Progress) -> None:
        reads.append(step.done)
        if len(reads) == 2:
            world.localnet.context.tempers.add(Temper("500", 4))

    with pytest.raises(RpcUnavailable):
        await Backfill(indexer(world, store), fail_third, no_pause).run(0)
    waiting = await store.read(chainlog.inbox_length)
    assert waiting == 6
    seen: list[Progress] = []
    done = await Backfill(indexer(world, store), seen.append, no_pause).run(0)
    assert done.new == done.seen
    assert seen[0].done > reads[0]
    _, wrong = await differences(store, world.codec, world.localnet.rpc_url)
    assert wrong == []
    assert await store.read(lambda tx: chainlog.find_meta(tx, backfill.STATE)) is None


async def test_folding_again_comes_to_the_same(world: World) -> None:
    writer = world.indexer.writer
    head = await world.store.read(lambda tx: tx.value("SELECT max(feed_offset) FROM feed"))
    steps: list[tuple[int, int]] = []
    done = await rebuild(writer, writer._feed_context, lambda *step: steps.append(step))
    assert (done.markets, done.differences) == (2, ())
    assert steps == [(2, 2)]
    assert await world.store.read(lambda tx: tx.value("SELECT max(feed_offset) FROM feed")) == head


async def test_folding_again_finds_and_corrects_what_is_wrong(world: World) -> None:
    await world.store.write(lambda tx: tx.execute("UPDATE markets SET total_volume = '00000000000000000005'"))
    await world.store.write(lambda tx: tx.execute("UPDATE positions SET trades_count = 77"))
    writer = world.indexer.writer
    done = await rebuild(writer, writer._feed_context, lambda *_: None)
    fields = [field.rpartition(".")[2] for _, field, _, _ in done.differences]
    assert sorted(fields) == ["total_volume", "total_volume", "trades_count", "trades_count", "trades_count"]
    _, wrong = await differences(world.store, world.codec, world.localnet.rpc_url)
    assert wrong == []
