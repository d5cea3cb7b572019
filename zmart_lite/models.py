"""The protocol's nouns: enums, the four accounts and the eighteen events of zmart-core, exactly as its IDL names them.

Public keys, market ids, hashes and signatures are raw bytes here; text forms exist only at the edges (JSON, command
line). The order and names of the fields equal the IDL's: :class:`zmart_lite.codec.Codec` checks that when it is
built.
"""

from enum import IntEnum
from typing import NamedTuple

SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
"""Of alerts, the least first."""


class MarketState(IntEnum):
    """The state byte of a market account."""

    PROPOSED = 0
    APPROVED = 1
    ACTIVE = 2
    RESOLVING = 3
    DISPUTED = 4
    FINALIZED = 5
    CANCELLED = 6


class VoteType(IntEnum):
    """The last seed byte and the type byte of a vote record."""

    PROPOSAL = 0
    DISPUTE = 1


class GlobalConfig(NamedTuple):
    """The protocol's one configuration account. Fees and thresholds in bps, delays in seconds."""

    admin: bytes
    backend_authority: bytes
    protocol_fee_wallet: bytes
    protocol_fee_bps: int
    resolver_reward_bps: int
    liquidity_provider_fee_bps: int
    proposal_approval_threshold: int
    dispute_success_threshold: int
    min_resolution_delay: int
    dispute_period: int
    min_resolver_reputation: int
    is_paused: bool
    reserved: bytes
    bump: int


class MarketAccount(NamedTuple):
    """A market as the chain stores it. Shares have 9 decimals, amounts are lamports, times unix seconds (0 = not yet).

    `proposed_outcome` and `final_outcome`: True = YES, False = NO, None = not set. The program maintains neither
    `is_cancelled`, nor `accumulated_protocol_fees`, nor `resolution_*`; `is_locked` is only ever true inside a
    running instruction.
    """

    market_id: bytes
    creator: bytes
    state: MarketState
    b_parameter: int
    initial_liquidity: int
    current_liquidity: int
    shares_yes: int
    shares_no: int
    total_volume: int
    created_at: int
    approved_at: int
    activated_at: int
    resolution_proposed_at: int
    resolved_at: int
    finalized_at: int
    resolver: bytes
    proposed_outcome: bool | None
    final_outcome: bool | None
    ipfs_evidence_hash: bytes
    dispute_initiated_at: int
    dispute_initiator: bytes
    accumulated_protocol_fees: int
    accumulated_resolver_fees: int
    accumulated_lp_fees: int
    proposal_likes: int
    proposal_dislikes: int
    proposal_total_votes: int
    resolution_agree: int
    resolution_disagree: int
    resolution_total_votes: int
    dispute_agree: int
    dispute_disagree: int
    dispute_total_votes: int
    was_disputed: bool
    is_cancelled: bool
    cancelled_at: int | None
    is_locked: bool
    reserved: bytes
    bump: int


class UserPosition(NamedTuple):
    """What one wallet holds in one market. `market` is the market's address; `total_invested` (lamports, fees
    included) only grows.
    """

    market: bytes
    user: bytes
    shares_yes: int
    shares_no: int
    total_invested: int
    trades_count: int
    last_trade_at: int
    has_claimed: bool
    claimed_amount: int
    reserved: bytes
    bump: int


class VoteRecord(NamedTuple):
    """A vote cast on chain. `market` is the market's address."""

    market: bytes
    user: bytes
    vote_type: VoteType
    vote: bool
    voted_at: int
    bump: int


class GlobalConfigInitialized(NamedTuple):
    admin: bytes
    backend_authority: bytes
    protocol_fee_bps: int
    timestamp: int


class MarketCreated(NamedTuple):
    market_id: bytes
    creator: bytes
    b_parameter: int
    state: int
    timestamp: int


class ProposalVoteSubmitted(NamedTuple):
    market_id: bytes
    user: bytes
    vote: bool
    timestamp: int


class ProposalAggregated(NamedTuple):
    """Counts recorded by the backend; `approved` is information only, the state does not change."""

    market_id: bytes
    likes: int
    dislikes: int
    approval_percentage: int
    approved: bool
    timestamp: int


class ProposalApproved(NamedTuple):
    market_id: bytes
    approved_by: bytes
    timestamp: int


class MarketActivated(NamedTuple):
    market_id: bytes
    creator: bytes
    initial_liquidity: int
    timestamp: int


class SharesBought(NamedTuple):
    """A buy. `cost` is all that was charged, fees included (lamports); shares and cost may both be 0."""

    market_id: bytes
    user: bytes
    outcome: bool
    shares: int
    cost: int
    new_price_yes: int
    timestamp: int


