"""What rows depend on besides their own record: the node's settings and the on-chain config in force."""

from typing import NamedTuple, Self

from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log.event_data import EventData
from zmart_lite.store.state.markets import find_config


class MarketRef(NamedTuple):
    """How a caller named a market: ``column`` is ``market_id`` or ``address``, ``value`` its 32 bytes."""

    column: str
    value: bytes


class RowSettings(NamedTuple):
    """What of the node's configuration rows depend on."""

    codec: Codec
    event_data: EventData
    settle_after_s: int
    review_after_s: int
    proposal_votes_min: int
    dispute_by_heads: bool
    flags_needed: int
    dispute_period_fallback_s: int
    proposal_threshold_fallback_bps: int
    dispute_threshold_fallback_bps: int

    @classmethod
    def of(cls, config: Config, codec: Codec) -> Self:
        votes = config.votes
        return cls(
            codec,
            EventData(codec),
            votes.dispute_voting_s,
            votes.review_after_s,
            votes.proposal_min_votes,
            votes.dispute_weight == "wallet",
            config.discussions.flags_needed,
            config.monitor.dispute_period_fallback_s,
            votes.proposal_threshold_bps,
            votes.dispute_threshold_bps,
        )


class RowContext(NamedTuple):
    """What rows depend on besides their own record: settings and the on-chain config in force."""

    settings: RowSettings
    dispute_period_s: int
    is_paused: bool
    proposal_threshold_bps: int
    dispute_threshold_bps: int


def read_context(tx: Tx, settings: RowSettings) -> RowContext:
    """The context of now; the configured fallbacks as long as no on-chain config is known."""
    config = find_config(tx)
    if config is None:
        return RowContext(
            settings,
            settings.dispute_period_fallback_s,
            False,
            settings.proposal_threshold_fallback_bps,
            settings.dispute_threshold_fallback_bps,
        )
    return RowContext(
        settings,
        config.dispute_period,
        config.is_paused,
        config.proposal_approval_threshold,
        config.dispute_success_threshold,
    )
