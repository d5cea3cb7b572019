"""Trading: quotes equal to what the program does, and unsigned buys and sales (contract section 2.5)."""

from dataclasses import dataclass
from typing import Any

from zmart_lite import rules
from zmart_lite.api.contract.endpoints import Endpoint, Level, Reply
from zmart_lite.api.contract.naming import path_market
from zmart_lite.api.contract.pages import page_fields, page_of
from zmart_lite.api.contract.parsers import integer, market_ref, outcome, u64, wallet, word
from zmart_lite.api.contract.refusals import BUILDS, READS_CHAIN
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import PageFields, Problems, field, page_limit
from zmart_lite.api.openapi import action_examples
from zmart_lite.api.openapi.examples import PAGE, TRADE
from zmart_lite.api.routes import onchain
from zmart_lite.api.routes.onchain import Json, OnChain
from zmart_lite.api.routes.quotes import Order, Priced, net_amount, price_order, quote_json
from zmart_lite.chain import instructions
from zmart_lite.errors import Conflict
from zmart_lite.models import GlobalConfig, MarketState
from zmart_lite.rules import BuyQuote, SellQuote
from zmart_lite.shown import exact_text, outcome_name, time_text_ms
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.engine.paging import Listing
from zmart_lite.store.views import lists, lookups, rows
from zmart_lite.store.views.rows import MarketRef

SHARES_BOUGHT_MIN = rules.SEARCH_TOLERANCE
"""The program's search finds share counts to this precision, so fewer cannot be asked for."""
SLIPPAGE_BPS_MAX = 5_000
SLIPPAGE_BPS_DEFAULT = 100
PRIVILEGE_ESCALATION = "PrivilegeEscalation"
"""How a sale ends in builds of the program that cannot pay it out."""
BUDGET_NAMES = ("target_cost", "amount")
SPENT = "Lamports to spend at most, fees included."

