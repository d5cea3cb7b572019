"""zmart-core's instructions on a market that has ended: resolve, dispute, finalise, claim, withdraw."""

from zmart_lite import rules
from zmart_lite.errors import ProgramError
from zmart_lite.localnet.anchor import Call, Constraint, Creation, Instruction, add_seconds, add_u32, has_one
from zmart_lite.localnet.proposals import IS_BACKEND, record_vote
from zmart_lite.localnet.trading import IS_ACTIVE
from zmart_lite.models import (
    DisputeAggregated,
    DisputeInitiated,
    DisputeVoteSubmitted,
    LiquidityWithdrawn,
    MarketFinalized,
    MarketResolved,
    MarketState,
    VoteType,
    WinningsClaimed,
)


def _in_state(error: str, *states: MarketState) -> Constraint:
    return Constraint("market", error, lambda call: call.market.state in states)


_IS_FINALIZED = _in_state("InvalidMarketState", MarketState.FINALIZED)
_IN_VOTING = _in_state("InvalidStateForVoting", MarketState.DISPUTED)


def _require_lifetime(call: Call) -> None:
    """A market can be resolved and finalised only within ten years of its creation."""
    created_at = call.market.created_at
    call.require(call.now >= created_at, "InvalidTimestamp")
    call.require(call.now <= add_seconds(created_at, rules.MARKET_LIFETIME_MAX_S), "InvalidTimestamp")


def resolve_market(call: Call) -> MarketResolved:
    """Anyone may, without stake. The evidence hash takes the place of the question's."""
    market, outcome, evidence = call.market, call.args["proposed_outcome"], call.args["ipfs_evidence_hash"]
    call.require(market.proposed_outcome is None, "AlreadyResolved")
    _require_lifetime(call)
    call.require(call.now > market.activated_at, "InvalidTimestamp")
    call.market = market._replace(
        proposed_outcome=outcome,
        resolver=call.key("resolver"),
        ipfs_evidence_hash=evidence,
        resolution_proposed_at=call.now,
        resolution_agree=0,
        resolution_disagree=0,
        resolution_total_votes=0,
        state=MarketState.RESOLVING,
    )
    return MarketResolved(market.market_id, call.key("resolver"), outcome, evidence, call.now)


def initiate_dispute(call: Call) -> DisputeInitiated:
    market = call.market
    call.require(call.now > market.resolution_proposed_at, "InvalidTimestamp")
    deadline = add_seconds(market.resolution_proposed_at, call.config.dispute_period)
    call.require(call.now < deadline, "DisputePeriodEnded")
    call.market = market._replace(
        dispute_initiator=call.key("initiator"),
        dispute_initiated_at=call.now,
        dispute_agree=0,
        dispute_disagree=0,
        dispute_total_votes=0,
        state=MarketState.DISPUTED,
    )
    return DisputeInitiated(market.market_id, call.key("initiator"), market.proposed_outcome, call.now)


def submit_dispute_vote(call: Call) -> DisputeVoteSubmitted:
    record = record_vote(call, VoteType.DISPUTE)
    return DisputeVoteSubmitted(call.market.market_id, record.user, record.vote, record.voted_at)


def aggregate_dispute_votes(call: Call) -> DisputeAggregated:
    """As the original, and as useless: success reopens the resolution, failure finalises without an outcome."""
    agrees, disagrees = call.args["final_agrees"], call.args["final_disagrees"]
    total = add_u32(agrees, disagrees)
    succeeded = rules.threshold_met(agrees, disagrees, call.config.dispute_success_threshold)
    market = call.market._replace(
        dispute_agree=agrees, dispute_disagree=disagrees, dispute_total_votes=total, was_disputed=True
    )
    if succeeded:
        call.market = market._replace(state=MarketState.RESOLVING)
    else:
        call.market = market._replace(state=MarketState.FINALIZED, resolved_at=call.now)
    percentage = agrees * 100 // total if total else 0
    return DisputeAggregated(market.market_id, agrees, disagrees, percentage, succeeded, call.now)


def finalize_market(call: Call) -> MarketFinalized:
    _require_lifetime(call)
    call.require(call.now > call.market.resolution_proposed_at, "InvalidTimestamp")
    was_disputed = call.market.state == MarketState.DISPUTED
    final_outcome = _settled_by_vote(call) if was_disputed else _settled_by_time(call)
    market = call.market
    loss = max(0, market.initial_liquidity - market.current_liquidity)
    if loss > rules.max_loss(market.b_parameter):
        raise ProgramError("BoundedLossExceeded")
    call.market = market._replace(
        final_outcome=final_outcome,
        was_disputed=was_disputed,
        finalized_at=call.now,
        state=MarketState.FINALIZED,
    )
    return MarketFinalized(market.market_id, final_outcome, was_disputed, call.now)


