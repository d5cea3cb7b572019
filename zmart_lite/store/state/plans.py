"""Outcomes that creators register in advance, and the evidence texts behind the hashes that go on chain."""

from zmart_lite.store.engine.db import Row, Tx


def set_plan(tx: Tx, market: int, *, outcome: bool, evidence_hash: bytes, due_at: int) -> Row:
    """Register a resolution, in place of an earlier one. ``due_at`` is in unix seconds of the chain."""
    row = tx.one(
        "INSERT INTO resolution_plans (market, outcome, evidence_hash, due_at, registered_ms) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (market) DO UPDATE SET outcome = excluded.outcome, evidence_hash = excluded.evidence_hash,"
        " due_at = excluded.due_at, registered_ms = excluded.registered_ms RETURNING *",
        (market, int(outcome), evidence_hash, due_at, tx.now_ms),
    )
    if row is None:
        raise RuntimeError("INSERT … RETURNING gave no row")
    return row


def remove_plan(tx: Tx, market: int) -> bool:
    """Withdraw a registered resolution; whether there was one."""
    return tx.execute("DELETE FROM resolution_plans WHERE market = ?", (market,)) > 0


def find_plan(tx: Tx, market: int) -> Row | None:
    return tx.one("SELECT * FROM resolution_plans WHERE market = ?", (market,))


def add_evidence(tx: Tx, cid: str, content: str) -> None:
    """Keep an evidence text under the hash that stands for it on chain, from now on for as long as any other."""
    tx.execute(
        "INSERT INTO evidence (cid, content, created_ms) VALUES (?, ?, ?) ON CONFLICT (cid) DO UPDATE"
        " SET created_ms = excluded.created_ms WHERE landed = 0",
        (cid, content, tx.now_ms),
    )


def find_evidence(tx: Tx, cid: str) -> Row | None:
    return tx.one("SELECT * FROM evidence WHERE cid = ?", (cid,))


def list_unpinned_evidence(tx: Tx, limit: int) -> list[Row]:
    """Evidence that IPFS does not have yet, oldest first."""
    return tx.all("SELECT * FROM evidence WHERE pinned = 0 ORDER BY created_ms, cid LIMIT ?", (limit,))


def set_evidence_pinned(tx: Tx, cid: str) -> None:
    tx.execute("UPDATE evidence SET pinned = 1 WHERE cid = ?", (cid,))