budget = u64(rules.TRADE_MIN_LAMPORTS, rules.TARGET_COST_MAX_LAMPORTS)
bought_shares = u64(SHARES_BOUGHT_MIN)
sold_shares = u64(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeFields:
    """What buying and selling take both."""

    market_id: MarketRef = field(market_ref, aliases=("marketId",))
    outcome: bool = field(outcome)
    compute_unit_price: int | None = field(onchain.unit_price, None, help="Micro-lamports per compute unit.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyFields(TradeFields):
    budget: int | None = field(budget, None, aliases=BUDGET_NAMES, help=SPENT, example="1000000000")
    min_shares: int | None = field(u64(), None, help="With budget: fewer quoted shares are refused.")
    shares: int | None = field(bought_shares, None, help="Shares (9 decimals) to buy at least, instead of a budget.")
    max_cost: int | None = field(u64(), None, help="With shares: a higher spending limit is refused.")

    def check(self) -> Problems:
        if (self.budget is None) == (self.shares is None):
            yield "budget", "give either budget or shares"
        if self.min_shares is not None and self.budget is None:
            yield "min_shares", "belongs to budget"
        if self.max_cost is not None and self.shares is None:
            yield "max_cost", "belongs to shares"


@dataclass(frozen=True, slots=True, kw_only=True)
class SellFields(TradeFields):
    shares: int = field(sold_shares, help="Shares with 9 decimals.", example="500000000")
    min_proceeds: int | None = field(
        u64(), None, aliases=("min_payout",), help="Net lamports to insist on; else slippage_bps decides."
    )
    slippage_bps: int = field(integer(0, SLIPPAGE_BPS_MAX), SLIPPAGE_BPS_DEFAULT)


# Building


async def _market_to_trade(request: Request, ref: MarketRef) -> bytes:
    """The market's id. Raises NotFound, Conflict ``wrong_state``."""
    market = await request.read(lambda tx: lookups.get_market(tx, ref))
    state = MarketState(market["state"])
    if state is not MarketState.ACTIVE:
        raise Conflict(f"The market is {state.name}; trading needs it to be ACTIVE.", reason="wrong_state")
    return bytes(market["market_id"])


async def buy(request: Request, fields: BuyFields) -> Reply:
    parts = request.parts
    market_id = await _market_to_trade(request, fields.market_id)
    found = await onchain.read_market(parts, market_id, request.wallet)
    order = Order(True, fields.outcome, fields.shares, fields.budget)
    priced = price_order(order, found.pool, found.config)
    quote = onchain.require_executable(priced, parts.codec)
    assert isinstance(quote, BuyQuote)  # noqa: S101 - for the type checker
    if fields.min_shares is not None and quote.shares < fields.min_shares:
        raise _slippage(f"This budget buys {quote.shares} shares now, fewer than min_shares.")
    if fields.max_cost is not None and quote.target_cost > fields.max_cost:
        raise _slippage(f"These shares need a spending limit of {quote.target_cost} lamports, more than max_cost.")
    instruction = instructions.buy_shares(
        parts.codec, found.config, market_id, request.wallet, fields.outcome, quote.target_cost
    )
    built = await onchain.build(parts, instruction, request.wallet, fields.compute_unit_price)
    shown = quote_json(priced, found.config, parts.codec)
    told = f"buy {_shares(quote.shares, fields)} for {exact_text(quote.total_cost)} SOL, fees included"
    return _answer(market_id, told, built, shown)


async def sell(request: Request, fields: SellFields) -> Reply:
    parts = request.parts
    market_id = await _market_to_trade(request, fields.market_id)
    found = await onchain.read_market(parts, market_id, request.wallet)
    _require_shares(found, fields)
    priced = price_order(Order(False, fields.outcome, fields.shares, None), found.pool, found.config)
    quote = onchain.require_executable(priced, parts.codec)
    assert isinstance(quote, SellQuote)  # noqa: S101 - for the type checker
    least = fields.min_proceeds
    if least is None:
        least = quote.proceeds * (rules.BPS - fields.slippage_bps) // rules.BPS
    if quote.proceeds < least:
        raise _slippage(f"These shares bring {quote.proceeds} lamports now, less than min_proceeds.")
    instruction = instructions.sell_shares(
        parts.codec, found.config, market_id, request.wallet, fields.outcome, fields.shares, least
    )
    built = await _build_sale(request, instruction, fields)
    shown = quote_json(priced, found.config, parts.codec, least)
    told = f"sell {_shares(fields.shares, fields)} for {exact_text(quote.proceeds)} SOL, fees deducted"
    return _answer(market_id, told, built, shown)


def _require_shares(found: OnChain, fields: SellFields) -> None:
    position = found.position
    held = 0 if position is None else position.shares_yes if fields.outcome else position.shares_no
    if held < fields.shares:
        raise Conflict(f"This wallet holds {held} of these shares.", reason="insufficient_shares")


async def _build_sale(request: Request, instruction: Any, fields: SellFields) -> Json:
    """Raises Conflict ``selling_unavailable`` where the deployed program cannot pay sales out."""
    try:
        built = await onchain.build(request.parts, instruction, request.wallet, fields.compute_unit_price)
    except Conflict as error:
        if error.details["program_error"]["name"] != PRIVILEGE_ESCALATION:
            raise
        request.shared.selling.available = False
        raise Conflict(
            "The deployed program cannot pay sales out.", reason="selling_unavailable", details=error.details
        ) from error
    request.shared.selling.available = True
    return built


def _slippage(message: str) -> Conflict:
    return Conflict(message, reason="slippage_exceeded")


def _shares(count: int, fields: TradeFields) -> str:
    return f"{exact_text(count)} {outcome_name(fields.outcome)} shares"


def _answer(market_id: bytes, told: str, built: Json, quote: Json) -> Reply:
    message = f"Sign and send this transaction to {told}."
    return Reply(onchain.action_answer(built["instruction"], market_id, message, built, quote=quote))


# Quotes


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteFields:
    side: str = field(word("buy", "sell"))
    outcome: bool = field(outcome)
    shares: int | None = field(sold_shares, None, example="1000000000")
    budget: int | None = field(budget, None, aliases=BUDGET_NAMES, help="For buying: lamports, fees included.")
    wallet: bytes | None = field(
        wallet, None, help="Payouts are those of this wallet's whole position after the trade."
    )

    def check(self) -> Problems:
        if (self.budget is None) == (self.shares is None):
            yield "shares", "give either shares or budget"
        elif self.side == "sell" and self.budget is not None:
            yield "budget", "belongs to buying"
        elif self.side == "buy" and self.shares is not None and self.shares < SHARES_BOUGHT_MIN:
            yield "shares", f"must be at least {SHARES_BOUGHT_MIN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateFields(QuoteFields):
    market_id: MarketRef = field(market_ref, aliases=("marketId",))
    side: str = field(word("buy", "sell"), aliases=("trade_type", "tradeType"))


async def _quote(request: Request, ref: MarketRef, fields: QuoteFields) -> tuple[Priced, GlobalConfig]:
    market_id = await request.read(lambda tx: bytes(lookups.get_market(tx, ref)["market_id"]))
    found = await onchain.read_market(request.parts, market_id, fields.wallet)
    order = Order(fields.side == "buy", fields.outcome, fields.shares, fields.budget)
    return price_order(order, found.pool, found.config), found.config


async def show_quote(request: Request, fields: QuoteFields) -> object:
    priced, config = await _quote(request, path_market(request), fields)
    return quote_json(priced, config, request.parts.codec)


async def estimate(request: Request, fields: EstimateFields) -> object:
    priced, config = await _quote(request, fields.market_id, fields)
    quote, amount = quote_json(priced, config, request.parts.codec), net_amount(priced.found)
    shares = 0 if priced.found is None else priced.found.shares
    return quote | {
        "marketId": quote["market_id"],
        "tradeType": quote["side"],
        "estimatedCost": str(amount),
        "pricePerShare": str(amount * rules.P // shares if shares else 0),
        "newPriceYes": quote["price_after"]["priceYes"],
        "newPriceNo": quote["price_after"]["priceNo"],
        "timestamp": time_text_ms(request.parts.now_ms()),
    }


# History


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFields(PageFields):
    limit: int = page_limit(20)
    market_id: MarketRef | None = field(market_ref, None, aliases=("marketId",))


async def history(request: Request, fields: HistoryFields) -> object:
    """The caller's own trades, newest first."""
    asked = page_of(request, "trade-history", fields, request.wallet)

    def run(tx: Tx) -> Listing:
        market = None if fields.market_id is None else lookups.get_market(tx, fields.market_id)["id"]
        return lists.list_trades(tx, asked.page, market=market, wallet=request.wallet)

    found = await request.read(run)
    return {"trades": [rows.trade_row(row) for row in found.rows], **page_fields(request, asked, found)}


ENDPOINTS = [
    Endpoint(
        "POST",
        "/api/trades/buy",
        buy,
        "Get the transaction that buys shares.",
        level=Level.WALLET,
        fields=BuyFields,
        answer=action_examples.BUY,
        refuses=("wrong_state", "protocol_paused", "slippage_exceeded", *BUILDS),
        tag="trades",
    ),
    Endpoint(
        "POST",
        "/api/trades/sell",
        sell,
        "Get the transaction that sells shares.",
        level=Level.WALLET,
        fields=SellFields,
        answer=action_examples.SELL,
        refuses=(
            "wrong_state",
            "protocol_paused",
            "slippage_exceeded",
            "insufficient_shares",
            "selling_unavailable",
            *BUILDS,
        ),
        tag="trades",
    ),
    Endpoint(
        "GET",
        "/api/trades/estimate",
        estimate,
        "What a trade would cost or bring now.",
        fields=EstimateFields,
        answer=action_examples.ESTIMATE,
        also=((200, action_examples.SELL_ESTIMATE),),
        refuses=READS_CHAIN,
        tag="trades",
    ),
    Endpoint(
        "GET",
        "/api/trades/history",
        history,
        "The caller's own trades.",
        level=Level.WALLET,
        fields=HistoryFields,
        answer={"trades": [TRADE], **PAGE},
        tag="trades",
    ),
    Endpoint(
        "GET",
        "/api/markets/{id}/quote",
        show_quote,
        "What a trade would cost or bring now.",
        fields=QuoteFields,
        answer=action_examples.BUY_QUOTE,
        also=((200, action_examples.SELL_QUOTE),),
        refuses=READS_CHAIN,
        tag="trades",
    ),
]
