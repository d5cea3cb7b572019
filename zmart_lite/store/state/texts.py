"""Market texts: drafts waiting for their market, and the text attached to a market whose hash and creator match."""

from datetime import datetime
from typing import Any, cast

import msgspec

from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.state import search
from zmart_lite.store.state.markets import Record

END_DATE_UNKNOWN = 253_402_300_800
"""``listed_end_date`` of a market without a text: behind all that can be written."""
DETACHED_LIFETIME_MS = 24 * 3_600_000
"""How long the text of a dropped market waits for it to land again."""


def add_draft(tx: Tx, *, market_id: bytes, wallet: bytes, cid: str, canonical_json: str, lifetime_ms: int) -> Row:
    """The wallet's draft of this text: the one it has (its life renewed), or a new one under ``market_id``."""
    return cast(
        Row,
        tx.one(
            "INSERT INTO drafts (market_id, wallet, cid, canonical_json, created_ms, expires_ms)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (wallet, cid) DO UPDATE SET expires_ms = excluded.expires_ms"
            " RETURNING *",
            (market_id, wallet, cid, canonical_json, tx.now_ms, tx.now_ms + lifetime_ms),
        ),
    )


def find_draft(tx: Tx, wallet: bytes, cid: str) -> Row | None:
    return tx.one("SELECT * FROM drafts WHERE wallet = ? AND cid = ?", (wallet, cid))


def attach_draft(tx: Tx, record: Record) -> bool:
    """Give a new market its draft's text, if the chain's hash is that text's and its creator the draft's author."""
    draft = tx.one("SELECT * FROM drafts WHERE market_id = ?", (record["market_id"],))
    if draft is None or draft["wallet"] != record["creator_address"]:
        return False
    if draft["cid"].encode() != record["question_hash"]:
        return False
    attach_text(tx, record["id"], draft["canonical_json"], draft["cid"])
    tx.execute("DELETE FROM drafts WHERE market_id = ?", (record["market_id"],))
    return True


def attach_text(tx: Tx, market: int, canonical_json: str, cid: str) -> None:
    """``canonical_json`` is the text whose CIDv0 is ``cid`` and stands on chain."""
    text: dict[str, Any] = msgspec.json.decode(canonical_json)
    tx.execute(
        "INSERT INTO market_texts (market, question, description, category, tags, end_date, cid, canonical_json,"
        " attached_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (market) DO NOTHING",
        (
            market,
            text["question"],
            text["description"],
            text["category"],
            msgspec.json.encode(text["tags"]).decode(),
            end_date_seconds(text["end_date"]),
            cid,
            canonical_json,
            tx.now_ms,
        ),
    )
    search.index_question(tx, market, text["question"])
    tx.execute(
        "UPDATE markets SET listed_category = ?, listed_end_date = ? WHERE id = ?",
        (text["category"], end_date_seconds(text["end_date"]), market),
    )


def detach_text(tx: Tx, record: Record) -> None:
    """Make the text of a market that the chain dropped a draft again; ``record`` still names its creator."""
    text = tx.one("SELECT * FROM market_texts WHERE market = ?", (record["id"],))
    if text is None:
        return
    search.forget_question(tx, record["id"], text["question"])
    tx.execute("DELETE FROM market_texts WHERE market = ?", (record["id"],))
    tx.execute(
        "UPDATE markets SET listed_category = 'other', listed_end_date = ? WHERE id = ?",
        (END_DATE_UNKNOWN, record["id"]),
    )
    if record["creator_address"] is not None:
        tx.execute(
            "INSERT INTO drafts (market_id, wallet, cid, canonical_json, created_ms, expires_ms)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                record["market_id"],
                record["creator_address"],
                text["cid"],
                text["canonical_json"],
                text["attached_ms"],
                tx.now_ms + DETACHED_LIFETIME_MS,
            ),
        )


def end_date_seconds(text: str) -> int:
    """Unix seconds of a canonical ``2026-01-02T03:04:05Z``."""
    return int(datetime.fromisoformat(text).timestamp())
