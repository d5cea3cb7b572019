"""Posts below markets: threads, votes and flags on posts, deletion.

A deleted post vanishes, or, while it has visible replies, stays with its place and without its text.
"""

from collections import defaultdict
from typing import NamedTuple, cast

from zmart_lite.errors import NotFound, ValidationFailed
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.engine.paging import Listing, Page, Query, list_page
from zmart_lite.store.state.markets import wallet_key
from zmart_lite.store.views.rows import (
    DISCUSSION_COLUMNS,
    DISCUSSION_JOINS,
    DISCUSSION_SELECT,
    Json,
    RowContext,
    discussion_row,
)

DEPTH_MAX = 4
REPLIES_SHOWN_MAX = 50
"""Replies shown below one post."""
REPLIES_SHOWN_TOTAL_MAX = 2_000
"""Replies in one answer, nearest levels first: ``reply_count`` tells of those left out."""
SAME_POST_MS = 3_600_000

_VISIBLE = "(d.deleted_ms IS NULL OR d.replies > 0)"
_POSTS = Query(
    "d.id",
    "discussions d",
    ("d.id",),
    f"SELECT d.id AS page_key, {DISCUSSION_COLUMNS} FROM discussions d{DISCUSSION_JOINS}",
)


# Reading


def list_posts(tx: Tx, market: int, parent: int | None, page: Page) -> Listing:
    """Visible posts of one level: the top one newest first, replies oldest first. Rows of rows.DISCUSSION_SELECT."""
    if parent is None:
        return list_page(tx, _POSTS, ["d.market = ?", "d.parent IS NULL", _VISIBLE], [market], page)
    query = _POSTS._replace(descending=False)
    return list_page(tx, query, ["d.market = ?", "d.parent = ?", _VISIBLE], [market, parent], page)


def threads(tx: Tx, posts: list[Row], context: RowContext) -> list[Json]:
    """DiscussionRows of these posts with what is shown of their replies."""
    levels = _levels_below(tx, [post["id"] for post in posts])
    shown: dict[int, list[Json]] = defaultdict(list)
    for level in reversed(levels):
        for row in level:
            shown[row["parent"]].append(discussion_row(row, context, shown.get(row["id"])))
    return [discussion_row(post, context, shown.get(post["id"])) for post in posts]


def _levels_below(tx: Tx, parents: list[int]) -> list[list[Row]]:
    levels: list[list[Row]] = []
    room = REPLIES_SHOWN_TOTAL_MAX
    while parents and room > 0:
        level = _replies(tx, parents, room)
        if not level:
            break
        levels.append(level)
        room -= len(level)
        parents = [row["id"] for row in level if row["replies"]]
    return levels


def _replies(tx: Tx, parents: list[int], limit: int) -> list[Row]:
    """The first visible replies to each of these posts, oldest first."""
    marks = ", ".join("?" * len(parents))
    return tx.all(
        f"SELECT {DISCUSSION_COLUMNS} FROM discussions above CROSS JOIN discussions d{DISCUSSION_JOINS}"
        f" WHERE above.id IN ({marks}) AND d.id IN (SELECT d.id FROM discussions d WHERE d.parent = above.id"
        f" AND {_VISIBLE} ORDER BY d.id LIMIT ?) ORDER BY d.id LIMIT ?",
        (*parents, REPLIES_SHOWN_MAX, limit),
    )


def find_post(tx: Tx, post_id: int, market: int | None = None) -> Row | None:
    """A row of rows.DISCUSSION_SELECT, also of a deleted post. ``market``: None where it belongs to another one."""
    row = tx.one(f"{DISCUSSION_SELECT} WHERE d.id = ?", (post_id,))
    return row if row is not None and market in (None, row["market"]) else None


DISPUTE_PREFIX = "Dispute: "
"""How a post begins that says why its author disputes an outcome; the program has no place for it."""
DISPUTE_POSTS_MAX = 20


def find_dispute_reason(tx: Tx, market: int, wallet: int) -> str | None:
    """What a wallet last said of why it disputes this market's outcome, among its newest posts."""
    posts = tx.all(
        "SELECT content FROM discussions WHERE wallet = ? AND market = ? AND deleted_ms IS NULL"
        f" ORDER BY created_ms DESC LIMIT {DISPUTE_POSTS_MAX}",
        (wallet, market),
    )
    found = (str(post["content"]) for post in posts if post["content"].startswith(DISPUTE_PREFIX))
    return next((content[len(DISPUTE_PREFIX) :] for content in found), None)


def _get_living(tx: Tx, post_id: int, market: int | None) -> Row:
    row = find_post(tx, post_id, market)
    if row is None or row["deleted_ms"] is not None:
        raise NotFound("There is no such post.")
    return row


# Writing


