"""Solana Actions (Blinks): a market is traded and voted on from any client that unfolds its link.

By the public specification of Solana Actions, version 2.4. Every transaction is simulated before it is handed out.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from zmart_lite import rules
from zmart_lite.api.contract.endpoints import Caching, Endpoint, Reply
from zmart_lite.api.contract.naming import path_market
from zmart_lite.api.contract.parsers import wallet
from zmart_lite.api.contract.refusals import BUILDS
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import field
from zmart_lite.api.routes import onchain
from zmart_lite.api.routes.previews import base_url, describe
from zmart_lite.api.routes.quotes import Order, price_order
from zmart_lite.chain import instructions
from zmart_lite.errors import Conflict, ValidationFailed
from zmart_lite.models import MarketState, VoteType
from zmart_lite.rules import BuyQuote
from zmart_lite.shown import exact_text, optional_address, outcome_name
from zmart_lite.store.views import lookups, rows
from zmart_lite.store.views.rows import Json

VERSION = "2.4"
CLUSTERS = {
    "mainnet": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
    "devnet": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
    "testnet": "4uhcVJyU9pJkvQyS88uRDiswHXSGkY3z",
}
"""The first 32 characters of the genesis hash, as CAIP-2 has it."""
CAIP_CHARS = 32
AMOUNTS_SOL = ("0.1", "0.5", "1")
PREFIX = "/api/actions/markets"
CHOICES = {
    VoteType.PROPOSAL: {"approve": ("Approve", True), "reject": ("Reject", False)},
    VoteType.DISPUTE: {"wrong": ("The outcome is wrong", True), "right": ("The outcome is right", False)},
}
"""By the word in the link: what is on the button, and the vote of the program."""
KIND_OF_STATE = {MarketState.PROPOSED: VoteType.PROPOSAL, MarketState.DISPUTED: VoteType.DISPUTE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    account: bytes = field(wallet, help="The wallet that will sign.")


def _reply(request: Request, body: Json) -> Reply:
    cluster = request.parts.config.chain.cluster
    genesis = CLUSTERS.get(cluster) or (optional_address(request.parts.rpc.genesis_hash) or "")[:CAIP_CHARS]
    headers = (("X-Action-Version", VERSION), ("X-Blockchain-Ids", f"solana:{genesis or cluster}"))
    return Reply(body, headers=headers, caching=Caching.NO_STORE)


async def rules_of_links(request: Request, _: object) -> Reply:
    """Which links of this node stand for which actions."""
    found = [
        {"pathPattern": "/markets/*", "apiPath": f"{PREFIX}/*"},
        {"pathPattern": f"{PREFIX}/**", "apiPath": f"{PREFIX}/**"},
    ]
    return _reply(request, {"rules": found})


# What is offered


async def offer(request: Request, _: object) -> Reply:
    """What can be done with a market in its state: buy, vote, or nothing just now."""
    market = await _market(request)
    return _reply(request, _offered(request, market))


async def offer_purchase(request: Request, _: object) -> Reply:
    market = await _market(request)
    return _reply(request, _card(request, market, "Buy", _purchases(market), opened=market["tradable"]))


async def offer_vote(request: Request, _: object) -> Reply:
    market = await _market(request)
    links = _votes(market)
    return _reply(request, _card(request, market, "Vote", links, opened=bool(links)))


async def _market(request: Request) -> Json:
    ref = path_market(request)
    return await request.read(
        lambda tx: rows.market_row(lookups.get_whole_market(tx, ref), rows.read_context(tx, request.shared.rows))
    )


def _offered(request: Request, market: Json) -> Json:
    votes = _votes(market)
    if votes:
        return _card(request, market, "Vote", votes, opened=True)
    return _card(request, market, "Buy", _purchases(market), opened=market["tradable"])


def _card(request: Request, market: Json, label: str, links: list[Json], *, opened: bool) -> Json:
    return {
        "type": "action",
        "icon": f"{base_url(request)}/api/markets/{market['market_id']}/picture",
        "title": market["title"],
        "description": describe(market),
        "label": label if opened else f"{market['state'].capitalize()}: nothing to do now",
        "disabled": not opened,
        "links": {"actions": links if opened else []},
    }


def _purchases(market: Json) -> list[Json]:
    path = f"{PREFIX}/{market['market_id']}/buy"
    fixed = [
        _link(f"{path}?outcome={outcome.lower()}&amount={amount}", f"{outcome} {amount} SOL")
        for outcome in ("YES", "NO")
        for amount in AMOUNTS_SOL
    ]
    parameters = [
        {"type": "number", "name": "amount", "label": "Amount in SOL", "required": True, "min": 0.00001},
        {
            "type": "radio",
            "name": "outcome",
            "label": "Outcome",
            "required": True,
            "options": [{"label": "YES", "value": "yes", "selected": True}, {"label": "NO", "value": "no"}],
        },
    ]
    own = _link(f"{path}?outcome={{outcome}}&amount={{amount}}", "Buy") | {"parameters": parameters}
    return [*fixed, own]


def _votes(market: Json) -> list[Json]:
    kind = KIND_OF_STATE.get(MarketState[market["state"]])
    if kind is None:
        return []
    path = f"{PREFIX}/{market['market_id']}/vote"
    return [_link(f"{path}?vote={word}", label) for word, (label, _) in CHOICES[kind].items()]


def _link(href: str, label: str) -> Json:
    return {"type": "transaction", "href": href, "label": label}


# What is done


async def buy(request: Request, fields: Account) -> Reply:
    """The transaction that buys for the amount in the link, with what follows once it has landed."""
    outcome, budget = _outcome(request), _budget(request)
    market = await _market(request)
    market_id = bytes.fromhex(market["market_id"])
    if not market["tradable"]:
        raise Conflict("This market cannot be traded now.", reason="wrong_state")
    found = await onchain.read_market(request.parts, market_id, fields.account)
    priced = price_order(Order(True, outcome, None, budget), found.pool, found.config)
    quote = onchain.require_executable(priced, request.parts.codec)
    assert isinstance(quote, BuyQuote)  # noqa: S101 - for the type checker
    instruction = instructions.buy_shares(
        request.parts.codec, found.config, market_id, fields.account, outcome, quote.target_cost
    )
    built = await onchain.build(request.parts, instruction, fields.account, None)
    told = f"{exact_text(quote.shares)} {outcome_name(outcome)} shares for {exact_text(quote.total_cost)} SOL"
    return _reply(request, _transaction(request, market, built, f"Buy {told}.", f"You bought {told}."))


async def vote(request: Request, fields: Account) -> Reply:
    """The transaction that casts the vote in the link on chain."""
    market = await _market(request)
    kind = KIND_OF_STATE.get(MarketState[market["state"]])
    if kind is None:
        raise Conflict("This market is not voted on now.", reason="wrong_state")
    word = request.query.get("vote", "")
    if word not in CHOICES[kind]:
        raise ValidationFailed([("vote", f"must be one of {', '.join(CHOICES[kind])}")])
    label, value = CHOICES[kind][word]
    submit = instructions.submit_proposal_vote if kind is VoteType.PROPOSAL else instructions.submit_dispute_vote
    instruction = submit(request.parts.codec, bytes.fromhex(market["market_id"]), fields.account, value)
    built = await onchain.build(request.parts, instruction, fields.account, None)
    return _reply(request, _transaction(request, market, built, f"Vote: {label}.", f"You voted: {label}."))


def _transaction(request: Request, market: Json, built: Json, message: str, done: str) -> Json:
    after: Json = {
        "type": "completed",
        "icon": f"{base_url(request)}/api/markets/{market['market_id']}/picture",
        "title": market["title"],
        "description": done,
        "label": "Done",
    }
    following = {"next": {"type": "inline", "action": after}}
    return {"type": "transaction", "transaction": built["transaction"], "message": message, "links": following}


def _outcome(request: Request) -> bool:
    text = request.query.get("outcome", "").lower()
    if text not in ("yes", "no"):
        raise ValidationFailed([("outcome", "must be yes or no")])
    return text == "yes"


def _budget(request: Request) -> int:
    """The amount of the link, which is in SOL, in lamports."""
    try:
        lamports = Decimal(request.query.get("amount", "")) * rules.P
        fits = rules.TRADE_MIN_LAMPORTS <= lamports <= rules.TARGET_COST_MAX_LAMPORTS
    except ArithmeticError as error:
        raise ValidationFailed([("amount", "must be a number of SOL, such as 0.5")]) from error
    if not fits:
        least, most = exact_text(rules.TRADE_MIN_LAMPORTS), exact_text(rules.TARGET_COST_MAX_LAMPORTS)
        raise ValidationFailed([("amount", f"must be between {least} and {most} SOL")])
    return int(lamports)


_CARD: Json = {
    "type": "action",
    "icon": "https://zmart.example/api/markets/01/picture",
    "title": "Will it rain?",
    "description": "YES 50 %, NO 50 %.",
    "label": "Buy",
    "disabled": False,
    "links": {"actions": [{"type": "transaction", "href": f"{PREFIX}/01/buy?outcome=yes&amount=1", "label": "YES"}]},
}
_TRANSACTION: Json = {
    "type": "transaction",
    "transaction": "AQAA",
    "message": "Buy 1 YES share for 0.5 SOL.",
    "links": {
        "next": {
            "type": "inline",
            "action": {
                "type": "completed",
                "icon": "https://zmart.example/api/markets/01/picture",
                "title": "Will it rain?",
                "description": "You bought 1 YES share for 0.5 SOL.",
                "label": "Done",
            },
        }
    },
}
_RULES = {"rules": [{"pathPattern": "/markets/*", "apiPath": f"{PREFIX}/*"}]}


def _get(path: str, handler: Any, summary: str, answer: Any) -> Endpoint:
    return Endpoint("GET", path, handler, summary, answer=answer, tag="actions", caching=Caching.NO_STORE)


def _post(path: str, handler: Any, summary: str) -> Endpoint:
    refuses = ("wrong_state", "protocol_paused", *BUILDS)
    return Endpoint("POST", path, handler, summary, fields=Account, answer=_TRANSACTION, refuses=refuses, tag="actions")


ENDPOINTS = (
    _get("/actions.json", rules_of_links, "Which links are Solana Actions", _RULES),
    _get(f"{PREFIX}/{{id}}", offer, "What can be done with a market, as a Solana Action", _CARD),
    _get(f"{PREFIX}/{{id}}/buy", offer_purchase, "Buying, as a Solana Action", _CARD),
    _get(f"{PREFIX}/{{id}}/vote", offer_vote, "Voting, as a Solana Action", _CARD),
    _post(f"{PREFIX}/{{id}}/buy", buy, "The transaction that buys; amount in SOL and outcome are in the query"),
    _post(f"{PREFIX}/{{id}}/vote", vote, "The transaction that votes on chain; vote is in the query"),
)