class SharesSold(NamedTuple):
    """A sale. `proceeds` is what the seller received, net of fees (lamports)."""

    market_id: bytes
    user: bytes
    outcome: bool
    shares: int
    proceeds: int
    new_price_yes: int
    timestamp: int


class MarketResolved(NamedTuple):
    market_id: bytes
    resolver: bytes
    outcome: bool
    evidence_hash: bytes
    timestamp: int


class DisputeInitiated(NamedTuple):
    market_id: bytes
    initiator: bytes
    disputed_outcome: bool | None
    timestamp: int


class DisputeVoteSubmitted(NamedTuple):
    """`vote` True says: the proposed outcome is wrong."""

    market_id: bytes
    user: bytes
    vote: bool
    timestamp: int


class DisputeAggregated(NamedTuple):
    market_id: bytes
    agrees: int
    disagrees: int
    agreement_percentage: int
    dispute_succeeded: bool
    timestamp: int


class MarketFinalized(NamedTuple):
    market_id: bytes
    final_outcome: bool | None
    was_disputed: bool
    timestamp: int


class WinningsClaimed(NamedTuple):
    """A payout. Carries the market's *address*, not its id."""

    market: bytes
    user: bytes
    outcome: bool | None
    amount: int
    timestamp: int


class WinningsClaimedLegacy(NamedTuple):
    """The layout of `WinningsClaimed` that builds from the published IDL emit: same discriminator, 96 bytes."""

    market_id: bytes
    user: bytes
    amount: int
    resolver_fee: int
    timestamp: int


class LiquidityWithdrawn(NamedTuple):
    market_id: bytes
    creator: bytes
    amount: int
    timestamp: int


class ConfigUpdated(NamedTuple):
    protocol_fee_bps: int
    resolver_reward_bps: int
    liquidity_provider_fee_bps: int
    proposal_approval_threshold: int
    dispute_success_threshold: int
    min_resolution_delay: int
    dispute_period: int
    timestamp: int


class ProtocolPauseStatusChanged(NamedTuple):
    is_paused: bool
    paused_by: bytes
    timestamp: int


class MarketCancelled(NamedTuple):
    market_id: bytes
    cancelled_by: bytes
    cancelled_at: int


ChainAccount = GlobalConfig | MarketAccount | UserPosition | VoteRecord

ChainEvent = (
    GlobalConfigInitialized
    | MarketCreated
    | ProposalVoteSubmitted
    | ProposalAggregated
    | ProposalApproved
    | MarketActivated
    | SharesBought
    | SharesSold
    | MarketResolved
    | DisputeInitiated
    | DisputeVoteSubmitted
    | DisputeAggregated
    | MarketFinalized
    | WinningsClaimed
    | LiquidityWithdrawn
    | ConfigUpdated
    | ProtocolPauseStatusChanged
    | MarketCancelled
    | WinningsClaimedLegacy
)


class Commitment(IntEnum):
    """How settled a slot is; the names in lower case are the RPC's."""

    PROCESSED = 0
    CONFIRMED = 1
    FINALIZED = 2


class ChainInstruction(NamedTuple):
    """One instruction as executed, with its accounts resolved to addresses."""

    program_id: bytes
    accounts: tuple[bytes, ...]
    data: bytes


class ChainTransaction(NamedTuple):
    """A landed transaction, whichever source told of it.

    `instructions` are those of our program, of the message or invoked by others, in the order of execution. `logs` is
    None where the source carries none. `index_in_block` and `block_time` (unix seconds) are None where the source
    does not tell.
    """

    signature: bytes
    slot: int
    index_in_block: int | None
    block_time: int | None
    failed: bool
    logs: tuple[str, ...] | None
    instructions: tuple[ChainInstruction, ...]


class SignatureInfo(NamedTuple):
    """One row of an address's history."""

    signature: bytes
    slot: int
    index_in_block: int | None
    block_time: int | None
    failed: bool


class LoggedEvent(NamedTuple):
    """An event of our program found in a transaction's logs.

    `event_index` counts the program's events of that transaction from 0. Where `data` cannot be decoded, `event` is
    None and `error` says why.
    """

    event_index: int
    data: bytes
    event: ChainEvent | None
    error: str | None


class ParsedLogs(NamedTuple):
    """What a transaction's logs hold. `complete` is False where the runtime truncated them or lines are missing."""

    events: tuple[LoggedEvent, ...]
    complete: bool


class FeedMessage(NamedTuple):
    """One message of the push feed. `data` is the envelope's data as JSON text.

    `listed`: also for the channels of all markets. `state_changed`: a market_state in which the state itself changed.
    `wallet`: the addressee of a position message.
    """

    offset: int
    type: str
    market_id: bytes | None
    wallet: bytes | None
    listed: bool
    state_changed: bool
    created_ms: int
    data: str
