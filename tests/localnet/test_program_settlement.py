"""resolve_market, initiate_dispute, the dispute's votes, finalize_market."""

from typing import Any

import pytest

from tests.localnet.program_harness import (
    ADMIN,
    ALICE,
    ARGS,
    BOB,
    EVE,
    EVIDENCE_HASH,
    MARKET_ID,
    RESOLVER,
    START_TIME,
    Devnet,
    Outcome,
    changes,
    market_in,
    others,
    ready_for,
)
from zmart_lite.models import (
    DisputeAggregated,
    DisputeInitiated,
    DisputeVoteSubmitted,
    MarketFinalized,
    MarketResolved,
    MarketState,
    VoteRecord,
    VoteType,
)

U32_MAX = 2**32 - 1
TEN_YEARS_S = 315_360_000


def finalize(devnet: Devnet, agree: int | None = None, disagree: int | None = None, **options: Any) -> Outcome:
    args = {"dispute_agree": agree, "dispute_disagree": disagree}
    return devnet.call("finalize_market", args, **options)


# resolve_market


@pytest.mark.parametrize("outcome", [True, False])
def test_resolve(outcome: bool) -> None:
    devnet = ready_for("resolve_market")
    devnet.edit_market(resolution_agree=1, resolution_disagree=2, resolution_total_votes=3)
    before = devnet.market
    event = devnet.do("resolve_market", {"proposed_outcome": outcome, "ipfs_evidence_hash": EVIDENCE_HASH})
    assert event == MarketResolved(MARKET_ID, RESOLVER, outcome, EVIDENCE_HASH, devnet.now)
    assert changes(before, devnet.market) == {
        "state": MarketState.RESOLVING,
        "resolution_proposed_at": devnet.now,
        "resolver": RESOLVER,
        "proposed_outcome": outcome,
        "ipfs_evidence_hash": EVIDENCE_HASH,
        "resolution_agree": 0,
        "resolution_disagree": 0,
        "resolution_total_votes": 0,
    }


def test_resolve_works_for_anyone_and_while_paused() -> None:
    devnet = ready_for("resolve_market")
    devnet.do("emergency_pause")
    devnet.do("resolve_market", ARGS["resolve_market"], resolver=EVE)
    assert devnet.market.resolver == EVE


@pytest.mark.parametrize("state", others(MarketState.ACTIVE))
def test_resolve_in_another_state(state: MarketState) -> None:
    assert market_in(state).call("resolve_market", ARGS["resolve_market"]).code == 6007


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (START_TIME - 1, 6044),
        (START_TIME, 6044),
        (START_TIME + 7_200, 6044),
        (START_TIME + 7_201, None),
        (START_TIME + TEN_YEARS_S, None),
        (START_TIME + TEN_YEARS_S + 1, 6044),
    ],
)
def test_resolve_in_time(now: int, code: int | None) -> None:
    devnet = market_in(MarketState.ACTIVE)
    assert devnet.market.activated_at == START_TIME + 7_200
    devnet.now = now
    assert devnet.call("resolve_market", ARGS["resolve_market"]).code == code


def test_resolve_what_is_resolved() -> None:
    devnet = ready_for("resolve_market")
    devnet.edit_market(proposed_outcome=False)
    assert devnet.call("resolve_market", ARGS["resolve_market"]).code == 6026


# initiate_dispute


def test_dispute() -> None:
    devnet = ready_for("initiate_dispute")
    devnet.edit_market(dispute_agree=1, dispute_disagree=2, dispute_total_votes=3)
    before = devnet.market
    assert devnet.do("initiate_dispute") == DisputeInitiated(MARKET_ID, BOB, True, devnet.now)
    assert changes(before, devnet.market) == {
        "state": MarketState.DISPUTED,
        "dispute_initiated_at": devnet.now,
        "dispute_initiator": BOB,
        "dispute_agree": 0,
        "dispute_disagree": 0,
        "dispute_total_votes": 0,
    }


@pytest.mark.parametrize("state", others(MarketState.RESOLVING))
def test_dispute_in_another_state(state: MarketState) -> None:
    assert market_in(state).call("initiate_dispute").code == 6007


@pytest.mark.parametrize(("seconds", "code"), [(0, 6044), (-1, 6044), (1, None), (259_199, None), (259_200, 6020)])
def test_dispute_in_time(seconds: int, code: int | None) -> None:
    devnet = market_in(MarketState.RESOLVING)
    devnet.now = devnet.market.resolution_proposed_at + seconds
    assert devnet.call("initiate_dispute").code == code


def test_deadline_beyond_all_time_overflows() -> None:
    devnet = ready_for("initiate_dispute")
    devnet.edit_config(dispute_period=2**63 - 1)
    assert devnet.call("initiate_dispute").code == 6033
    assert finalize(devnet).code == 6033


# submit_dispute_vote


