"""What the alerts look at: markets that do not get on, runs of jobs, deliveries that wait. Found by index, bounded."""

from collections.abc import Collection
from typing import NamedTuple

from zmart_lite.models import MarketState
from zmart_lite.store.engine.amounts import u64_text
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.state import intents

END_DATE_UNKNOWN = 253_402_300_800
"""What ``listed_end_date`` holds while nobody told a market's text."""
_NOT_FINAL = "known = 1 AND state < 5"
_SINCE = (
    f"CASE WHEN state = 2 AND listed_end_date < {END_DATE_UNKNOWN} AND listed_end_date > last_state_change_at"
    " THEN listed_end_date ELSE last_state_change_at END"
)
"""A market that trades until its end date is not stuck before that."""
CURSOR = "alerts_seen_event"
STUCK_COUNTED_MAX = 10_000


class Stuck(NamedTuple):
    """A market without progress since ``since`` (unix seconds, chain time)."""

    market_id: bytes
    state: MarketState
    since: int


def list_stuck(tx: Tx, before: int, limit: int) -> list[Stuck]:
    """Markets that are not final and have not moved since ``before`` (unix seconds), oldest first."""
    rows = tx.all(
        f"SELECT id, state, {_SINCE} AS since FROM markets WHERE {_NOT_FINAL} AND last_state_change_at <= ?"
        f" AND {_SINCE} <= ? ORDER BY last_state_change_at, state, listed_end_date, id LIMIT ?",
        (before, before, limit),
    )
    return [
        Stuck(
            tx.value("SELECT market_id FROM markets WHERE id = ?", (row["id"],)),
            MarketState(row["state"]),
            row["since"],
        )
        for row in rows
    ]


def count_stuck(tx: Tx, before: int) -> int:
    """Markets that :func:`list_stuck` would list, counted up to STUCK_COUNTED_MAX."""
    return int(
        tx.value(
            f"SELECT count(*) FROM (SELECT 1 FROM markets WHERE {_NOT_FINAL} AND last_state_change_at <= ?"
            f" AND {_SINCE} <= ? LIMIT ?) stuck",
            (before, before, STUCK_COUNTED_MAX),
        )
    )


def list_late_resolutions(tx: Tx, proposed_before: int, limit: int) -> list[Row]:
    """(market_id, resolution_proposed_at) of RESOLVING markets proposed before a unix second, oldest first."""
    return tx.all(
        "SELECT market_id, resolution_proposed_at FROM markets WHERE state = 3 AND resolution_proposed_at <= ?"
        " ORDER BY resolution_proposed_at, id LIMIT ?",
        (proposed_before, limit),
    )


def list_voteless_disputes(tx: Tx, begun_before: int, limit: int) -> list[Row]:
    """(market_id, dispute_initiated_at) of DISPUTED markets, begun before a unix second, on which nobody voted."""
    return tx.all(
        "SELECT m.market_id, m.dispute_initiated_at FROM markets m"
        " LEFT JOIN tallies t ON t.market = m.id AND t.kind = 1"
        " WHERE m.state = 4 AND m.dispute_initiated_at <= ? AND coalesce(t.likes + t.dislikes, 0) = 0"
        " ORDER BY m.dispute_initiated_at, m.id LIMIT ?",
        (begun_before, limit),
    )


def oldest_waiting_slot(tx: Tx) -> int | None:
    """The slot of the oldest transaction that is known and not indexed."""
    slot: int | None = tx.value("SELECT min(slot) FROM inbox")
    return slot


# Liquidity that left before the winners were paid


def list_withdrawals_since(tx: Tx, event_id: int, limit: int) -> tuple[list[Row], int]:
    """(market_id, market) of withdrawals of liquidity behind an event's key, and the key up to which was looked."""
    newest = int(tx.value("SELECT coalesce(max(id), 0) FROM events"))
    rows = tx.all(
        "SELECT m.market_id, m.id AS market, e.id AS event FROM events e JOIN markets m ON m.id = e.market"
        # Only what is new is looked through; the type's index would lead to all withdrawals there ever were.
        " WHERE (e.event_type || '') = 'LiquidityWithdrawn' AND e.id > ? AND e.id <= ? ORDER BY e.id LIMIT ?",
        (event_id, newest, limit),
    )
    return rows, rows[-1]["event"] if len(rows) == limit else newest


def has_unclaimed_winners(tx: Tx, market_id: bytes) -> bool:
    """Whether a FINALIZED market still owes something to somebody."""
    market = tx.one("SELECT id, state, final_outcome FROM markets WHERE market_id = ?", (market_id,))
    if market is None or market["state"] != MarketState.FINALIZED:
        return False
    outcome = market["final_outcome"]
    column = "total_invested" if outcome is None else ("shares_yes" if outcome else "shares_no")
    found = tx.one(
        f"SELECT 1 FROM positions WHERE market = ? AND has_claimed = 0 AND {column} > ? LIMIT 1",
        (market["id"], u64_text(0)),
    )
    return found is not None


def find_seen_event(tx: Tx) -> int:
    return int(chainlog.find_meta(tx, CURSOR) or 0)


def set_seen_event(tx: Tx, event_id: int) -> None:
    chainlog.set_meta(tx, CURSOR, str(event_id))


# What is told by others, and whether it still holds


def is_proposed(tx: Tx, market_id: bytes) -> bool:
    return bool(tx.value("SELECT state FROM markets WHERE market_id = ?", (market_id,)) == MarketState.PROPOSED)


def has_failed_action(tx: Tx, actions: Collection[str], subject: str) -> bool:
    """Whether the last round of one of these actions on a subject failed for good."""
    last = (intents.find_last(tx, action, subject) for action in actions)
    return any(row is not None and row["status"] == "failed" for row in last)
