"""create_market, submit_proposal_vote, aggregate_proposal_votes, approve_proposal, activate_market, cancel_market."""

import pytest

from tests.localnet.program_harness import (
    ADMIN,
    ALICE,
    ARGS,
    BACKEND,
    BOB,
    CREATOR,
    EVE,
    LIQUIDITY,
    MARKET_ID,
    QUESTION_HASH,
    RENT,
    WALLET_LAMPORTS,
    B,
    Devnet,
    changes,
    initialized,
    market_args,
    market_in,
    others,
    ready_for,
)
from zmart_lite.models import (
    MarketAccount,
    MarketActivated,
    MarketCancelled,
    MarketCreated,
    MarketState,
    ProposalAggregated,
    ProposalApproved,
    ProposalVoteSubmitted,
    VoteRecord,
    VoteType,
)

U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1


# create_market


def test_create() -> None:
    devnet = initialized()
    event = devnet.do("create_market", market_args())
    assert event == MarketCreated(MARKET_ID, CREATOR, B, 0, devnet.now)
    market = devnet.market
    zero = MarketAccount._make([0] * len(MarketAccount._fields))
    assert changes(zero, market) == {
        "market_id": MARKET_ID,
        "creator": CREATOR,
        "b_parameter": B,
        "initial_liquidity": LIQUIDITY,
        "current_liquidity": LIQUIDITY,
        "shares_yes": B // 1_000,
        "shares_no": B // 1_000,
        "created_at": devnet.now,
        "resolver": bytes(32),
        "proposed_outcome": None,
        "final_outcome": None,
        "ipfs_evidence_hash": QUESTION_HASH,
        "dispute_initiator": bytes(32),
        "cancelled_at": None,
        "reserved": bytes(119),
        "bump": devnet.codec.market_pda(MARKET_ID)[1],
    }


def test_create_moves_rent_only() -> None:
    devnet = initialized()
    devnet.do("create_market", market_args(initial_liquidity=U64_MAX))
    assert devnet.lamports(devnet.market_address) == RENT["MarketAccount"]
    assert devnet.lamports(CREATOR) == WALLET_LAMPORTS - RENT["MarketAccount"]
    assert devnet.market.initial_liquidity == U64_MAX


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"b_parameter": 0}, 6042),
        ({"initial_liquidity": 0}, 6017),
        ({"b_parameter": 0, "initial_liquidity": 0}, 6042),
        ({"b_parameter": 1}, None),
        ({"b_parameter": U64_MAX}, None),
    ],
)
def test_create_checks(changed: dict[str, object], code: int | None) -> None:
    assert initialized().call("create_market", market_args(**changed)).code == code


def test_create_while_paused() -> None:
    devnet = initialized()
    devnet.do("emergency_pause")
    assert devnet.call("create_market", market_args(b_parameter=0)).code == 6010


def test_create_before_the_protocol_is_initialised() -> None:
    assert Devnet().call("create_market", market_args()).code == 3012


# submit_proposal_vote


@pytest.mark.parametrize("vote", [True, False])
def test_vote(vote: bool) -> None:
    devnet = market_in(MarketState.PROPOSED)
    before, devnet.now = devnet.market, devnet.now + 5
    event = devnet.do("submit_proposal_vote", {"vote": vote})
    assert event == ProposalVoteSubmitted(MARKET_ID, ALICE, vote, devnet.now)
    bump = devnet.codec.vote_pda(devnet.market_address, ALICE, VoteType.PROPOSAL)[1]
    record = VoteRecord(devnet.market_address, ALICE, VoteType.PROPOSAL, vote, devnet.now, bump)
    assert devnet.vote(VoteType.PROPOSAL) == record
    assert devnet.market == before
    assert devnet.lamports(ALICE) == WALLET_LAMPORTS - RENT["VoteRecord"]


def test_vote_for_another_users_record() -> None:
    devnet = market_in(MarketState.PROPOSED)
    record = devnet.vote_address(VoteType.PROPOSAL, BOB)
    assert devnet.call("submit_proposal_vote", {"vote": True}, vote_record=record).code == 2006
    dispute = devnet.vote_address(VoteType.DISPUTE)
    assert devnet.call("submit_proposal_vote", {"vote": True}, vote_record=dispute).code == 2006


@pytest.mark.parametrize("state", others(MarketState.PROPOSED))
def test_vote_in_another_state(state: MarketState) -> None:
    devnet = market_in(state)
    outcome = devnet.call("submit_proposal_vote", {"vote": True})
    assert outcome.code == 6051
    assert devnet.call("aggregate_proposal_votes", ARGS["aggregate_proposal_votes"]).code == 6051


def test_voting_is_not_stopped_by_a_pause() -> None:
    devnet = market_in(MarketState.PROPOSED)
    devnet.do("emergency_pause")
    devnet.do("submit_proposal_vote", {"vote": True})


# aggregate_proposal_votes


@pytest.mark.parametrize(
    ("likes", "dislikes", "percentage", "approved"),
    [
        (7, 3, 70, True),
        (6_999, 3_001, 69, False),
        (0, 0, 0, False),
        (1, 0, 100, True),
        (U32_MAX, 0, 100, True),
        (0, U32_MAX, 0, False),
    ],
)
def test_aggregate(likes: int, dislikes: int, percentage: int, approved: bool) -> None:
    devnet = market_in(MarketState.PROPOSED)
    before = devnet.market
    event = devnet.do("aggregate_proposal_votes", {"final_likes": likes, "final_dislikes": dislikes})
    assert event == ProposalAggregated(MARKET_ID, likes, dislikes, percentage, approved, devnet.now)
    expected = {
        "proposal_likes": likes,
        "proposal_dislikes": dislikes,
        "proposal_total_votes": likes + dislikes,
    }
    assert changes(before, devnet.market) == {name: value for name, value in expected.items() if value}


