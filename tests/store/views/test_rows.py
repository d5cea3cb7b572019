"""Tallies and progress as clients see them."""

from typing import Any

import pytest

from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.models import MarketState, VoteType
from zmart_lite.store.state.votes import Recorded, Tally
from zmart_lite.store.views.row_context import RowContext, RowSettings
from zmart_lite.store.views.rows import is_market_id_hex, progress, tally

SETTINGS = RowSettings.of(Config(), Codec(bytes([7]) * 32))
CONTEXT = RowContext(SETTINGS, 172_800, False, 7_000, 6_000)
PROPOSAL, DISPUTE = VoteType.PROPOSAL, VoteType.DISPUTE


@pytest.mark.parametrize(("kind", "found", "bps", "met"), [
    (PROPOSAL, Tally(), 0, False),
    (PROPOSAL, Tally(7, 3, 7, 3), 7_000, True),
    (PROPOSAL, Tally(6, 3, 6, 3), 6_666, False),
    (PROPOSAL, Tally(7, 0, 7, 0), 10_000, False),
    (PROPOSAL, Tally(1_000, 430, 1_000, 430), 6_993, False),
    (DISPUTE, Tally(), 0, False),
    (DISPUTE, Tally(1, 9, 6, 4), 6_000, True),
    (DISPUTE, Tally(9, 1, 5_999, 4_001), 5_999, False),
    (DISPUTE, Tally(1, 1, 2**70, 2**69), 6_666, True),
])  # fmt: skip
def test_tally(kind: VoteType, found: Tally, bps: int, met: bool) -> None:
    shown = tally(found, kind, CONTEXT)
    assert (shown["percentage_bps"], shown["threshold_met"]) == (bps, met)
    assert shown["agrees"] == shown["likes"] == found.likes
    assert shown["total"] == found.likes + found.dislikes
    assert shown["agree_weight"] == str(found.agree_weight)
    assert shown["min_votes"] == (10 if kind is PROPOSAL else 0)


def test_disputes_may_count_heads() -> None:
    context = CONTEXT._replace(settings=SETTINGS._replace(dispute_by_heads=True))
    assert tally(Tally(1, 9, 6, 4), DISPUTE, context)["percentage_bps"] == 1_000


def market(**fields: Any) -> Any:
    return {
        "market_id": bytes(32),
        "state": MarketState.PROPOSED,
        "created_at": 1_000,
        "dispute_initiated_at": 0,
    } | fields


def test_progress_of_a_proposal() -> None:
    shown = progress(market(), Tally(), PROPOSAL, CONTEXT, 2_000, 5_000)
    assert (shown["open"], shown["ends_at"]) == (True, "1970-01-02T00:16:40.000Z")
    assert shown["time_remaining_seconds"] == 86_400 - 1_000
    assert shown["next_aggregation_at"] == "1970-01-01T00:00:05.000Z"
    late = progress(market(), Tally(), PROPOSAL, CONTEXT, 10**9)
    assert (late["open"], late["time_remaining_seconds"]) == (True, 0)


def test_progress_of_a_dispute() -> None:
    shown = progress(market(state=MarketState.DISPUTED, dispute_initiated_at=5_000), Tally(), DISPUTE, CONTEXT, 5_000)
    assert (shown["open"], shown["time_remaining_seconds"], shown["vote_type"]) == (True, 259_200, "dispute")
    closed = progress(market(), Tally(), DISPUTE, CONTEXT, 5_000, 9)
    assert (closed["open"], closed["ends_at"], closed["time_remaining_seconds"]) == (False, None, 0)
    assert closed["next_aggregation_at"] is None


@pytest.mark.parametrize(("text", "is_id"), [("ab" * 32, True), ("AB" * 32, False), ("ab" * 31, False), ("", False)])
def test_market_ids(text: str, is_id: bool) -> None:
    assert is_market_id_hex(text) is is_id


def test_what_stands_on_chain_is_shown_with_the_threshold_of_then() -> None:
    recorded = Recorded(6_999, 3_001, 7_000, bytes(64), 31, is_final=True)
    shown = tally(Tally(8_000, 2_000, 8_000, 2_000, 77, recorded), PROPOSAL, CONTEXT)
    assert shown["percentage_bps"] == 8_000
    assert shown["recorded"] == {
        "yes": 6_999,
        "no": 3_001,
        "percentage_bps": 6_999,
        "threshold_bps": 7_000,
        "threshold_met": False,
        "tx_signature": "1" * 64,
        "slot": 31,
        "finality": "finalized",
        "recorded_at": shown["last_aggregated_at"],
    }
    assert tally(Tally(), PROPOSAL, CONTEXT)["recorded"] is None
