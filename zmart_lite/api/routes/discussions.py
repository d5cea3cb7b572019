"""Posts below markets (contract 2.8). Two families of paths do the same; they differ in how their answers are
wrapped.
"""

from dataclasses import dataclass
from typing import Any

from zmart_lite.api.contract import parsers
from zmart_lite.api.contract.endpoints import Endpoint, Level, Reply, Scoped
from zmart_lite.api.contract.naming import path_market
from zmart_lite.api.contract.pages import PageRequest, bare_page, page_fields, page_of
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import PageFields, Parser, field
from zmart_lite.api.openapi import examples
from zmart_lite.errors import Forbidden, NotFound
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.engine.paging import Listing
from zmart_lite.store.publishing import discussions
from zmart_lite.store.views import lookups, rows
from zmart_lite.store.views.rows import Json, MarketRef

CONTENT_LENGTH_MAX = 1_000
REASON_LENGTH_MAX = 200
POST_ID_MAX = 2**63 - 1
POST_ID_DIGITS = 19
VOTES = {"up": True, "down": False, "none": None}
POSTS = Scoped("posts")


def find_post_id(text: object) -> int | None:
    """The number behind a post's id; None for anything else."""
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= POST_ID_DIGITS:
        number = int(text)
        return number if 0 < number <= POST_ID_MAX else None
    return None


def _post_id(value: Any) -> int:
    found = find_post_id(value)
    if found is None:
        raise ValueError("must be the id of a post")
    return found


post_id_parser = Parser(_post_id, {"type": "string", "maxLength": POST_ID_DIGITS})


def path_post(request: Request) -> int:
    """The post of the path. Raises NotFound where that names nothing."""
    found = find_post_id(request.params["did"])
    if found is None:
        raise NotFound("There is no such post.")
    return found


# Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadQuery(PageFields):
    parent_id: int | None = field(post_id_parser, None, aliases=("parentId",), help="Pages the replies to this post.")


async def _read(request: Request, fields: ThreadQuery) -> tuple[PageRequest, Listing, list[Json], str]:
    ref = path_market(request)
    asked = page_of(request, "discussions", fields, ref)

    def run(tx: Tx) -> tuple[Listing, list[Json], str]:
        market = lookups.get_market(tx, ref)
        if fields.parent_id is not None and discussions.find_post(tx, fields.parent_id, market["id"]) is None:
            raise NotFound("There is no such post.")
        found = discussions.list_posts(tx, market["id"], fields.parent_id, asked.page)
        context = rows.read_context(tx, request.shared.rows)
        return found, discussions.threads(tx, found.rows, context), market["market_id"].hex()

    return asked, *await request.read(run)


async def read_wrapped(request: Request, fields: ThreadQuery) -> Json:
    asked, found, posts, market_id = await _read(request, fields)
    return {"discussions": posts, "comments": posts, "market_id": market_id, **page_fields(request, asked, found)}


async def read_bare(request: Request, fields: ThreadQuery) -> Reply:
    asked, found, posts, _ = await _read(request, fields)
    return bare_page(request, asked, found, posts)


# Posting


@dataclass(frozen=True, slots=True, kw_only=True)
class PostBody:
    content: str = field(parsers.plain_text(1, CONTENT_LENGTH_MAX, trim=True), example="I doubt it.")
    parent_id: int | None = field(post_id_parser, None, aliases=("parentId",))


@dataclass(frozen=True, slots=True, kw_only=True)
class PostAnywhereBody(PostBody):
    market_id: MarketRef = field(parsers.market_ref, aliases=("marketId",))


async def _post(request: Request, fields: PostBody, ref: MarketRef) -> tuple[Json, bool]:
    """(DiscussionRow, whether it is new)."""

    def run(tx: Tx) -> tuple[Json, bool]:
        market = lookups.get_market(tx, ref)
        posted = discussions.add_post(tx, market["id"], request.wallet, fields.content, fields.parent_id)
        context = rows.read_context(tx, request.shared.rows)
        if posted.is_new:
            return discussions.publish_post(tx, "created", posted.row, context), True
        return rows.discussion_row(posted.row, context), False

    return await request.write(run)


def _posted(shown: Json, is_new: bool) -> Reply:
    message = "Posted." if is_new else "This was posted already."
    return Reply({"success": True, "message": message, "discussion": shown, "comment": shown}, 201 if is_new else 200)


async def post_anywhere(request: Request, fields: PostAnywhereBody) -> Reply:
    return _posted(*await _post(request, fields, fields.market_id))


async def post_wrapped(request: Request, fields: PostBody) -> Reply:
    return _posted(*await _post(request, fields, path_market(request)))


async def post_bare(request: Request, fields: PostBody) -> Reply:
    shown, is_new = await _post(request, fields, path_market(request))
    return Reply(shown, 201 if is_new else 200)


# Votes, flags, deletion


