"""The aggregator: exact at the threshold, once, and only where votes changed."""

from pathlib import Path

import pytest

from tests.jobs.devnet import World, devnet_world
from tests.store.voting import add_vote
from zmart_lite.errors import Conflict
from zmart_lite.jobs import Keys, Summary
from zmart_lite.jobs.votes import Aggregator, VoteOptions
from zmart_lite.models import MarketState, VoteType
from zmart_lite.store.state import intents, markets, votes

DAY_S = 86_400


def aggregator(world: World, *, votes_min: int = 10, keys: Keys | None = None) -> Aggregator:
    return Aggregator(
        world.store, world.actions(keys=keys), markets.find_config, world.now, VoteOptions(votes_min, DAY_S)
    )


async def cast(world: World, market_id: bytes, likes: int, dislikes: int) -> None:
    record = await world.record(market_id)
    for number in range(likes + dislikes):
        address = bytes([number + 1]) * 31 + market_id[:1]
        await world.store.write(
            lambda tx, address=address, number=number: add_vote(  # type: ignore[misc]
                tx, record["id"], markets.wallet_key(tx, address), VoteType.PROPOSAL, number < likes
            )
        )


@pytest.mark.parametrize(
    ("likes", "dislikes", "approved"),
    [(7, 3, True), (70, 30, True), (69, 31, False), (6, 4, False), (9, 0, False), (10, 0, True), (14, 6, True)],
)
async def test_a_proposal_is_approved_exactly_from_the_threshold_and_minimum_on(
    tmp_path: Path, likes: int, dislikes: int, approved: bool
) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        await cast(world, market_id, likes, dislikes)
        await aggregator(world).run({})
        record = await world.record(market_id)
        assert record["state"] == (MarketState.APPROVED if approved else MarketState.PROPOSED)
        assert (record["proposal_likes"], record["proposal_dislikes"]) == ((likes, dislikes) if approved else (0, 0))


