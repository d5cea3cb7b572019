"""Markets whose time has come, found by index, oldest first.

A market whose action failed for good lately is left out for a while: it has been reported, and must not keep the others
waiting. ``failed_since_ms``: unix milliseconds; failures after that count, by default none.
"""

from zmart_lite.models import MarketState, VoteType
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.state import markets
from zmart_lite.store.state.markets import RECORD_SELECT, Record

NEVER_MS = 2**62

find_market = markets.find_record_by_key


def _not_failed(action: str, market: str = "m.id") -> str:
    return (
        f"NOT EXISTS (SELECT 1 FROM intents i WHERE i.market = {market} AND i.action = '{action}'"
        " AND i.status = 'failed' AND i.created_ms > ?)"
    )


def list_resolutions(tx: Tx, until: int, limit: int, failed_since_ms: int = NEVER_MS) -> list[Record]:
    """RESOLVING markets whose outcome was proposed at or before ``until`` (unix seconds)."""
    rows = tx.all(
        f"{RECORD_SELECT} WHERE m.state = 3 AND m.resolution_proposed_at <= ? AND {_not_failed('finalize_market')}"
        " ORDER BY m.resolution_proposed_at, m.id LIMIT ?",
        (until, failed_since_ms, limit),
    )
    return [dict(row) for row in rows]


def list_disputes(tx: Tx, until: int, limit: int, failed_since_ms: int = NEVER_MS) -> list[Record]:
    """DISPUTED markets on which somebody voted and whose dispute began at or before ``until`` (unix seconds)."""
    rows = tx.all(
        f"{RECORD_SELECT} JOIN tallies t ON t.market = m.id AND t.kind = 1 WHERE m.state = 4"
        " AND m.dispute_initiated_at <= ? AND t.likes + t.dislikes > 0"
        f" AND {_not_failed('finalize_market')} ORDER BY m.dispute_initiated_at, m.id LIMIT ?",
        (until, failed_since_ms, limit),
    )
    return [dict(row) for row in rows]


def list_plans(tx: Tx, now: int, limit: int, failed_since_ms: int = NEVER_MS) -> list[Record]:
    """ACTIVE markets whose creator registered an outcome that is due, with ``plan_outcome`` and
    ``plan_evidence_hash``.
    """
    rows = tx.all(
        "SELECT m.*, rp.outcome AS plan_outcome, rp.evidence_hash AS plan_evidence_hash FROM resolution_plans rp"
        f" JOIN markets m ON m.id = rp.market WHERE rp.due_at <= ? AND m.state = ? AND {_not_failed('resolve_market')}"
        " ORDER BY rp.due_at, rp.market LIMIT ?",
        (now, int(MarketState.ACTIVE), failed_since_ms, limit),
    )
    return [dict(row) for row in rows]


def list_changed_proposals(tx: Tx, limit: int, failed_since_ms: int = NEVER_MS) -> list[int]:
    """Keys of the markets whose proposal votes changed since the aggregation last looked."""
    rows = tx.all(
        "SELECT t.market FROM tallies t WHERE t.kind = ? AND t.changed = 1"
        f" AND {_not_failed('aggregate_proposal_votes', 't.market')} ORDER BY t.market LIMIT ?",
        (int(VoteType.PROPOSAL), failed_since_ms, limit),
    )
    return [row["market"] for row in rows]


def list_approvals(tx: Tx, limit: int, failed_since_ms: int = NEVER_MS, only: bytes | None = None) -> list[Record]:
    """Proposals whose counts on chain pass the vote, oldest first; of one market id, if ``only`` that is asked for."""
    one = "" if only is None else " AND m.market_id = ?"
    rows = tx.all(
        f"{RECORD_SELECT} WHERE m.ready_for_approval = 1 AND m.state = 0 AND {_not_failed('approve_proposal')}{one}"
        " ORDER BY m.created_at, m.id LIMIT ?",
        (failed_since_ms, *(() if only is None else (only,)), limit),
    )
    return [dict(row) for row in rows]