def _market_key(tx: Tx, request: Request) -> int | None:
    """The market of the path, where there is one: a post of another one is not there."""
    return lookups.get_market(tx, path_market(request))["id"] if "id" in request.params else None


@dataclass(frozen=True, slots=True)
class VoteBody:
    vote: str = field(parsers.word(*VOTES))


async def vote(request: Request, fields: VoteBody) -> Json:
    post_id, up = path_post(request), VOTES[fields.vote]
    score = await request.write(
        lambda tx: discussions.vote_on_post(tx, post_id, _market_key(tx, request), request.wallet, up)
    )
    return {
        "success": True,
        "discussion_id": str(post_id),
        "upvotes": score.upvotes,
        "downvotes": score.downvotes,
        "score": score.upvotes - score.downvotes,
        "my_vote": fields.vote,
    }


@dataclass(frozen=True, slots=True)
class FlagBody:
    reason: str = field(parsers.plain_text(1, REASON_LENGTH_MAX), example="Advertisement")


async def flag(request: Request, fields: FlagBody) -> Json:
    post_id = path_post(request)
    count = await request.write(
        lambda tx: discussions.flag_post(tx, post_id, _market_key(tx, request), request.wallet, fields.reason)
    )
    return {
        "success": True,
        "discussion_id": str(post_id),
        "flag_count": count,
        "is_flagged": count >= request.parts.config.discussions.flags_needed,
    }


async def delete(request: Request, _: None) -> Json:
    post_id = path_post(request)

    def run(tx: Tx) -> Json:
        row = discussions.find_post(tx, post_id, _market_key(tx, request))
        if row is None:
            raise NotFound("There is no such post.")
        _require_author(request, row)
        row, was_there = discussions.delete_post(tx, row)
        context = rows.read_context(tx, request.shared.rows)
        if was_there:
            return discussions.publish_post(tx, "deleted", row, context)
        return rows.discussion_row(row, context)

    return {"success": True, "message": "Deleted.", "discussion": await request.write(run)}


def _require_author(request: Request, row: Row) -> None:
    """Raises Forbidden ``not_author``; an administrator with a session may delete every post."""
    identity = request.signed_in
    if row["wallet_address"] != identity.wallet and not (identity.is_admin and identity.method == "jwt"):
        raise Forbidden("Only the author deletes a post.", reason="not_author")


_POSTED = {
    "success": True,
    "message": "Posted.",
    "discussion": examples.DISCUSSION,
    "comment": examples.DISCUSSION,
}
_SCORE = {"success": True, "discussion_id": "12", "upvotes": 3, "downvotes": 1, "score": 2, "my_vote": "up"}
_FLAGGED = {"success": True, "discussion_id": "12", "flag_count": 1, "is_flagged": False}
_DELETED = {"success": True, "message": "Deleted.", "discussion": examples.DISCUSSION}
_THREAD = {
    "discussions": [examples.DISCUSSION],
    "comments": [examples.DISCUSSION],
    "market_id": examples.MARKET_ID,
    **examples.PAGE,
}
_READS = (
    ("/api/discussions/{market}", read_wrapped, _THREAD),
    ("/api/markets/{id}/discussions", read_bare, [examples.DISCUSSION]),
)
_WRITES = (
    ("POST", "/api/discussions", post_anywhere, "Post below a market", PostAnywhereBody, _POSTED),
    ("POST", "/api/discussions/{market}", post_wrapped, "Post below a market", PostBody, _POSTED),
    ("POST", "/api/markets/{id}/discussions", post_bare, "Post below a market", PostBody, examples.DISCUSSION),
)
_POST_PATHS = ("/api/discussions/{did}", "/api/markets/{id}/discussions/{did}")

ENDPOINTS = (
    *(
        Endpoint("GET", path, handler, "Posts below a market", fields=ThreadQuery, answer=answer, tag="discussions")
        for path, handler, answer in _READS
    ),
    *(
        Endpoint(
            method,
            path,
            handler,
            summary,
            level=Level.WALLET,
            fields=fields,
            answer=answer,
            status=201,
            also=((200, answer),),
            scoped=POSTS,
            tag="discussions",
        )
        for method, path, handler, summary, fields, answer in _WRITES
    ),
    *(
        Endpoint(
            "POST",
            f"{path}/{last}",
            handler,
            summary,
            level=Level.WALLET,
            fields=fields,
            answer=answer,
            tag="discussions",
        )
        for path in _POST_PATHS
        for last, handler, summary, fields, answer in (
            ("vote", vote, "Vote on a post", VoteBody, _SCORE),
            ("flag", flag, "Flag a post", FlagBody, _FLAGGED),
        )
    ),
    *(
        Endpoint(
            "DELETE",
            path,
            delete,
            "Delete a post",
            level=Level.WALLET,
            answer=_DELETED,
            refuses=("not_author",),
            tag="discussions",
        )
        for path in _POST_PATHS
    ),
)
