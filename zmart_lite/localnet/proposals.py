"""zmart-core's instructions on a market before it trades: create, vote, approve, activate, cancel."""

from zmart_lite import initial
from zmart_lite.localnet.anchor import Call, Constraint, Creation, Instruction, add_u32
from zmart_lite.localnet.governance import IS_ADMIN
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
from zmart_lite.rules import ratio_bps

IS_BACKEND = Constraint(
    "backend_authority", "Unauthorized", lambda call: call.config.backend_authority == call.key("backend_authority")
)

_IN_VOTING = Constraint("market", "InvalidStateForVoting", lambda call: call.market.state == MarketState.PROPOSED)


def create_market(call: Call) -> MarketCreated:
    """Only rent is paid: the initial liquidity is a number, nothing is deposited."""
    call.require(not call.config.is_paused, "ProtocolPaused")
    call.require(call.args["b_parameter"] > 0, "InvalidBParameter")
    call.require(call.args["initial_liquidity"] > 0, "InvalidLiquidity")
    call.market = market = _new_market(call)
    return MarketCreated(market.market_id, market.creator, market.b_parameter, market.state, market.created_at)


def _new_market(call: Call) -> MarketAccount:
    return initial.new_market(
        call.args["market_id"],
        call.key("creator"),
        b_parameter=call.args["b_parameter"],
        initial_liquidity=call.args["initial_liquidity"],
        question_hash=call.args["ipfs_question_hash"],
        created_at=call.now,
        bump=call.bump,
    )


def record_vote(call: Call, vote_type: VoteType) -> VoteRecord:
    """Fill the vote record this instruction created. The market is not touched: tallying happens off chain."""
    record = VoteRecord(call.key("market"), call.key("user"), vote_type, call.args["vote"], call.now, call.bump)
    call.add_vote_record(record)
    return record


def submit_proposal_vote(call: Call) -> ProposalVoteSubmitted:
    record = record_vote(call, VoteType.PROPOSAL)
    return ProposalVoteSubmitted(call.market.market_id, record.user, record.vote, record.voted_at)


def aggregate_proposal_votes(call: Call) -> ProposalAggregated:
    """Records the backend's counts, as often as it likes. The state does not change, whatever the result."""
    likes, dislikes = call.args["final_likes"], call.args["final_dislikes"]
    total = add_u32(likes, dislikes)
    call.market = call.market._replace(proposal_likes=likes, proposal_dislikes=dislikes, proposal_total_votes=total)
    approval_bps = ratio_bps(likes, total)
    return ProposalAggregated(
        market_id=call.market.market_id,
        likes=likes,
        dislikes=dislikes,
        approval_percentage=approval_bps // 100,
        approved=approval_bps >= call.config.proposal_approval_threshold,
        timestamp=call.now,
    )


def approve_proposal(call: Call) -> ProposalApproved:
    market = call.market
    call.require(market.state == MarketState.PROPOSED, "InvalidStateTransition")
    call.require(market.proposal_total_votes > 0, "NoVotesRecorded")
    approval_bps = ratio_bps(market.proposal_likes, market.proposal_total_votes)
    call.require(approval_bps >= call.config.proposal_approval_threshold, "InsufficientVotes")
    call.market = market._replace(state=MarketState.APPROVED, approved_at=call.now)
    return ProposalApproved(market.market_id, call.key("admin"), call.now)


def activate_market(call: Call) -> MarketActivated:
    market = call.market
    call.require(call.key("authority") in (call.config.admin, market.creator), "Unauthorized")
    call.require(market.state == MarketState.APPROVED, "InvalidStateTransition")
    call.require(market.current_liquidity >= market.initial_liquidity, "InsufficientLiquidity")
    call.market = market._replace(state=MarketState.ACTIVE, activated_at=call.now)
    return MarketActivated(market.market_id, market.creator, market.initial_liquidity, call.now)


def cancel_market(call: Call) -> MarketCancelled:
    """``is_cancelled`` stays false, as in the original; the state tells."""
    market = call.market
    call.require(market.state != MarketState.CANCELLED, "MarketAlreadyCancelled")
    call.require(market.state in (MarketState.PROPOSED, MarketState.APPROVED), "CannotCancelMarket")
    call.market = market._replace(state=MarketState.CANCELLED, cancelled_at=call.now)
    return MarketCancelled(market.market_id, call.key("admin"), call.now)


INSTRUCTIONS = {
    "create_market": Instruction(create_market, creation=Creation("market", payer="creator")),
    "submit_proposal_vote": Instruction(
        submit_proposal_vote,
        creation=Creation("vote_record", payer="user", vote_type=VoteType.PROPOSAL),
        constraints=(_IN_VOTING,),
    ),
    "aggregate_proposal_votes": Instruction(aggregate_proposal_votes, constraints=(_IN_VOTING, IS_BACKEND)),
    "approve_proposal": Instruction(approve_proposal, constraints=(IS_ADMIN,)),
    "activate_market": Instruction(activate_market),
    "cancel_market": Instruction(cancel_market, constraints=(IS_ADMIN,)),
}
