"""Discussions as they are kept on IPFS, and the record of what is kept.

A market's discussion becomes canonical JSON without anything that depends on the day, so that the same discussion is
the same content. Beyond the size of one chunk it is cut into parts behind an index: then every content id is still
known before anything is uploaded.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from zmart_lite.drafts import CHUNK_BYTES_MAX, cid_v1_raw
from zmart_lite.shown import address_text, time_text_ms
from zmart_lite.store.engine.db import Row, Tx

VERSION = 1
PARTS_MAX = 2_000
"""Half a gigabyte of posts below one market; an index of so many parts still is one chunk."""
FRAME_BYTES = 256
"""Room for what stands around the posts of a part."""


class Document(NamedTuple):
    """A discussion as content by content id; ``cid`` is that of the whole."""

    cid: str
    contents: Mapping[str, bytes]
    posts: int


def date_text(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms // 1_000, UTC).strftime("%Y-%m-%d")


# Documents


def canonical(value: object) -> bytes:
    """Sorted keys, no spaces, UTF-8, nothing escaped that need not be; integers only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def find_document(tx: Tx, market: int) -> Document | None:
    """The discussion of a market; None without any visible post. Raises ValueError beyond what can be kept."""
    rows = tx.all(
        "SELECT d.*, m.market_id, w.address FROM discussions d JOIN markets m ON m.id = d.market"
        " JOIN wallets w ON w.id = d.wallet WHERE d.market = ? AND (d.deleted_ms IS NULL OR d.replies > 0)"
        " ORDER BY d.id",
        (market,),
    )
    return make_document(rows[0]["market_id"].hex(), [_post(row) for row in rows]) if rows else None


def make_document(market_id: str, posts: list[dict[str, Any]]) -> Document:
    whole = canonical({"discussions": posts, "market_id": market_id, "version": VERSION})
    if len(whole) <= CHUNK_BYTES_MAX:
        return Document(cid_v1_raw(whole), {cid_v1_raw(whole): whole}, len(posts))
    contents = {}
    for number, part in enumerate(_cut(posts)):
        content = canonical({"discussions": part, "market_id": market_id, "part": number, "version": VERSION})
        contents[cid_v1_raw(content)] = content
    if len(contents) > PARTS_MAX:
        raise ValueError(f"{len(contents)} parts are more than {PARTS_MAX}")
    index = canonical({"count": len(posts), "market_id": market_id, "parts": list(contents), "version": VERSION})
    cid = cid_v1_raw(index)
    return Document(cid, {**contents, cid: index}, len(posts))


def _cut(posts: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Runs of posts that fit into a chunk each."""
    parts: list[list[dict[str, Any]]] = []
    room = 0
    for post in posts:
        size = len(canonical(post)) + 1
        if size > room:
            parts.append([])
            room = CHUNK_BYTES_MAX - FRAME_BYTES
        parts[-1].append(post)
        room -= size
    return parts


def _post(row: Row) -> dict[str, Any]:
    """A post for good: the text of a deleted one is left out."""
    is_deleted = row["deleted_ms"] is not None
    return {
        "author": address_text(row["address"]),
        "content": None if is_deleted else row["content"],
        "created_at": time_text_ms(row["created_ms"]),
        "deleted": is_deleted,
        "depth": row["depth"],
        "downvotes": row["downvotes"],
        "flag_count": row["flag_count"],
        "id": str(row["id"]),
        "parent_id": None if row["parent"] is None else str(row["parent"]),
        "updated_at": time_text_ms(row["updated_ms"]),
        "upvotes": row["upvotes"],
    }


# Records


def list_discussed(tx: Tx, after: int, limit: int) -> list[int]:
    """Keys of markets with posts, rising, from behind ``after``."""
    rows = tx.all("SELECT DISTINCT market FROM discussions WHERE market > ? ORDER BY market LIMIT ?", (after, limit))
    return [row["market"] for row in rows]


def find_newest(tx: Tx, market: int) -> Row | None:
    return tx.one("SELECT * FROM snapshots WHERE market = ? ORDER BY snapshot_date DESC LIMIT 1", (market,))


def add_snapshot(tx: Tx, market: int, document: Document, pins: Mapping[str, str]) -> None:
    """Record today's snapshot; ``pins`` are the pin ids by content id. Nothing happens if there is one of today."""
    tx.execute(
        "INSERT INTO snapshots (market, snapshot_date, cid, pin_id, discussions_count, pinned, created_ms)"
        " VALUES (?, ?, ?, ?, ?, 1, ?) ON CONFLICT (market, snapshot_date) DO NOTHING",
        (market, date_text(tx.now_ms), document.cid, canonical(dict(pins)).decode(), document.posts, tx.now_ms),
    )


def pins_of(row: Row) -> dict[str, str]:
    """Pin ids by content id."""
    return cast(dict[str, str], json.loads(row["pin_id"])) if row["pin_id"] else {}


def find_pins(tx: Tx, market: int, *, besides: int = 0) -> dict[str, str]:
    """All that is pinned for a market's snapshots, without what only the snapshot ``besides`` holds."""
    found: dict[str, str] = {}
    for row in tx.all("SELECT pin_id FROM snapshots WHERE market = ? AND pinned = 1 AND id <> ?", (market, besides)):
        found |= pins_of(row)
    return found


def list_expired(tx: Tx, before_ms: int, after: int, limit: int) -> list[Row]:
    """Snapshots made before ``before_ms`` that are still pinned, by rising id from behind ``after``."""
    return tx.all(
        "SELECT * FROM snapshots WHERE pinned = 1 AND created_ms < ? AND id > ? ORDER BY id LIMIT ?",
        (before_ms, after, limit),
    )


def set_unpinned(tx: Tx, snapshot_id: int) -> None:
    """The content id stays on record, the pins do not."""
    tx.execute("UPDATE snapshots SET pinned = 0, pin_id = NULL, unpinned_ms = ? WHERE id = ?", (tx.now_ms, snapshot_id))