async def test_a_second_run_without_new_votes_does_nothing(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        await cast(world, market_id, 5, 5)
        assert await aggregator(world).run({}) == Summary(found=1, skipped=1)
        assert await aggregator(world).run({}) == Summary()
        assert await world.store.read(lambda tx: tx.value("SELECT count(*) FROM intents")) == 0


async def test_a_proposal_whose_time_ends_without_consensus_is_recorded_and_reported_once(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        await cast(world, market_id, 5, 5)
        world.localnet.ledger.warp(DAY_S)
        for _ in range(3):
            await aggregator(world).run({})
        record = await world.record(market_id)
        assert (record["state"], record["proposal_likes"], record["proposal_dislikes"]) == (MarketState.PROPOSED, 5, 5)
        alerts = await world.store.read(lambda tx: tx.all("SELECT alert_type, subject, count FROM alerts"))
        assert [tuple(each) for each in alerts] == [("proposal_no_consensus", market_id.hex(), 1)]
        assert await world.store.read(lambda tx: tx.value("SELECT count(*) FROM intents")) == 1


async def test_without_the_admin_key_the_proposal_waits_for_a_wallet(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        await cast(world, market_id, 10, 0)
        await aggregator(world, keys=Keys(world.localnet.backend, None)).run({})
        record = await world.record(market_id)
        assert (record["state"], record["ready_for_approval"]) == (MarketState.PROPOSED, 1)
        await aggregator(world).run({})
        assert (await world.record(market_id))["state"] == MarketState.APPROVED


async def test_recorded_votes_are_marked_and_later_ones_are_not(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        await cast(world, market_id, 10, 0)
        await aggregator(world, keys=Keys(world.localnet.backend, None)).run({})
        record = await world.record(market_id)
        counted = await world.store.read(lambda tx: tx.value("SELECT count(*) FROM votes WHERE aggregated = 1"))
        assert counted == 10
        tally = await world.store.read(lambda tx: votes.find_tally(tx, record["id"], VoteType.PROPOSAL))
        assert tally.last_aggregated_at is not None


async def test_the_result_is_kept_with_its_counts_its_threshold_and_its_transaction(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        await cast(world, market_id, 9, 3)
        await aggregator(world, keys=Keys(world.localnet.backend, None)).run({})
        (intent,) = await world.store.read(lambda tx: tx.all("SELECT * FROM intents"))
        args = intents.args_of(intent)
        assert (args["percentage_bps"], args["threshold_bps"]) == (7_500, 7_000)
        record = await world.record(market_id)
        tally = await world.store.read(lambda tx: votes.find_tally(tx, record["id"], VoteType.PROPOSAL))
        assert tally.recorded == votes.Recorded(9, 3, 7_000, intent["signature"], intent["slot"], is_final=False)
        world.localnet.ledger.produce_blocks(40)
        await world.indexer.follow_finality()
        tally = await world.store.read(lambda tx: votes.find_tally(tx, record["id"], VoteType.PROPOSAL))
        assert tally.recorded is not None
        assert tally.recorded.is_final


async def test_a_dry_run_and_a_run_for_one_market_touch_nothing_else(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        first, second = await world.market(1), await world.market(2)
        await cast(world, first, 10, 0)
        await cast(world, second, 10, 0)
        assert (await aggregator(world).run({"dry_run": True})).done == 0
        third = await world.market(3)
        await cast(world, third, 10, 0)
        await aggregator(world, keys=Keys(world.localnet.backend, None)).run({"market_id": third})
        await aggregator(world).run({"market_id": second})
        assert (await world.record(third))["ready_for_approval"] == 1
        states = [(await world.record(market_id))["state"] for market_id in (first, second)]
        assert states == [MarketState.PROPOSED, MarketState.APPROVED]


async def test_by_config_every_change_goes_on_chain_once(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        options = VoteOptions(10, DAY_S, record_changes=True)
        every = Aggregator(world.store, world.actions(), markets.find_config, world.now, options)
        await cast(world, market_id, 2, 1)
        assert await every.run({}) == Summary(found=1, done=1)
        assert await every.run({}) == Summary()
        record = await world.record(market_id)
        assert (record["state"], record["proposal_likes"], record["proposal_dislikes"]) == (MarketState.PROPOSED, 2, 1)


async def test_votes_after_the_end_without_consensus_go_on_chain_only_if_they_decide(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        await cast(world, market_id, 5, 5)
        world.localnet.ledger.warp(DAY_S)
        await aggregator(world).run({})
        record = await world.record(market_id)

        async def late(first: int, count: int) -> None:
            for number in range(first, first + count):
                address = bytes([number]) * 32
                await world.store.write(
                    lambda tx, address=address: add_vote(  # type: ignore[misc]
                        tx, record["id"], markets.wallet_key(tx, address), VoteType.PROPOSAL, True
                    )
                )

        await late(100, 1)
        assert await aggregator(world).run({}) == Summary(found=1, skipped=1)
        assert await world.store.read(lambda tx: tx.value("SELECT count(*) FROM intents")) == 1
        await late(101, 6)
        await aggregator(world).run({})
        assert (await world.record(market_id))["state"] == MarketState.APPROVED


async def test_what_was_recorded_is_counted(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        await cast(world, market_id, 10, 0)
        await aggregator(world).run({})
        page = world.metrics.render().decode()
        assert 'zmart_aggregations_total{kind="proposal",result="ok"} 1.0' in page
        assert 'zmart_aggregation_threshold_met_total{kind="proposal"} 1.0' in page
        assert 'zmart_votes_per_market_sum{kind="proposal"} 10.0' in page
        assert 'zmart_transitions_total{action="approve_proposal",result="confirmed"} 1.0' in page


@pytest.mark.parametrize("late_likes", [True, False])
async def test_votes_accepted_while_the_counts_were_on_their_way_are_counted_before_the_approval(
    tmp_path: Path, late_likes: bool
) -> None:
    """And if the proposal passes no more with them, it is not approved, and its voting goes on."""
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        await cast(world, market_id, 10, 0)
        without_admin = Keys(world.keys.backend, None)
        await aggregator(world, keys=without_admin).run({})
        record = await world.record(market_id)
        assert (record["ready_for_approval"], record["proposal_likes"]) == (1, 10)
        with pytest.raises(Conflict, match="waits for approval"):
            votes.require_open(record, VoteType.PROPOSAL)
        # As if they had been accepted before the event of the counts was indexed.
        await world.store.write(lambda tx: tx.execute("UPDATE markets SET ready_for_approval = 0"))
        for number in range(8):
            wallet = bytes([100 + number]) * 32
            await world.store.write(
                lambda tx, wallet=wallet: add_vote(  # type: ignore[misc]
                    tx, record["id"], markets.wallet_key(tx, wallet), VoteType.PROPOSAL, late_likes
                )
            )
        await world.store.write(lambda tx: tx.execute("UPDATE markets SET ready_for_approval = 1"))
        await aggregator(world).run({})
        record = await world.record(market_id)
        counts = (18, 0) if late_likes else (10, 8)
        assert (record["proposal_likes"], record["proposal_dislikes"]) == counts
        assert record["state"] == (MarketState.APPROVED if late_likes else MarketState.PROPOSED)
        assert not record["ready_for_approval"]
        missing = "SELECT count(*) FROM votes WHERE aggregated = 0"
        assert await world.store.read(lambda tx: tx.value(missing)) == 0