def _settled_by_vote(call: Call) -> bool | None:
    """The proposed outcome, turned round if enough of the dispute's votes agree. No time condition."""
    agree, disagree = call.args["dispute_agree"], call.args["dispute_disagree"]
    if agree is None or disagree is None:
        raise ProgramError("NoVotesRecorded")
    total = add_u32(agree, disagree)
    call.require(total > 0, "NoVotesRecorded")
    market = call.market._replace(dispute_agree=agree, dispute_disagree=disagree, dispute_total_votes=total)
    call.market = market
    proposed = market.proposed_outcome
    turned = rules.threshold_met(agree, disagree, call.config.dispute_success_threshold)
    return not proposed if turned and proposed is not None else proposed


def _settled_by_time(call: Call) -> bool | None:
    """The proposed outcome, once nobody can dispute it any more."""
    deadline = add_seconds(call.market.resolution_proposed_at, call.config.dispute_period)
    call.require(call.now >= deadline, "DisputePeriodNotEnded")
    return call.market.proposed_outcome


def claim_winnings(call: Call) -> WinningsClaimed:
    """Pays a share of the nominal liquidity, or without an outcome all that was invested.

    The first claim of a market with an outcome also pays the resolver.
    """
    outcome = call.market.final_outcome
    amount = _refund(call) if outcome is None else _winnings(call, outcome)
    call.require_unlocked()
    call.pay_from_market("user", amount)
    reward = call.market.accumulated_resolver_fees
    if outcome is not None and reward > 0:
        call.pay_from_market("resolver", reward)
        call.market = call.market._replace(accumulated_resolver_fees=0)
    call.position = call.position._replace(has_claimed=True, claimed_amount=amount)
    return WinningsClaimed(call.key("market"), call.key("user"), outcome, amount, call.now)


def _refund(call: Call) -> int:
    amount = call.position.total_invested
    call.require(amount > 0, "NoWinnings")
    call.require(call.lamports("market") >= amount, "InsufficientLiquidity")
    return amount


def _winnings(call: Call, outcome: bool) -> int:
    market = call.market
    held = call.position.shares_yes if outcome else call.position.shares_no
    issued = market.shares_yes if outcome else market.shares_no
    call.require(held > 0, "NoWinnings")
    call.require(issued > 0, "DivisionByZero")
    amount = rules.winning_share(held, issued, market.current_liquidity)
    call.require(amount > 0, "NoWinnings")
    needed = rules.add(amount, market.accumulated_resolver_fees)
    call.require(call.lamports("market") >= needed, "InsufficientLiquidity")
    return amount


def withdraw_liquidity(call: Call) -> LiquidityWithdrawn:
    """All above the market's rent and a small reserve, claimed or not, as soon as the market is final."""
    kept = call.market_rent + rules.WITHDRAWAL_RESERVE_LAMPORTS
    amount = max(0, call.lamports("market") - kept)
    call.require(amount > 0, "InsufficientLiquidity")
    call.move_from_market("creator", amount)
    call.market = call.market._replace(current_liquidity=0, accumulated_lp_fees=0)
    return LiquidityWithdrawn(call.market.market_id, call.key("creator"), amount, call.now)


INSTRUCTIONS = {
    "resolve_market": Instruction(resolve_market, constraints=(IS_ACTIVE,)),
    "initiate_dispute": Instruction(
        initiate_dispute, constraints=(_in_state("InvalidMarketState", MarketState.RESOLVING),)
    ),
    "submit_dispute_vote": Instruction(
        submit_dispute_vote,
        creation=Creation("vote_record", payer="user", vote_type=VoteType.DISPUTE),
        constraints=(_IN_VOTING,),
    ),
    "aggregate_dispute_votes": Instruction(aggregate_dispute_votes, constraints=(_IN_VOTING, IS_BACKEND)),
    "finalize_market": Instruction(
        finalize_market,
        constraints=(_in_state("InvalidMarketState", MarketState.RESOLVING, MarketState.DISPUTED), IS_BACKEND),
    ),
    "claim_winnings": Instruction(
        claim_winnings,
        constraints=(
            _IS_FINALIZED,
            has_one("position", "ConstraintHasOne", lambda call: (call.position.user, call.key("user"))),
            Constraint("position", "AlreadyClaimed", lambda call: not call.position.has_claimed),
            Constraint("resolver", "InvalidResolver", lambda call: call.key("resolver") == call.market.resolver),
        ),
    ),
    "withdraw_liquidity": Instruction(
        withdraw_liquidity,
        constraints=(
            has_one("market", "Unauthorized", lambda call: (call.market.creator, call.key("creator"))),
            _IS_FINALIZED,
        ),
    ),
}
