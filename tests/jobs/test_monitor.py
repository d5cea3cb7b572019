"""The monitor: on time, by the chain's clock, with the counts of the votes."""

from pathlib import Path

import pytest

from tests.jobs.devnet import HASH, World, devnet_world
from tests.store.voting import add_vote
from zmart_lite import rules
from zmart_lite.jobs import Summary
from zmart_lite.jobs.monitor import FINALIZE_SLACK_S, Monitor, MonitorOptions
from zmart_lite.models import MarketState, VoteType
from zmart_lite.store.state import intents, markets, votes

PERIOD_S = 259_200
VOTING_S = 259_200


def monitor(world: World, *, by_heads: bool = False, dry_run: bool = False, batch_size: int = 50) -> Monitor:
    options = MonitorOptions(batch_size, VOTING_S, by_heads, 172_800, dry_run)
    return Monitor(world.store, world.actions(), markets.find_config, world.now, options)


async def vote(world: World, market_id: bytes, wallet: int, agrees: bool) -> None:
    record = await world.record(market_id)
    address = bytes(world.localnet.wallets[wallet].pubkey())
    await world.store.write(
        lambda tx: add_vote(tx, record["id"], markets.wallet_key(tx, address), VoteType.DISPUTE, agrees)
    )


async def test_a_resolution_is_finalised_once_its_window_and_the_slack_are_over(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.resolving_market(1)
        proposed_at = (await world.record(market_id))["resolution_proposed_at"]
        world.localnet.ledger.warp(proposed_at + PERIOD_S + FINALIZE_SLACK_S - 1 - world.now())
        assert await monitor(world).run({}) == Summary()
        world.localnet.ledger.warp(1)
        assert await monitor(world).run({}) == Summary(found=1, done=1)
        assert await monitor(world).run({}) == Summary()
        record = await world.record(market_id)
        assert (record["state"], record["final_outcome"]) == (MarketState.FINALIZED, 1)


async def test_the_oldest_come_first_batch_after_batch(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        ids = [await world.resolving_market(number) for number in (1, 2, 3)]
        world.localnet.ledger.warp(PERIOD_S + FINALIZE_SLACK_S + 60)
        assert await monitor(world, batch_size=2).run({}) == Summary(found=3, done=3)
        opened = await world.store.read(lambda tx: tx.all("SELECT subject FROM intents ORDER BY id"))
        assert [row["subject"] for row in opened] == [market_id.hex() for market_id in ids]


@pytest.mark.parametrize(("agreeing", "flipped"), [((0, 1, 2), True), ((0,), False), ((), False)])
async def test_a_dispute_is_settled_after_its_time_with_the_counts_of_the_votes(
    tmp_path: Path, agreeing: tuple[int, ...], flipped: bool
) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.disputed_market(1, holders=4)
        for wallet in (0, 1, 2):
            await vote(world, market_id, wallet, wallet in agreeing)
        assert await monitor(world).run({}) == Summary()
        world.localnet.ledger.warp(VOTING_S)
        assert (await monitor(world).run({})).done == 1
        record = await world.record(market_id)
        assert (record["state"], record["was_disputed"]) == (MarketState.FINALIZED, 1)
        assert record["final_outcome"] == (0 if flipped else 1)
        await is_kept(world, market_id)


async def is_kept(world: World, market_id: bytes) -> None:
    """Check what is on record of a settled dispute, against the votes."""
    record = await world.record(market_id)
    tally = await world.store.read(lambda tx: votes.find_tally(tx, record["id"], VoteType.DISPUTE))
    intent = await world.store.read(lambda tx: intents.find_last(tx, "finalize_market", market_id.hex()))
    assert intent is not None
    assert tally.recorded is not None
    args, recorded = intents.args_of(intent), tally.recorded
    weights = tally.agree_weight, tally.disagree_weight
    assert (int(args["agree_weight"]), int(args["disagree_weight"])) == weights
    assert args["percentage_bps"] == rules.ratio_bps(weights[0], sum(weights))
    assert args["percentage_bps"] == rules.ratio_bps(recorded.yes, recorded.yes + recorded.no)
    assert (recorded.threshold_bps, recorded.signature) == (args["threshold_bps"], intent["signature"])


async def test_a_dispute_on_which_every_holder_voted_is_settled_at_once(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.disputed_market(1, holders=2)
        await vote(world, market_id, 0, True)
        assert (await monitor(world).run({})).done == 0
        await vote(world, market_id, 1, True)
        assert (await monitor(world).run({})).done == 1
        assert (await world.record(market_id))["final_outcome"] == 0


async def test_no_counts_are_invented_for_a_dispute_without_votes(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.disputed_market(1, holders=1)
        world.localnet.ledger.warp(VOTING_S)
        assert await monitor(world).run({}) == Summary()
        assert (await world.record(market_id))["state"] == MarketState.DISPUTED


async def test_an_outcome_registered_in_advance_is_submitted_when_it_is_due(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.active_market(1)
        record, due_at = await world.record(market_id), world.now() + 100
        await world.store.write(
            lambda tx: tx.execute(
                "INSERT INTO resolution_plans (market, outcome, evidence_hash, due_at, registered_ms)"
                " VALUES (?, 0, ?, ?, 0)",
                (record["id"], HASH, due_at),
            )
        )
        assert await monitor(world).run({}) == Summary()
        world.localnet.ledger.warp(100)
        assert await monitor(world).run({}) == Summary(found=1, done=1)
        record = await world.record(market_id)
        assert (record["state"], record["proposed_outcome"]) == (MarketState.RESOLVING, 0)
        assert record["resolver_address"] == bytes(world.localnet.backend.pubkey())


async def test_a_dry_run_only_tells(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.resolving_market(1)
        world.localnet.ledger.warp(PERIOD_S + FINALIZE_SLACK_S)
        args = {"dispute_agree": None, "dispute_disagree": None}
        await world.store.write(lambda tx: intents.open_intent(tx, "finalize_market", market_id.hex(), args))
        assert await monitor(world, dry_run=True).run({}) == Summary(found=1, skipped=1)
        assert await monitor(world).run({"dry_run": True}) == Summary(found=1, skipped=1)
        assert (await world.record(market_id))["state"] == MarketState.RESOLVING


async def test_hundreds_due_in_the_same_minute_are_all_finalised_none_twice_none_missed(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        ids = await world.resolving_markets(120)
        world.localnet.ledger.warp(PERIOD_S + FINALIZE_SLACK_S + 60)
        summary = await monitor(world).run({})
        assert summary == Summary(found=120, done=120)
        assert await monitor(world).run({}) == Summary()
        states = {(await world.record(market_id))["state"] for market_id in ids}
        assert states == {MarketState.FINALIZED}
        events = await world.store.read(
            lambda tx: tx.all(
                "SELECT market, count(*) AS n FROM events WHERE event_type = 'MarketFinalized' GROUP BY market"
            )
        )
        assert [row["n"] for row in events] == [1] * 120


async def test_markets_that_fail_do_not_keep_the_others_waiting(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        broken, sound = await world.resolving_market(1), await world.resolving_market(2)
        ledger = world.localnet.ledger
        ledger.set_account(world.codec.market_address(broken), None)
        ledger.warp(PERIOD_S + FINALIZE_SLACK_S + 60)
        assert await monitor(world, batch_size=1).run({}) == Summary(found=2, done=1, failed=1)
        assert (await world.record(sound))["state"] == MarketState.FINALIZED
        assert await monitor(world).run({}) == Summary()