def test_dispute_vote() -> None:
    devnet = ready_for("submit_dispute_vote")
    before = devnet.market
    assert devnet.do("submit_dispute_vote", {"vote": True}) == DisputeVoteSubmitted(MARKET_ID, ALICE, True, devnet.now)
    bump = devnet.codec.vote_pda(devnet.market_address, ALICE, VoteType.DISPUTE)[1]
    record = VoteRecord(devnet.market_address, ALICE, VoteType.DISPUTE, True, devnet.now, bump)
    assert devnet.vote(VoteType.DISPUTE) == record
    assert devnet.market == before


def test_both_kinds_of_vote_by_one_user() -> None:
    devnet = market_in(MarketState.PROPOSED)
    devnet.do("submit_proposal_vote", {"vote": False})
    devnet.edit_market(state=MarketState.DISPUTED)
    devnet.do("submit_dispute_vote", {"vote": True})
    assert devnet.vote(VoteType.PROPOSAL).vote is False
    assert devnet.vote(VoteType.DISPUTE).vote is True


@pytest.mark.parametrize("state", others(MarketState.DISPUTED))
def test_dispute_vote_in_another_state(state: MarketState) -> None:
    devnet = market_in(state)
    assert devnet.call("submit_dispute_vote", {"vote": True}).code == 6051
    assert devnet.call("aggregate_dispute_votes", ARGS["aggregate_dispute_votes"]).code == 6051


def test_vote_in_a_second_dispute_of_the_same_market_is_a_duplicate() -> None:
    devnet = ready_for("submit_dispute_vote")
    devnet.do("submit_dispute_vote", {"vote": True})
    devnet.do("aggregate_dispute_votes", {"final_agrees": 1, "final_disagrees": 0})
    devnet.do("initiate_dispute")
    assert devnet.call("submit_dispute_vote", {"vote": True}).code == 0


# aggregate_dispute_votes


@pytest.mark.parametrize(("agrees", "disagrees", "percentage"), [(6, 4, 60), (1, 0, 100), (2, 1, 66)])
def test_successful_dispute_reopens_the_resolution(agrees: int, disagrees: int, percentage: int) -> None:
    devnet = ready_for("aggregate_dispute_votes")
    before = devnet.market
    event = devnet.do("aggregate_dispute_votes", {"final_agrees": agrees, "final_disagrees": disagrees})
    assert event == DisputeAggregated(MARKET_ID, agrees, disagrees, percentage, True, devnet.now)
    expected = {"dispute_agree": agrees, "dispute_disagree": disagrees, "dispute_total_votes": agrees + disagrees}
    assert changes(before, devnet.market) == {
        **{name: value for name, value in expected.items() if value},
        "was_disputed": True,
        "state": MarketState.RESOLVING,
    }


@pytest.mark.parametrize(("agrees", "disagrees", "percentage"), [(5_999, 4_001, 59), (0, 7, 0), (0, 0, 0)])
def test_failed_dispute_finalises_without_an_outcome(agrees: int, disagrees: int, percentage: int) -> None:
    devnet = ready_for("aggregate_dispute_votes")
    before = devnet.market
    event = devnet.do("aggregate_dispute_votes", {"final_agrees": agrees, "final_disagrees": disagrees})
    assert event == DisputeAggregated(MARKET_ID, agrees, disagrees, percentage, False, devnet.now)
    expected = {"dispute_agree": agrees, "dispute_disagree": disagrees, "dispute_total_votes": agrees + disagrees}
    assert changes(before, devnet.market) == {
        **{name: value for name, value in expected.items() if value},
        "was_disputed": True,
        "state": MarketState.FINALIZED,
        "resolved_at": devnet.now,
    }


def test_zero_dispute_votes_fail_even_a_threshold_of_zero() -> None:
    devnet = ready_for("aggregate_dispute_votes")
    devnet.edit_config(dispute_success_threshold=0)
    event = devnet.do("aggregate_dispute_votes", {"final_agrees": 0, "final_disagrees": 0})
    assert event == DisputeAggregated(MARKET_ID, 0, 0, 0, False, devnet.now)


def test_successful_dispute_ends_in_the_original_outcome() -> None:
    devnet = ready_for("aggregate_dispute_votes")
    devnet.do("aggregate_dispute_votes", {"final_agrees": 1, "final_disagrees": 0})
    devnet.now += 259_200
    assert finalize(devnet).error is None
    assert (devnet.market.final_outcome, devnet.market.was_disputed) == (True, False)


def test_aggregate_disputes_refuses() -> None:
    devnet = ready_for("aggregate_dispute_votes")
    assert devnet.call("aggregate_dispute_votes", {"final_agrees": U32_MAX, "final_disagrees": 1}).code == 6033
    args = ARGS["aggregate_dispute_votes"]
    assert devnet.call("aggregate_dispute_votes", args, backend_authority=ADMIN).code == 6029


# finalize_market


