"""Every on-chain action happens once, whatever step the node dies at."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.devnet import World, devnet_world
from zmart_lite.chain import instructions
from zmart_lite.chain.tx import FeePolicy
from zmart_lite.errors import RpcUnavailable
from zmart_lite.jobs import Actions, Keys
from zmart_lite.jobs.actions import UNINDEXED_AFTER_S
from zmart_lite.models import MarketState
from zmart_lite.store.state import intents, markets

COUNTS = {"likes": 10, "dislikes": 1, "votes_until_ms": 0}


class Dying:
    """An RPC whose ``call_number``-th call of a kind dies before or after it reached the cluster."""

    def __init__(self, rpc: Any, method: str, *, after: bool) -> None:
        self._rpc = rpc
        self._method = method
        self._after = after
        self.died = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._rpc, name)
        if name != self._method or self.died:
            return found

        async def die(*args: Any, **kwargs: Any) -> Any:
            self.died = True
            if self._after:
                await found(*args, **kwargs)
            raise asyncio.CancelledError

        return die


async def rounds(world: World, action: str, market_id: bytes) -> list[Any]:
    return await world.store.read(
        lambda tx: tx.all(
            "SELECT * FROM intents WHERE action = ? AND subject = ? ORDER BY round", (action, market_id.hex())
        )
    )


async def landed(world: World, market_id: bytes, event_type: str) -> int:
    """How often an action reached the chain, by the events indexed."""
    await world.indexer.poll()
    while await world.indexer.index_inbox():
        pass
    record = await world.record(market_id)
    return await world.store.read(
        lambda tx: tx.value(
            "SELECT count(*) FROM events WHERE market = ? AND event_type = ?", (record["id"], event_type)
        )
    )


STEPS = [
    ("simulate_transaction", False),
    ("simulate_transaction", True),
    ("get_latest_blockhash", True),
    ("send_transaction", False),
    ("send_transaction", True),
    ("get_signature_statuses", False),
    ("get_signature_statuses", True),
]


@pytest.mark.parametrize(("method", "after"), STEPS)
async def test_an_action_that_dies_at_any_step_is_taken_up_again_and_lands_once(
    tmp_path: Path, method: str, after: bool
) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        dying = Dying(world.rpc, method, after=after)
        with pytest.raises(asyncio.CancelledError):
            await world.actions(dying).act("aggregate_proposal_votes", market_id.hex(), COUNTS)
        assert dying.died
        assert await world.actions().settle() == 1
        (intent,) = await rounds(world, "aggregate_proposal_votes", market_id)
        assert intent["status"] == "confirmed"
        assert await landed(world, market_id, "ProposalAggregated") == 1
        record = await world.record(market_id)
        assert (record["proposal_likes"], record["proposal_dislikes"]) == (10, 1)


async def test_a_cluster_that_cannot_be_reached_leaves_the_intent_for_later(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        unreachable = Failing(world.rpc)
        with pytest.raises(RpcUnavailable):
            await world.actions(unreachable).act("aggregate_proposal_votes", market_id.hex(), COUNTS)
        (intent,) = await rounds(world, "aggregate_proposal_votes", market_id)
        assert intent["status"] == "planned"
        await world.actions().settle()
        assert await landed(world, market_id, "ProposalAggregated") == 1


class Failing:
    """An RPC that cannot simulate just now."""

    def __init__(self, rpc: Any) -> None:
        self._rpc = rpc

    def __getattr__(self, name: str) -> Any:
        if name == "simulate_transaction":
            return self._fail
        return getattr(self._rpc, name)

    async def _fail(self, *_: Any, **__: Any) -> Any:
        raise RpcUnavailable("down")


async def test_the_same_action_at_the_same_time_is_one_intent(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        actions = world.actions()
        await asyncio.gather(*(actions.act("aggregate_proposal_votes", market_id.hex(), COUNTS) for _ in range(3)))
        await actions.settle()
        assert await landed(world, market_id, "ProposalAggregated") == 1


async def test_bytes_that_expired_are_never_sent_again_and_a_new_round_is_signed(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        dying = Dying(world.rpc, "send_transaction", after=False)
        with pytest.raises(asyncio.CancelledError):
            await world.actions(dying).act("aggregate_proposal_votes", market_id.hex(), COUNTS)
        world.localnet.ledger.produce_blocks(400)
        await world.actions().settle()
        (first,) = await rounds(world, "aggregate_proposal_votes", market_id)
        assert first["status"] == "expired"
        await world.actions().act("aggregate_proposal_votes", market_id.hex(), COUNTS)
        old, new = await rounds(world, "aggregate_proposal_votes", market_id)
        assert (old["status"], new["status"], new["round"]) == ("expired", "confirmed", 2)
        assert old["signature"] != new["signature"]
        assert await landed(world, market_id, "ProposalAggregated") == 1


# Until it is final


async def test_an_action_is_followed_until_it_is_final(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        await world.actions().act("aggregate_proposal_votes", market_id.hex(), COUNTS)
        assert await world.actions().follow_finality() == 0
        (intent,) = await rounds(world, "aggregate_proposal_votes", market_id)
        assert (intent["status"], intent["finalized_ms"]) == ("confirmed", None)
        world.localnet.ledger.produce_blocks(40)
        await world.indexer.follow_finality()
        assert await world.actions().follow_finality() == 0
        (intent,) = await rounds(world, "aggregate_proposal_votes", market_id)
        assert intent["finalized_ms"] is not None
        slot = await world.store.read(
            lambda each: each.value("SELECT slot FROM transactions WHERE signature = ?", (intent["signature"],))
        )
        assert intent["slot"] == slot


async def dropped(world: World, market_id: bytes) -> None:
    """An action that was confirmed and indexed, and whose block a fork then took away."""
    intent = await world.actions().act("aggregate_proposal_votes", market_id.hex(), COUNTS)
    assert intent["status"] == "confirmed"
    world.localnet.ledger.drop_blocks(1)
    world.localnet.ledger.produce_blocks(40)
    await world.indexer.follow_finality()


async def test_an_action_that_vanished_with_its_fork_is_sent_again_as_it_was(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        world.localnet.ledger.produce_blocks(40)
        await dropped(world, market_id)
        assert (await world.record(market_id))["proposal_likes"] == 0
        (intent,) = await rounds(world, "aggregate_proposal_votes", market_id)
        assert intent["status"] == "sent"
        again = await world.actions().act("aggregate_proposal_votes", market_id.hex(), COUNTS)
        assert (again["id"], again["signature"], again["status"]) == (intent["id"], intent["signature"], "confirmed")
        assert await landed(world, market_id, "ProposalAggregated") == 1
        assert (await world.record(market_id))["proposal_likes"] == 10


async def test_an_action_that_vanished_and_can_land_no_more_is_signed_anew(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        world.localnet.ledger.produce_blocks(40)
        await dropped(world, market_id)
        world.localnet.ledger.produce_blocks(200)
        assert await world.actions().settle() == 1
        await world.actions().act("aggregate_proposal_votes", market_id.hex(), COUNTS)
        old, new = await rounds(world, "aggregate_proposal_votes", market_id)
        assert (old["status"], new["status"]) == ("expired", "confirmed")
        assert await landed(world, market_id, "ProposalAggregated") == 1


def blind_actions(world: World) -> Actions:
    """Actions whose transactions the indexer does not get to see."""

    async def unseen(_: bytes) -> bool:
        return False

    return Actions(world.store, world.codec, world.rpc, world.keys, world.metrics, FeePolicy(fixed=0), unseen)


async def test_an_action_that_vanished_before_it_was_indexed_is_noticed_too(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id, blind = await world.market(1), blind_actions(world)
        assert (await blind.act("aggregate_proposal_votes", market_id.hex(), COUNTS))["status"] == "confirmed"
        await blind.act("aggregate_proposal_votes", market_id.hex(), COUNTS)
        (intent,) = await rounds(world, "aggregate_proposal_votes", market_id)
        world.localnet.ledger.drop_blocks(1)
        assert await world.actions().follow_finality() == 0, "it may not be indexed yet"
        await world.store.write(
            lambda each: each.execute(
                "UPDATE intents SET confirmed_ms = confirmed_ms - ?", (UNINDEXED_AFTER_S * 1_000,)
            )
        )
        assert await world.actions().follow_finality() == 1
        await world.actions().settle()
        (again,) = await rounds(world, "aggregate_proposal_votes", market_id)
        assert (again["status"], again["signature"]) == ("confirmed", intent["signature"])
        assert await landed(world, market_id, "ProposalAggregated") == 1


async def test_one_that_was_not_indexed_though_it_stands_is_fetched(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id, blind = await world.market(1), blind_actions(world)
        await blind.act("aggregate_proposal_votes", market_id.hex(), COUNTS)
        await world.store.write(lambda each: each.execute("UPDATE intents SET confirmed_ms = 0"))
        assert await world.actions().follow_finality() == 0
        assert (await world.record(market_id))["proposal_likes"] == 10


async def test_what_is_left_of_jobs_waits_for_them_and_what_a_person_asked_for_does_not(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        first, second = await world.market(1), await world.market(2)
        action = "aggregate_proposal_votes"
        await world.store.write(lambda each: intents.open_intent(each, action, first.hex(), COUNTS))
        await world.store.write(
            lambda each: intents.open_intent(each, action, second.hex(), COUNTS, reason="a person's")
        )
        assert await world.actions().settle(planned_by_jobs=False) == 1
        assert (await rounds(world, "aggregate_proposal_votes", first))[0]["status"] == "planned"
        assert (await rounds(world, "aggregate_proposal_votes", second))[0]["status"] == "confirmed"


async def test_a_market_that_has_moved_on_needs_nothing_any_more(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.active_market(1)
        intent = await world.actions().act("approve_proposal", market_id.hex(), {})
        assert (intent["status"], intent["error_name"]) == ("abandoned", "InvalidStateTransition")
        assert await world.store.read(lambda tx: tx.value("SELECT count(*) FROM alerts")) == 0


async def test_a_window_that_is_still_open_is_no_failure(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.resolving_market(1)
        world.localnet.ledger.warp(60)
        args = {"dispute_agree": None, "dispute_disagree": None}
        intent = await world.actions().act("finalize_market", market_id.hex(), args)
        assert (intent["status"], intent["error_name"]) == ("expired", "DisputePeriodNotEnded")
        assert (await world.record(market_id))["state"] == MarketState.RESOLVING
        assert await world.store.read(lambda tx: tx.value("SELECT count(*) FROM alerts")) == 0


async def test_a_refusal_that_nothing_cures_is_told_to_a_person_once(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        stranger = Keys(world.localnet.wallets[3], None)
        actions = world.actions(keys=stranger)
        for _ in range(2):
            intent = await actions.act("aggregate_proposal_votes", market_id.hex(), COUNTS)
            assert (intent["status"], intent["error_name"]) == ("failed", "Unauthorized")
        alerts = await world.store.read(lambda tx: tx.all("SELECT * FROM alerts"))
        assert [(each["alert_type"], each["count"]) for each in alerts] == [("state_transition_failure", 2)]
        await world.actions().act("aggregate_proposal_votes", market_id.hex(), COUNTS)
        assert await world.store.read(lambda tx: tx.value("SELECT status FROM alerts")) == "resolved"


async def test_an_action_without_its_key_fails_by_name(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        intent = await world.actions(keys=Keys(world.localnet.backend, None)).act(
            "approve_proposal", market_id.hex(), {}
        )
        assert (intent["status"], intent["error_name"]) == ("failed", "KeyMissing")


async def test_the_config_and_the_pause_are_actions_too(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        rates = {
            "protocol_fee_bps": 100,
            "resolver_reward_bps": 100,
            "liquidity_provider_fee_bps": 100,
            "proposal_approval_threshold": 6_000,
            "dispute_success_threshold": 5_000,
            "min_resolution_delay": None,
            "dispute_period": 3_600,
        }
        intent = await world.actions().act("update_global_config", intents.PROTOCOL, rates)
        assert intent["status"] == "confirmed"
        intent = await world.actions().act("emergency_pause", intents.PROTOCOL, {})
        assert intent["status"] == "confirmed"
        account = await world.store.read(markets.find_config)
        assert account is not None
        assert (account.dispute_period, account.protocol_fee_bps, account.is_paused) == (3_600, 100, True)


def test_each_action_has_an_instruction() -> None:
    from zmart_lite.jobs.actions import ACTIONS

    assert set(ACTIONS) <= set(dir(instructions))
