"""Markets whose time has come, found by index, oldest first."""

from zmart_lite.models import MarketState
from zmart_lite.store import markets
from zmart_lite.store.db import Tx
from zmart_lite.store.markets import RECORD_SELECT, Record

find_market = markets.find_record_by_key


def list_resolutions(tx: Tx, until: int, limit: int) -> list[Record]:
    """RESOLVING markets whose outcome was proposed at or before ``until`` (unix seconds)."""
    rows = tx.all(
        f"{RECORD_SELECT} WHERE m.state = 3 AND m.resolution_proposed_at <= ? ORDER BY m.resolution_proposed_at, m.id"
        " LIMIT ?",
        (until, limit),
    )
    return [dict(row) for row in rows]


def list_disputes(tx: Tx, until: int, limit: int) -> list[Record]:
    """DISPUTED markets whose dispute began at or before ``until`` (unix seconds)."""
    rows = tx.all(
        f"{RECORD_SELECT} WHERE m.state = 4 AND m.dispute_initiated_at <= ? ORDER BY m.dispute_initiated_at, m.id"
        " LIMIT ?",
        (until, limit),
    )
    return [dict(row) for row in rows]


def list_plans(tx: Tx, now: int, limit: int) -> list[Record]:
    """ACTIVE markets whose creator registered an outcome that is due, with ``plan_outcome`` and
    ``plan_evidence_hash``.
    """
    rows = tx.all(
        "SELECT m.*, rp.outcome AS plan_outcome, rp.evidence_hash AS plan_evidence_hash FROM resolution_plans rp"
        " JOIN markets m ON m.id = rp.market WHERE rp.due_at <= ? AND m.state = ? ORDER BY rp.due_at LIMIT ?",
        (now, int(MarketState.ACTIVE), limit),
    )
    return [dict(row) for row in rows]
