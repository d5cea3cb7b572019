"""What is old enough to go, and how it goes: a bounded bite at a time, so that no commit keeps votes waiting.

Votes, posts, trades, events and intents (but for their signed bytes) are kept for ever: every market is the fold of its
events, and a reading of its account tells neither its history nor what anybody paid. Nothing goes that belongs to a
transaction the chain has not finalised.
"""

from collections.abc import Mapping
from typing import NamedTuple

from zmart_lite.config import Retention
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log.feed import PRUNE_ROWS_MAX, prune_feed

BITE_ROWS = 1_000
DAY_MS = 86_400_000
RELAYS_DAYS = 7
"""A relayed transaction lands within two minutes or never; after a week nobody asks how it ended."""
BYTES_DAYS = 7
"""The node's own signed bytes, once nothing can come of them any more."""

_NOT_FINAL = "EXISTS (SELECT 1 FROM transactions t WHERE t.signature = x.signature AND t.finality = 1)"
_WITHOUT_PAYLOAD = (
    "payload = NULL, resolved_ms = CASE WHEN signature IS NULL THEN coalesce(resolved_ms, last_tried_ms)"
    " ELSE resolved_ms END, resolution = CASE WHEN signature IS NULL"
    " THEN coalesce(resolution, 'nothing of it is kept any more') ELSE resolution END"
)
"""What names no transaction and has no contents any more, nobody can try again: it is closed."""
_WITH_BYTES = (
    "signed_transaction IS NOT NULL AND ((status || '') IN ('failed', 'expired', 'abandoned')"
    " OR (status || '') = 'confirmed' AND finalized_ms IS NOT NULL)"
)
_NOT_LAST_OF_JOB = "EXISTS (SELECT 1 FROM job_runs n WHERE n.job = x.job AND n.id > x.id)"
_OLDEST_RUNS = f"(SELECT * FROM job_runs ORDER BY id LIMIT {BITE_ROWS + 100})"
"""Runs are in the order of their time: there is no need to look at all of them."""

_EVIDENCE_LANDED = (
    "EXISTS (SELECT 1 FROM markets m WHERE m.evidence_hash = CAST(x.cid AS BLOB) AND m.resolution_proposed_at > 0)"
)
_EVIDENCE_PLANNED = "EXISTS (SELECT 1 FROM resolution_plans p WHERE p.evidence_hash = CAST(x.cid AS BLOB))"


class Old(NamedTuple):
    """Rows ``x`` of ``table`` that may go: those whose ``moment`` lies before a limit, and which meet ``condition``."""

    table: str
    key: str
    moment: str
    condition: str = ""
    change: str = ""
    """Only this is set, the rows stay. Empty: the rows are deleted."""
    source: str = ""
    """Where the rows are looked for, if not in the whole table."""


RULES: Mapping[str, Old] = {
    "nonces": Old("nonces", "nonce", "expires_ms"),
    "tickets": Old("tickets", "ticket_hash", "expires_ms"),
    "revoked_tokens": Old("revoked_tokens", "jti", "expires_ms"),
    "drafts": Old("drafts", "market_id", "expires_ms"),
    "relayed_transactions": Old("relayed_transactions", "signature", "created_ms", f"NOT {_NOT_FINAL}"),
    "payloads": Old(
        "dead_letters", "id", "last_tried_ms", f"payload IS NOT NULL AND NOT {_NOT_FINAL}", _WITHOUT_PAYLOAD
    ),
    "signed_bytes": Old("intents", "id", "created_ms", _WITH_BYTES, "signed_transaction = NULL"),
    "dead_letters": Old("dead_letters", "id", "resolved_ms", f"NOT {_NOT_FINAL}"),
    "job_runs": Old("job_runs", "id", "finished_ms", _NOT_LAST_OF_JOB, source=_OLDEST_RUNS),
    "alerts": Old("alerts", "id", "resolved_ms"),
    "discrepancies": Old("discrepancies", "id", "resolved_ms"),
    "failed": Old("transactions", "id", "created_ms", "x.failed = 1 AND x.finality = 2"),
    "snapshots": Old("snapshots", "id", "unpinned_ms"),
    "audit": Old("audit", "id", "at_ms"),
    "landed_evidence": Old("evidence", "cid", "created_ms", f"x.landed = 0 AND {_EVIDENCE_LANDED}", "landed = 1"),
    "evidence": Old(
        "evidence", "cid", "created_ms", f"x.landed = 0 AND NOT {_EVIDENCE_LANDED} AND NOT {_EVIDENCE_PLANNED}"
    ),
}
FEED = "feed"


def limits_ms(now_ms: int, kept: Retention) -> dict[str, int]:
    """For each kind of rows that may go the unix milliseconds before which they are old."""
    expired = dict.fromkeys(("nonces", "tickets", "revoked_tokens", "drafts"), now_ms)
    days = {
        FEED: kept.feed_days,
        "payloads": kept.payload_days,
        "relayed_transactions": RELAYS_DAYS,
        "signed_bytes": BYTES_DAYS,
        "failed": kept.failed_days,
        "dead_letters": kept.dead_letter_days,
        "discrepancies": kept.discrepancy_days,
        "alerts": kept.alert_days,
        "job_runs": kept.job_run_days,
        "snapshots": kept.snapshot_record_days,
        "audit": kept.audit_days,
        "landed_evidence": kept.evidence_days,
        "evidence": kept.evidence_days,
    }
    return expired | {kind: now_ms - each * DAY_MS for kind, each in days.items() if each}


def bite_rows(kind: str) -> int:
    """A bite that took fewer rows than this was the last one."""
    return PRUNE_ROWS_MAX if kind == FEED else BITE_ROWS


def prune(tx: Tx, kind: str, before_ms: int) -> int:
    """One bite of the rows of a kind whose moment lies before ``before_ms``; how many it took."""
    if kind == FEED:
        return prune_feed(tx, before_ms)
    rule = RULES[kind]
    condition = f" AND {rule.condition}" if rule.condition else ""
    verb = f"UPDATE {rule.table} SET {rule.change}" if rule.change else f"DELETE FROM {rule.table}"
    return tx.execute(
        f"{verb} WHERE {rule.key} IN (SELECT x.{rule.key} FROM {rule.source or rule.table} x"
        f" WHERE x.{rule.moment} < ?{condition} ORDER BY x.{rule.moment} LIMIT ?)",
        (before_ms, BITE_ROWS),
    )
