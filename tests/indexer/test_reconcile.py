"""Reconciliation on the devnet: what differs is found, recorded, corrected and told once; what is only late is not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.jobs.devnet import World, devnet_world
from zmart_lite.demo.accounts import differences
from zmart_lite.jobs.reconcile import Reconciliation
from zmart_lite.models import MarketState
from zmart_lite.store.engine.db import Row
from zmart_lite.store.log import chainlog


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with devnet_world(tmp_path) as opened:
        yield opened


async def execute(world: World, sql: str, *params: object) -> None:
    await world.store.write(lambda tx: tx.execute(sql, params))


async def rows(world: World, sql: str) -> list[Row]:
    return await world.store.read(lambda tx: tx.all(sql))


async def agree(world: World) -> None:
    compared, wrong = await differences(world.store, world.codec, world.localnet.rpc_url)
    assert compared > 0
    assert wrong == []


async def test_nothing_differs_and_nothing_is_said(world: World) -> None:
    market_id = await world.active_market(1)
    await world.buy(market_id, 1, outcome=True)
    done = await world.indexer.reconciler.run()
    assert done.accounts == 3
    assert (done.differences, done.discovered, done.skipped) == (0, 0, 0)
    assert await rows(world, "SELECT * FROM discrepancies") == []
    assert await rows(world, "SELECT * FROM alerts") == []


async def test_a_field_that_differs_is_recorded_corrected_and_told_once(world: World) -> None:
    market_id = await world.active_market(1)
    await execute(world, "UPDATE markets SET shares_yes = '00000000000000000005', state = 1")
    first, second = await world.indexer.reconciler.run(), await world.indexer.reconciler.run()
    assert (first.differences, second.differences) == (2, 0)
    found = {row["field"]: row for row in await rows(world, "SELECT * FROM discrepancies")}
    assert found.keys() == {"shares_yes", "state"}
    assert found["shares_yes"]["stored"] == "5"
    (alert,) = await rows(world, "SELECT * FROM alerts WHERE alert_type = 'state_discrepancy'")
    assert (alert["subject"], alert["severity"], alert["status"], alert["count"]) == (
        market_id.hex(),
        "HIGH",
        "resolved",
        1,
    )
    await agree(world)


@pytest.mark.parametrize("tried_ms", [None, 2**60])
async def test_a_position_that_differs_is_corrected(world: World, tried_ms: int | None) -> None:
    """Also in a market that is left alone for a while because its account could not be read."""
    market_id = await world.active_market(1)
    await world.buy(market_id, 1, outcome=True)
    await world.buy(market_id, 2, outcome=False)
    if tried_ms is not None:
        await execute(world, "UPDATE markets SET needs_resync = 1, resync_tried_ms = ?", tried_ms)
    await execute(world, "UPDATE positions SET shares_yes = '00000000000000000005' WHERE shares_no = ?", "0" * 20)
    done = await world.indexer.reconciler.run()
    assert done.differences == 1
    (found,) = await rows(world, "SELECT * FROM discrepancies")
    assert found["field"].startswith("position.")
    assert found["field"].endswith(".shares_yes")
    await agree(world)


async def test_a_lost_event_is_fetched_and_is_no_discrepancy(world: World) -> None:
    """The log lacks a purchase that the accounts show: its transaction is found in the market's history."""
    market_id = await world.active_market(1)
    await world.buy(market_id, 1, outcome=True)
    (trade,) = await rows(world, "SELECT transaction_id FROM events WHERE is_trade = 1")
    writer = world.indexer.writer
    async with writer.lock:
        await writer.refold(lambda tx: chainlog.remove_transaction(tx, trade["transaction_id"]))
    done = await world.indexer.reconciler.run()
    assert len(await rows(world, "SELECT * FROM trades")) == 1
    assert (done.differences, await rows(world, "SELECT * FROM discrepancies")) == (0, [])
    await agree(world)


