"""Reads the push feed: the log of every message, in the order in which clients see it."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from zmart_lite.models import FeedMessage
from zmart_lite.store.engine.db import Row, Tx

PAGE_MAX = 1_000
COUNT_SCAN_OFFSETS_MAX = 500_000
"""Offsets that :func:`count_feed` looks at; farther back its answer is ``count_max``."""
PRUNE_ROWS_MAX = 5_000

_SCOPE_SQL = {
    "market": "market_id IN ({subjects})",
    "wallet": "wallet IN ({subjects})",
    "listed": "listed = 1",
    "all": "1 = 1",
}


class FeedFilter(NamedTuple):
    """Messages of these types: of certain markets or wallets, of all visible markets (``listed``), or ``all``."""

    scope: str
    types: tuple[str, ...]
    subjects: tuple[bytes, ...] = ()
    state_changes: bool = False


def feed_head(tx: Tx) -> int:
    """Offset of the newest message, 0 before the first. Pruning always leaves the newest."""
    return int(tx.value("SELECT MAX(feed_offset) FROM feed") or 0)


def oldest_offset(tx: Tx) -> int:
    """Offset of the oldest message that is kept; 1 before the first."""
    return int(tx.value("SELECT MIN(feed_offset) FROM feed") or 1)


def list_feed(
    tx: Tx, filters: Sequence[FeedFilter], *, after: int, until: int | None = None, limit: int
) -> list[FeedMessage]:
    """Messages that any of the filters selects, with after < offset <= until, oldest first, at most ``limit``."""
    where, params = _where(filters)
    bound = feed_head(tx) if until is None else until
    rows = tx.all(
        f"SELECT * FROM feed WHERE feed_offset > ? AND feed_offset <= ? AND ({where}) ORDER BY feed_offset LIMIT ?",
        (after, bound, *params, min(limit, PAGE_MAX)),
    )
    return [_message(row) for row in rows]


def list_newest(tx: Tx, filters: Sequence[FeedFilter], *, limit: int) -> list[FeedMessage]:
    """The newest ``limit`` messages that any of the filters selects, oldest first."""
    where, params = _where(filters)
    floor = feed_head(tx) - COUNT_SCAN_OFFSETS_MAX
    rows = tx.all(
        f"SELECT * FROM feed WHERE feed_offset > ? AND ({where}) ORDER BY feed_offset DESC LIMIT ?",
        (floor, *params, min(limit, PAGE_MAX)),
    )
    return [_message(row) for row in reversed(rows)]


def count_feed(tx: Tx, filters: Sequence[FeedFilter], *, after: int, count_max: int) -> int:
    """How many selected messages follow ``after``, counted up to ``count_max``."""
    if feed_head(tx) - after > COUNT_SCAN_OFFSETS_MAX:
        return count_max
    where, params = _where(filters)
    return int(
        tx.value(
            f"SELECT COUNT(*) FROM (SELECT 1 FROM feed WHERE feed_offset > ? AND ({where}) LIMIT ?) AS missed",
            (after, *params, count_max),
        )
    )


def offset_before(tx: Tx, since_ms: int) -> int:
    """The offset before the first message created at ``since_ms`` or later.

    Offsets have no gaps and their times grow, so the place is found by halving, without an index to keep. Where a clock
    was set back, it is one of the places between which the messages of that time lie.
    """
    low, high = oldest_offset(tx) - 1, feed_head(tx)
    while low < high:
        middle = (low + high + 1) // 2
        created_ms = tx.value("SELECT created_ms FROM feed WHERE feed_offset = ?", (middle,))
        low, high = (middle, high) if created_ms < since_ms else (low, middle - 1)
    return low


def prune_feed(tx: Tx, before_ms: int) -> int:
    """Delete the oldest messages, created before ``before_ms``, at most 5000 of them, never the newest; how many.

    From the front only, whatever a clock that was set back wrote into later ones: the feed has no gaps.
    """
    oldest = tx.all("SELECT feed_offset, created_ms FROM feed ORDER BY feed_offset LIMIT ?", (PRUNE_ROWS_MAX + 1,))
    old = itertools.takewhile(lambda row: row["created_ms"] < before_ms, oldest[:PRUNE_ROWS_MAX])
    offsets = [row["feed_offset"] for row in old if row["feed_offset"] != oldest[-1]["feed_offset"]]
    return tx.execute("DELETE FROM feed WHERE feed_offset <= ?", (offsets[-1],)) if offsets else 0


def _where(filters: Sequence[FeedFilter]) -> tuple[str, list[object]]:
    """One condition for all filters; nothing is selected without any."""
    conditions, params = [], list[object]()
    for item in filters:
        scope = _SCOPE_SQL[item.scope].format(subjects=_marks(len(item.subjects)))
        changes = " AND state_changed = 1" if item.state_changes else ""
        conditions.append(f"(type IN ({_marks(len(item.types))}) AND {scope}{changes})")
        params += [*item.types, *item.subjects]
    return " OR ".join(conditions) or "1 = 0", params


def _marks(count: int) -> str:
    return ", ".join("?" * count) or "NULL"


def _message(row: Row) -> FeedMessage:
    return FeedMessage(
        row["feed_offset"],
        row["type"],
        row["market_id"],
        row["wallet"],
        bool(row["listed"]),
        bool(row["state_changed"]),
        row["created_ms"],
        row["data"],
    )
