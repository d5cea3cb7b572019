"""Votes on proposals and disputes: casting, tallies, progress (contract section 2.7)."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from zmart_lite.api.contract.endpoints import Endpoint, Handler, Level, Reply, Scoped
from zmart_lite.api.contract.naming import path_market
from zmart_lite.api.contract.parsers import boolean, find_market_ref, market_ref, wallet, word, words
from zmart_lite.api.contract.refusals import BUILDS
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import field
from zmart_lite.api.openapi import action_examples
from zmart_lite.api.routes import onchain
from zmart_lite.chain import instructions
from zmart_lite.chain.program_errors import ACCOUNT_IN_USE
from zmart_lite.errors import Conflict
from zmart_lite.models import VoteType
from zmart_lite.shown import address_text
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.publishing.ballots import Ballot, Cast
from zmart_lite.store.state import people, votes
from zmart_lite.store.views import lookups, rows
from zmart_lite.store.views.rows import Json, MarketRef

PROPOSAL_WORDS = {
    "true": True, "like": True, "approve": True, "yes": True,
    "false": False, "dislike": False, "reject": False, "no": False,
}  # fmt: skip
DISPUTE_WORDS = {
    "true": True, "support": True, "agree": True, "yes": True,
    "false": False, "reject": False, "disagree": False, "no": False,
}  # fmt: skip
MARKET_NAMES = ("marketId", "proposal_id", "proposalId", "marketPubkey", "market_pubkey")
USER_NAMES = ("user_wallet", "walletAddress", "publicKey")


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteFields:
    """What both kinds of vote take besides the vote itself."""

    market_id: MarketRef | None = field(market_ref, None, aliases=MARKET_NAMES, help="The market, unless in the path.")
    user: bytes | None = field(wallet, None, aliases=USER_NAMES, help="If given, it must be the signed-in wallet.")
    on_chain: bool = field(boolean, False, help="Answer with a transaction that casts the vote on chain instead.")
    compute_unit_price: int | None = field(onchain.unit_price, None, help="Micro-lamports per compute unit.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalVote(VoteFields):
    vote: bool = field(words(PROPOSAL_WORDS), aliases=("vote_choice", "choice", "approve"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeVote(VoteFields):
    """``true`` says: the proposed outcome is wrong."""

    vote: bool = field(words(DISPUTE_WORDS), aliases=("vote_choice", "choice", "supportDispute", "support_dispute"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedProposalVote(ProposalVote):
    """The vote of a path without a market."""

    market_id: MarketRef = field(market_ref, aliases=MARKET_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedDisputeVote(DisputeVote):
    """The vote of a path without a market."""

    market_id: MarketRef = field(market_ref, aliases=MARKET_NAMES)


# Casting


async def vote(kind: VoteType, request: Request, fields: Any) -> Reply:
    """Cast a vote through the node, or build the transaction that casts it on chain."""
    ref = path_market(request) if request.params else fields.market_id
    if fields.on_chain:
        return await _vote_on_chain(kind, request, fields, ref)

    done = await request.shared.ballots.cast(Ballot(ref, request.wallet, kind, fields.vote, fields.user))
    return Reply(_cast_answer(done), 201)


def _cast_answer(done: Cast) -> Json:
    row, counts = done.row, done.tally
    message = "Vote recorded."
    return {
        "success": True,
        "message": message,
        "vote_id": row["vote_id"],
        "vote_count": {"likes": counts.likes, "dislikes": counts.dislikes, "total": counts.total},
        "vote": row,
        "data": [row],
        "count": 1,
        "metadata": {
            "message": message,
            "market_id": row["market_id"],
            "vote_type": row["vote_type"],
            "user_wallet": row["user_wallet"],
        },
    }


async def _vote_on_chain(kind: VoteType, request: Request, fields: Any, ref: MarketRef) -> Reply:
    def check(tx: Tx) -> bytes:
        market = lookups.get_market(tx, ref)
        votes.require_own(request.wallet, fields.user)
        _require_open(tx, market, request.wallet, kind)
        return bytes(market["market_id"])

    market_id = await request.read(check)
    submit = instructions.submit_proposal_vote if kind is VoteType.PROPOSAL else instructions.submit_dispute_vote
    instruction = submit(request.parts.codec, market_id, request.wallet, fields.vote)
    try:
        built = await onchain.build(request.parts, instruction, request.wallet, fields.compute_unit_price)
    except Conflict as error:
        # The record of an earlier vote stands where this one would be made.
        if error.details["program_error"]["name"] == ACCOUNT_IN_USE:
            raise votes.already_voted() from error
        raise
    name = f"submit_{kind.name.lower()}_vote"
    return Reply(onchain.action_answer(name, market_id, "Sign and send this transaction to vote on chain.", built))


def _require_open(tx: Tx, market: Row, wallet: bytes, kind: VoteType) -> None:
    """Raises as add_vote does, for a vote on chain; one through the node does not stand in its way."""
    key = people.find_wallet_key(tx, wallet)
    if kind is VoteType.DISPUTE:
        votes.require_weight(tx, market["id"], key, kind)
    votes.require_open(market, kind)
    known = None if key is None else votes.find_vote(tx, market["id"], key, kind)
    if known is not None and known["source"] == "chain":
        raise votes.already_voted()


def _attempts_key(kind: VoteType, request: Request) -> str:
    """Attempts are counted per market and kind, whichever way the market was named."""
    text: object = next(iter(request.params.values()), None)
    if text is None:
        text = next(filter(None, map(request.body.get, ("market_id", *MARKET_NAMES))), None)
    ref = find_market_ref(text)
    if ref is None:
        return kind.name
    address = ref.value if ref.column == "address" else request.parts.codec.market_address(ref.value)
    return f"{kind.name}:{address_text(address)}"


# Reading


def _tallies(tx: Tx, request: Request, ref: MarketRef) -> tuple[str, dict[VoteType, Json]]:
    market = lookups.get_market(tx, ref)
    context = rows.read_context(tx, request.shared.rows)
    found = {kind: rows.tally(votes.find_tally(tx, market["id"], kind), kind, context) for kind in VoteType}
    return market["market_id"].hex(), found


async def both_tallies(request: Request, _: object) -> object:
    ref = path_market(request)
    market_id, found = await request.read(lambda tx: _tallies(tx, request, ref))
    return {
        "market_id": market_id,
        "proposal_votes": found[VoteType.PROPOSAL],
        "dispute_votes": found[VoteType.DISPUTE],
    }


async def one_tally(kind: VoteType, request: Request, _: object) -> object:
    ref = path_market(request)
    market_id, found = await request.read(lambda tx: _tallies(tx, request, ref))
    names = ("likes", "dislikes", "agrees", "disagrees", "total")
    return {
        "success": True,
        "marketId": market_id,
        "market_id": market_id,
        "counts": {name: found[kind][name] for name in names},
        "data": found[kind],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressFields:
    type: str | None = field(word("proposal", "dispute"), None, help="By the market's state if not given.")


async def progress(request: Request, fields: ProgressFields) -> object:
    ref, feed = path_market(request), request.parts.feed()
    chain_now = feed.chain_now()

    def run(tx: Tx) -> Json:
        market = lookups.get_market(tx, ref)
        kind = VoteType[fields.type.upper()] if fields.type else _current_kind(market)
        tally, context = votes.find_tally(tx, market["id"], kind), rows.read_context(tx, request.shared.rows)
        return rows.progress(market, tally, kind, context, chain_now, feed.next_aggregation_ms())

    return await request.read(run)


def _current_kind(market: Row) -> VoteType:
    """The vote that is open, or else the last there was."""
    return VoteType.DISPUTE if market["dispute_initiated_at"] else VoteType.PROPOSAL


# Routes


def _vote_endpoints(kind: VoteType, fields: type[Any], named: type[Any], own_path: str) -> list[Endpoint]:
    word = kind.name.lower()
    handler: Handler = partial(vote, kind)
    scoped = Scoped("votes", partial(_attempts_key, kind))
    paths = {f"/api/votes/{word}": named, f"/api/votes/{word}/{{market}}": fields, own_path: fields}
    return [
        Endpoint(
            "POST",
            path,
            handler,
            f"Vote on a {word}.",
            level=Level.WALLET,
            fields=accepted,
            answer=action_examples.VOTED,
            status=201,
            also=((200, action_examples.ACTION),),
            refuses=(
                "wallet_mismatch",
                *(("no_position",) if kind is VoteType.DISPUTE else ()),
                "wrong_state",
                "already_voted",
                *BUILDS,
            ),
            tag="votes",
            scoped=scoped,
        )
        for path, accepted in paths.items()
    ]


def _tally_endpoint(kind: VoteType) -> Endpoint:
    word = kind.name.lower()
    return Endpoint(
        "GET",
        f"/api/votes/{word}/{{market}}",
        partial(one_tally, kind),
        f"Tally of a market's {word} votes.",
        answer=action_examples.KIND_TALLY,
        tag="votes",
    )


ENDPOINTS = [
    *_vote_endpoints(VoteType.PROPOSAL, ProposalVote, NamedProposalVote, "/api/markets/{id}/vote"),
    *_vote_endpoints(VoteType.DISPUTE, DisputeVote, NamedDisputeVote, "/api/markets/{id}/dispute/vote"),
    _tally_endpoint(VoteType.PROPOSAL),
    _tally_endpoint(VoteType.DISPUTE),
    Endpoint(
        "GET",
        "/api/votes/{market}",
        both_tallies,
        "Both tallies of a market.",
        answer=action_examples.BOTH_TALLIES,
        tag="votes",
    ),
    *(
        Endpoint(
            "GET",
            path,
            progress,
            "How a market's vote stands.",
            fields=ProgressFields,
            answer=action_examples.PROGRESS,
            tag="votes",
        )
        for path in ("/api/votes/{market}/progress", "/api/markets/{id}/voting")
    ),
]