async def test_a_market_that_only_the_chain_knows_is_fetched_with_its_history(world: World) -> None:
    """Nothing of it was delivered."""
    index = world.indexer.index_signature
    market_id = await world.market(1)
    world.indexer.index_signature = lambda *_: _true()  # type: ignore[method-assign]
    unknown = await world.active_market(2)
    world.indexer.index_signature = index  # type: ignore[method-assign]
    assert await rows(world, "SELECT * FROM markets WHERE known = 1") != []
    done = await world.indexer.reconciler.run()
    assert done.discovered == 1
    record = await world.record(unknown)
    assert record["state"] == MarketState.ACTIVE
    events = await rows(world, f"SELECT event_type FROM events WHERE market = {record['id']} ORDER BY slot")
    assert [row["event_type"] for row in events] == [
        "MarketCreated",
        "ProposalAggregated",
        "ProposalApproved",
        "MarketActivated",
    ]
    assert (await world.record(market_id))["known"]
    await agree(world)


async def _true() -> bool:
    return True


async def test_the_config_is_compared_too(world: World) -> None:
    await execute(world, "UPDATE configs SET dispute_period = 5")
    done = await world.indexer.reconciler.run()
    assert done.differences == 1
    (found,) = await rows(world, "SELECT * FROM discrepancies")
    assert (found["field"], found["stored"], found["on_chain"]) == ("config.dispute_period", "5", "259200")
    assert (await world.indexer.reconciler.run()).differences == 0
    await agree(world)


async def test_the_job_reconciles_one_market_on_demand(world: World) -> None:
    market_id, other = await world.market(1), await world.market(2)
    await execute(world, "UPDATE markets SET b_parameter = '00000000000000000005'")
    job = Reconciliation(world.store, world.indexer)
    assert (await job.run({"market_id": market_id})).done == 1
    assert (await world.record(other))["b_parameter"] == "0" * 19 + "5"
    assert (await job.run({})).done == 1
    await agree(world)


async def test_the_job_tries_dead_letters_again(world: World) -> None:
    market_id = await world.active_market(1)
    (row,) = await rows(world, "SELECT signature, id FROM transactions ORDER BY id DESC LIMIT 1")
    await world.store.write(lambda tx: chainlog.add_dead_letter(tx, "delivery", "unknown", signature=row["signature"]))
    await world.store.write(lambda tx: chainlog.remove_transaction(tx, row["id"]))
    await Reconciliation(world.store, world.indexer).run({})
    assert await rows(world, "SELECT * FROM dead_letters WHERE resolved_ms IS NULL") == []
    assert (await world.record(market_id))["state"] == MarketState.ACTIVE
    await agree(world)


async def test_a_trade_and_a_position_that_only_the_log_has_are_undone(world: World) -> None:
    """A revert that nobody noticed: its trade is final in the log, and the chain has grown past it."""
    market_id = await world.active_market(1)
    await world.buy(market_id, 1, outcome=True)
    snapshot = world.localnet.ledger.snapshot()
    await world.buy(market_id, 2, outcome=False)
    await execute(world, "UPDATE transactions SET finality = 2")
    world.localnet.ledger.revert(snapshot)
    world.localnet.ledger.produce_blocks(100)
    done = await world.indexer.reconciler.run()
    assert (done.undone, done.differences, done.remaining) == (1, 0, 0)
    assert done.is_sound
    assert len(await rows(world, "SELECT * FROM trades")) == len(await rows(world, "SELECT * FROM positions")) == 1
    await agree(world)


async def test_the_verdict_is_that_of_comparing_once_more(world: World) -> None:
    """What cannot be corrected is said to differ still, and its alert stays until it does not."""
    market_id = await world.active_market(1)
    await execute(
        world, "UPDATE markets SET total_volume = '00000000000000000005', baseline_slot = 2000, baseline = x'00'"
    )
    slot = (await rows(world, "SELECT slot FROM markets"))[0]["slot"]
    await execute(world, "UPDATE markets SET baseline_slot = ?", slot + 100)
    job = Reconciliation(world.store, world.indexer)
    for params in ({}, {"market_id": market_id}):
        summary = await job.run(params)
        assert (summary.done, summary.failed) == (0, 1)
        (alert,) = await rows(world, "SELECT * FROM alerts WHERE alert_type = 'state_discrepancy'")
        assert (alert["subject"], alert["severity"], alert["status"]) == (market_id.hex(), "HIGH", "open")
    world.localnet.ledger.produce_blocks(200)
    assert [(await job.run({})).failed for _ in range(2)] == [0, 0]
    (alert,) = await rows(world, "SELECT * FROM alerts WHERE alert_type = 'state_discrepancy'")
    assert alert["status"] == "resolved"
    await agree(world)