def test_aggregate_again_overwrites() -> None:
    devnet = market_in(MarketState.PROPOSED)
    before = devnet.market
    devnet.do("aggregate_proposal_votes", {"final_likes": 7, "final_dislikes": 3})
    devnet.do("aggregate_proposal_votes", {"final_likes": 0, "final_dislikes": 0})
    assert devnet.market == before


def test_aggregate_nothing_is_approved_by_a_threshold_of_zero() -> None:
    devnet = market_in(MarketState.PROPOSED)
    devnet.edit_config(proposal_approval_threshold=0)
    event = devnet.do("aggregate_proposal_votes", {"final_likes": 0, "final_dislikes": 0})
    assert event == ProposalAggregated(MARKET_ID, 0, 0, 0, True, devnet.now)


def test_aggregate_overflows() -> None:
    args = {"final_likes": U32_MAX, "final_dislikes": 1}
    outcome = market_in(MarketState.PROPOSED).call("aggregate_proposal_votes", args)
    assert outcome.code == 6033
    assert outcome.logs[1].startswith("AnchorError occurred. ")


def test_aggregate_is_the_backends() -> None:
    devnet = market_in(MarketState.PROPOSED)
    args = ARGS["aggregate_proposal_votes"]
    outcome = devnet.call("aggregate_proposal_votes", args, backend_authority=ADMIN)
    assert outcome.code == 6029
    assert outcome.logs[1].startswith("AnchorError caused by account: backend_authority. ")
    devnet.do("cancel_market")
    assert devnet.call("aggregate_proposal_votes", args, backend_authority=ADMIN).code == 6051


# approve_proposal


def test_approve() -> None:
    devnet = ready_for("approve_proposal")
    before = devnet.market
    assert devnet.do("approve_proposal") == ProposalApproved(MARKET_ID, ADMIN, devnet.now)
    assert changes(before, devnet.market) == {"state": MarketState.APPROVED, "approved_at": devnet.now}


@pytest.mark.parametrize("state", others(MarketState.PROPOSED))
def test_approve_in_another_state(state: MarketState) -> None:
    assert market_in(state).call("approve_proposal").code == 6006


def test_approve_needs_recorded_votes_whatever_the_threshold() -> None:
    devnet = market_in(MarketState.PROPOSED)
    devnet.edit_config(proposal_approval_threshold=0)
    assert devnet.call("approve_proposal").code == 6024


@pytest.mark.parametrize(("likes", "dislikes", "code"), [(6_999, 3_001, 6025), (7_000, 3_000, None), (0, 1, 6025)])
def test_approve_needs_the_threshold(likes: int, dislikes: int, code: int | None) -> None:
    devnet = market_in(MarketState.PROPOSED)
    devnet.do("aggregate_proposal_votes", {"final_likes": likes, "final_dislikes": dislikes})
    assert devnet.call("approve_proposal").code == code


@pytest.mark.parametrize("name", ["approve_proposal", "cancel_market"])
def test_approval_and_cancelling_are_the_admins(name: str) -> None:
    devnet = ready_for(name)
    for key in (BACKEND, CREATOR, EVE):
        outcome = devnet.call(name, admin=key)
        assert outcome.code == 6029
        assert outcome.logs[1].startswith("AnchorError caused by account: global_config. ")


# activate_market


@pytest.mark.parametrize("authority", [ADMIN, CREATOR])
def test_activate(authority: bytes) -> None:
    devnet = market_in(MarketState.APPROVED)
    before, lamports = devnet.market, devnet.lamports(devnet.market_address)
    event = devnet.do("activate_market", authority=authority)
    assert event == MarketActivated(MARKET_ID, CREATOR, LIQUIDITY, devnet.now)
    assert changes(before, devnet.market) == {"state": MarketState.ACTIVE, "activated_at": devnet.now}
    assert devnet.lamports(devnet.market_address) == lamports


def test_activate_is_the_admins_and_the_creators() -> None:
    devnet = market_in(MarketState.PROPOSED)
    for key in (BACKEND, EVE):
        outcome = devnet.call("activate_market", authority=key)
        assert outcome.code == 6029
        assert outcome.logs[1].startswith("AnchorError thrown in ")


@pytest.mark.parametrize("state", others(MarketState.APPROVED))
def test_activate_in_another_state(state: MarketState) -> None:
    assert market_in(state).call("activate_market").code == 6006


def test_activate_below_the_initial_liquidity() -> None:
    devnet = market_in(MarketState.APPROVED)
    devnet.edit_market(current_liquidity=LIQUIDITY - 1)
    assert devnet.call("activate_market").code == 6016


def test_market_with_a_small_b_can_be_activated() -> None:
    assert market_in(MarketState.ACTIVE, b_parameter=1).market.shares_yes == 0


# cancel_market


@pytest.mark.parametrize("state", [MarketState.PROPOSED, MarketState.APPROVED])
def test_cancel(state: MarketState) -> None:
    devnet = market_in(state)
    before = devnet.market
    assert devnet.do("cancel_market") == MarketCancelled(MARKET_ID, ADMIN, devnet.now)
    assert changes(before, devnet.market) == {"state": MarketState.CANCELLED, "cancelled_at": devnet.now}
    assert devnet.lamports(devnet.market_address) == RENT["MarketAccount"]


@pytest.mark.parametrize("state", others(MarketState.PROPOSED, MarketState.APPROVED))
def test_cancel_in_another_state(state: MarketState) -> None:
    assert market_in(state).call("cancel_market").code == (6012 if state == MarketState.CANCELLED else 6011)
