"""Accounts as the program first writes them: one description, for the indexer's fold and for the devnet."""

from zmart_lite.models import GlobalConfig, MarketAccount, MarketState
from zmart_lite.rules import START_SHARES_DIVISOR

NO_KEY = bytes(32)
MARKET_RESERVED_BYTES = 119
CONFIG_RESERVED_BYTES = 64


def new_config(
    admin: bytes, backend_authority: bytes, protocol_fee_wallet: bytes, bump: int, protocol_fee_bps: int = 300
) -> GlobalConfig:
    """What initialize_global_config writes."""
    return GlobalConfig(
        admin=admin,
        backend_authority=backend_authority,
        protocol_fee_wallet=protocol_fee_wallet,
        protocol_fee_bps=protocol_fee_bps,
        resolver_reward_bps=200,
        liquidity_provider_fee_bps=500,
        proposal_approval_threshold=7_000,
        dispute_success_threshold=6_000,
        min_resolution_delay=86_400,
        dispute_period=259_200,
        min_resolver_reputation=8_000,
        is_paused=False,
        reserved=bytes(CONFIG_RESERVED_BYTES),
        bump=bump,
    )


def new_market(
    market_id: bytes,
    creator: bytes,
    *,
    b_parameter: int,
    initial_liquidity: int,
    question_hash: bytes,
    created_at: int,
    bump: int,
) -> MarketAccount:
    """What create_market writes: both sides start with b // 1000 shares that belong to nobody.
    ``initial_liquidity`` in lamports.
    """
    start_shares = b_parameter // START_SHARES_DIVISOR
    return MarketAccount(
        market_id=market_id,
        creator=creator,
        state=MarketState.PROPOSED,
        b_parameter=b_parameter,
        initial_liquidity=initial_liquidity,
        current_liquidity=initial_liquidity,
        shares_yes=start_shares,
        shares_no=start_shares,
        total_volume=0,
        created_at=created_at,
        approved_at=0,
        activated_at=0,
        resolution_proposed_at=0,
        resolved_at=0,
        finalized_at=0,
        resolver=NO_KEY,
        proposed_outcome=None,
        final_outcome=None,
        ipfs_evidence_hash=question_hash,
        dispute_initiated_at=0,
        dispute_initiator=NO_KEY,
        accumulated_protocol_fees=0,
        accumulated_resolver_fees=0,
        accumulated_lp_fees=0,
        proposal_likes=0,
        proposal_dislikes=0,
        proposal_total_votes=0,
        resolution_agree=0,
        resolution_disagree=0,
        resolution_total_votes=0,
        dispute_agree=0,
        dispute_disagree=0,
        dispute_total_votes=0,
        was_disputed=False,
        is_cancelled=False,
        cancelled_at=None,
        is_locked=False,
        reserved=bytes(MARKET_RESERVED_BYTES),
        bump=bump,
    )