def publish_post(tx: Tx, action: str, row: Row, context: RowContext) -> Json:
    """Tell the feed that a post was ``created`` or ``deleted``; its DiscussionRow."""
    shown = discussion_row(row, context)
    same = ("market_id", "marketId", "author", "user", "user_wallet", "content", "text", "parentId", "parent_id")
    data = {"action": action, "id": shown["id"], "postId": shown["id"]}
    data |= {name: shown[name] for name in (*same, "created_at")}
    hidden = tx.value("SELECT hidden FROM markets WHERE id = ?", (row["market"],))
    tx.publish("discussion", {**data, "discussion": shown}, market_id=row["market_id"], listed=not hidden)
    return shown


class Posted(NamedTuple):
    """A stored post. ``is_new`` is False where the same one was there already."""

    row: Row
    is_new: bool


def add_post(tx: Tx, market: int, wallet: bytes, content: str, parent_id: int | None) -> Posted:
    """Store a post; the same wallet's same post within an hour is the one that exists.

    Raises ValidationFailed for a parent that does not exist, is deleted, of another market or too deep.
    """
    author = wallet_key(tx, wallet)
    depth = 0 if parent_id is None else _depth_below(tx, market, parent_id)
    known = tx.value(
        "SELECT id FROM discussions WHERE wallet = ? AND market = ? AND created_ms > ? AND deleted_ms IS NULL"
        " AND COALESCE(parent, 0) = ? AND content = ? ORDER BY created_ms DESC LIMIT 1",
        (author, market, tx.now_ms - SAME_POST_MS, parent_id or 0, content),
    )
    if known is not None:
        return Posted(cast(Row, find_post(tx, known)), False)
    post_id = tx.value(
        "INSERT INTO discussions (market, wallet, parent, depth, content, created_ms, updated_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (market, author, parent_id, depth, content, tx.now_ms, tx.now_ms),
    )
    if parent_id is not None:
        tx.execute("UPDATE discussions SET replies = replies + 1 WHERE id = ?", (parent_id,))
    return Posted(cast(Row, find_post(tx, post_id)), True)


def _depth_below(tx: Tx, market: int, parent_id: int) -> int:
    parent = find_post(tx, parent_id, market)
    if parent is None or parent["deleted_ms"] is not None:
        raise ValidationFailed([("parent_id", "must be a post of this market that is not deleted")])
    depth = cast(int, parent["depth"]) + 1
    if depth > DEPTH_MAX:
        raise ValidationFailed([("parent_id", f"must not lie deeper than {DEPTH_MAX - 1}: answer further up")])
    return depth


def delete_post(tx: Tx, row: Row) -> tuple[Row, bool]:
    """Take a post's text away: (the row, whether it was still there). A post without visible replies vanishes with
    it.
    """
    if row["deleted_ms"] is not None:
        return row, False
    tx.execute("UPDATE discussions SET deleted_ms = ?, updated_ms = ? WHERE id = ?", (tx.now_ms, tx.now_ms, row["id"]))
    _hide_from_parents(tx, row["parent"], row["replies"])
    return cast(Row, find_post(tx, row["id"])), True


def _hide_from_parents(tx: Tx, parent: int | None, replies: int) -> None:
    """A post that is deleted and has no visible replies is no visible reply itself, and so on upwards."""
    while parent is not None and replies == 0:
        above = tx.one(
            "UPDATE discussions SET replies = replies - 1 WHERE id = ? RETURNING parent, replies, deleted_ms", (parent,)
        )
        if above is None or above["deleted_ms"] is None:
            return
        parent, replies = above["parent"], above["replies"]


class Score(NamedTuple):
    """Votes on a post, and the caller's own: True = up, None = none."""

    upvotes: int
    downvotes: int
    own: bool | None


def vote_on_post(tx: Tx, post_id: int, market: int | None, wallet: bytes, up: bool | None) -> Score:
    """Set or (None) withdraw a wallet's vote on a post; the last call wins. Raises NotFound."""
    _get_living(tx, post_id, market)
    voter = wallet_key(tx, wallet)
    before = tx.value("DELETE FROM discussion_votes WHERE discussion = ? AND wallet = ? RETURNING up", (post_id, voter))
    if up is not None:
        tx.execute("INSERT INTO discussion_votes (discussion, wallet, up) VALUES (?, ?, ?)", (post_id, voter, int(up)))
    counted = tx.one(
        "UPDATE discussions SET upvotes = upvotes + ?, downvotes = downvotes + ? WHERE id = ?"
        " RETURNING upvotes, downvotes",
        ((up is True) - (before == 1), (up is False) - (before == 0), post_id),
    )
    found = cast(Row, counted)
    return Score(found["upvotes"], found["downvotes"], up)


def flag_post(tx: Tx, post_id: int, market: int | None, wallet: bytes, reason: str) -> int:
    """Flag a post, once per wallet; the number of flags. Raises NotFound."""
    _get_living(tx, post_id, market)
    added = tx.execute(
        "INSERT INTO discussion_flags (discussion, wallet, reason, created_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (discussion, wallet) DO NOTHING",
        (post_id, wallet_key(tx, wallet), reason, tx.now_ms),
    )
    if added:
        tx.execute("UPDATE discussions SET flag_count = flag_count + 1 WHERE id = ?", (post_id,))
    return cast(int, tx.value("SELECT flag_count FROM discussions WHERE id = ?", (post_id,)))