def test_finalize_undisputed() -> None:
    devnet = ready_for("finalize_market")
    devnet.edit_market(was_disputed=True)
    before = devnet.market
    event = devnet.do("finalize_market", {"dispute_agree": 9, "dispute_disagree": None})
    assert event == MarketFinalized(MARKET_ID, True, False, devnet.now)
    assert changes(before, devnet.market) == {
        "state": MarketState.FINALIZED,
        "final_outcome": True,
        "finalized_at": devnet.now,
        "was_disputed": False,
    }


@pytest.mark.parametrize(
    ("proposed", "agree", "disagree", "final"),
    [
        (True, 6, 4, False),
        (False, 6, 4, True),
        (None, 6, 4, None),
        (True, 5_999, 4_001, True),
        (False, 0, 1, False),
        (None, 0, 1, None),
        (True, U32_MAX, 0, False),
    ],
)
def test_finalize_disputed(proposed: bool | None, agree: int, disagree: int, final: bool | None) -> None:
    devnet = market_in(MarketState.DISPUTED)
    devnet.edit_market(proposed_outcome=proposed)
    before = devnet.market
    event = devnet.do("finalize_market", {"dispute_agree": agree, "dispute_disagree": disagree})
    assert event == MarketFinalized(MARKET_ID, final, True, devnet.now)
    changed = changes(before, devnet.market)
    assert changed.pop("final_outcome", None) == final
    expected = {"dispute_agree": agree, "dispute_disagree": disagree, "dispute_total_votes": agree + disagree}
    assert changed == {
        **{name: value for name, value in expected.items() if value},
        "state": MarketState.FINALIZED,
        "finalized_at": devnet.now,
        "was_disputed": True,
    }


@pytest.mark.parametrize(
    ("agree", "disagree", "code", "origin"),
    [
        (None, None, 6024, "occurred"),
        (1, None, 6024, "occurred"),
        (None, 1, 6024, "occurred"),
        (0, 0, 6024, "thrown"),
        (U32_MAX, 1, 6033, "occurred"),
    ],
)
def test_finalize_disputed_refuses(agree: int | None, disagree: int | None, code: int, origin: str) -> None:
    outcome = finalize(market_in(MarketState.DISPUTED), agree, disagree)
    assert outcome.code == code
    assert outcome.logs[1].startswith(f"AnchorError {origin}")


@pytest.mark.parametrize("state", others(MarketState.RESOLVING, MarketState.DISPUTED))
def test_finalize_in_another_state(state: MarketState) -> None:
    devnet = market_in(state)
    assert finalize(devnet).code == 6007
    assert finalize(devnet, backend_authority=EVE).code == 6007


def test_finalize_is_the_backends() -> None:
    outcome = finalize(ready_for("finalize_market"), backend_authority=ADMIN)
    assert outcome.code == 6029
    assert outcome.logs[1].startswith("AnchorError caused by account: backend_authority. ")


@pytest.mark.parametrize(("seconds", "code"), [(0, 6044), (1, 6027), (259_199, 6027), (259_200, None)])
def test_finalize_in_time(seconds: int, code: int | None) -> None:
    devnet = market_in(MarketState.RESOLVING)
    devnet.now = devnet.market.resolution_proposed_at + seconds
    assert finalize(devnet).code == code


@pytest.mark.parametrize(
    ("now", "code"), [(START_TIME - 1, 6044), (START_TIME + TEN_YEARS_S, None), (START_TIME + TEN_YEARS_S + 1, 6044)]
)
def test_finalize_within_the_markets_lifetime(now: int, code: int | None) -> None:
    devnet = market_in(MarketState.RESOLVING)
    devnet.now = now
    assert finalize(devnet).code == code


@pytest.mark.parametrize(("ahead", "code"), [(0, None), (1, 6044)])
def test_finalize_a_market_not_yet_created(ahead: int, code: int | None) -> None:
    devnet = ready_for("finalize_market")
    devnet.edit_market(created_at=devnet.now + ahead)
    assert finalize(devnet).code == code


def test_finalize_disputed_needs_a_later_second_than_the_resolution() -> None:
    devnet = market_in(MarketState.DISPUTED)
    devnet.now = devnet.market.resolution_proposed_at
    assert finalize(devnet, 1, 0).code == 6044


def test_finalize_follows_a_changed_dispute_period() -> None:
    devnet = market_in(MarketState.RESOLVING)
    devnet.now += 60
    devnet.do("update_global_config", ARGS["update_global_config"] | {"dispute_period": 60})
    assert finalize(devnet).error is None


@pytest.mark.parametrize(("excess", "code"), [(0, None), (1, 6041)])
def test_finalize_checks_the_loss(excess: int, code: int | None) -> None:
    devnet = ready_for("finalize_market")
    devnet.edit_market(initial_liquidity=693_147_180_000 + excess, current_liquidity=0)
    assert finalize(devnet).code == code
