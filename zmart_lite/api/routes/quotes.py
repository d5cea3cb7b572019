"""Quotes of trades: what the program would do with the account as it stands (contract 2.1). Pure."""

from typing import Any, NamedTuple

from zmart_lite import rules
from zmart_lite.chain.error_texts import TEXTS
from zmart_lite.codec import Codec
from zmart_lite.errors import ProgramError
from zmart_lite.models import GlobalConfig, MarketAccount, MarketState, UserPosition
from zmart_lite.rules import BuyQuote, Fees, SellQuote
from zmart_lite.shown import exact_text, outcome_name, units
from zmart_lite.store.views.holdings import payout_fields

Json = dict[str, Any]

NO_FEES = Fees(0, 0, 0, 0)


class Order(NamedTuple):
    """What somebody wants to trade: ``shares`` (9 decimals) or, for buying only, a ``budget`` (lamports)."""

    is_buy: bool
    outcome: bool
    shares: int | None
    budget: int | None


class Pool(NamedTuple):
    """What an order meets, all of one slot. ``lamports``: the market account's balance. ``position``: the trader's, if
    one is asked for and exists.
    """

    slot: int
    market: MarketAccount
    lamports: int
    position: UserPosition | None


class Priced(NamedTuple):
    """An order against a market: the quote, or the program's reason why it cannot be executed."""

    order: Order
    pool: Pool
    found: BuyQuote | SellQuote | None
    refusal: ProgramError | None


def price_order(order: Order, pool: Pool, config: GlobalConfig) -> Priced:
    """Quote an order as the program would execute it now; never raises for what the program would refuse."""
    try:
        return Priced(order, pool, _quote(order, pool, config), None)
    except ProgramError as refusal:
        return Priced(order, pool, None, refusal)


def _quote(order: Order, within: Pool, config: GlobalConfig) -> BuyQuote | SellQuote:
    """In the order of the program's own checks; what only the trader's accounts decide is left out."""
    market = within.market
    if market.state is not MarketState.ACTIVE:
        raise ProgramError("InvalidMarketState")
    if config.is_paused:
        raise ProgramError("ProtocolPaused")
    pool = (market.shares_yes, market.shares_no, market.b_parameter, rules.fee_rates(config), order.outcome)
    if order.budget is not None:
        return rules.quote_buy(*pool, order.budget)
    assert order.shares is not None  # noqa: S101 - one of the two is given; for the type checker
    if order.is_buy:
        return rules.quote_buy_shares(*pool, order.shares)
    found = rules.quote_sell(*pool, order.shares)
    rules.require_payable(found, market, within.lamports)
    return found


def most_sellable(pool: Pool, config: GlobalConfig, outcome: bool) -> int:
    """The most shares of a side that a sale works with now, of those that the trader holds if a position is known; 0
    if none does.
    """
    market, position = pool.market, pool.position
    held = market.shares_yes if outcome else market.shares_no
    if position is not None:
        held = min(held, position.shares_yes if outcome else position.shares_no)
    low, high = 0, held
    while low < high:
        middle = (low + high + 1) // 2
        refusal = price_order(Order(False, outcome, middle, None), pool, config).refusal
        if refusal is None or refusal.name == "TradeTooSmall":
            low = middle
        else:
            high = middle - 1
    works = low and price_order(Order(False, outcome, low, None), pool, config).refusal is None
    return low if works else 0


def least_budget(market: MarketAccount, config: GlobalConfig, outcome: bool) -> int | None:
    """The smallest ``target_cost`` with which a buy of this side works now; None if none does."""
    pool = (market.shares_yes, market.shares_no, market.b_parameter, rules.fee_rates(config), outcome)
    try:
        return rules.quote_buy_shares(*pool, 0).target_cost
    except ProgramError:
        return None


def quote_json(priced: Priced, config: GlobalConfig, codec: Codec, min_proceeds: int | None = None) -> Json:
    """Quote of the contract. ``min_proceeds`` (lamports): what the sale will insist on, the quoted net by default."""
    order, market, found = priced.order, priced.pool.market, priced.found
    before = rules.shown_price_yes(market.shares_yes, market.shares_no, market.b_parameter)
    after = before if found is None else found.new_price_yes
    shares = (order.shares or 0) if found is None else found.shares
    fees = NO_FEES if found is None else found.fees
    answer: Json = {
        "market_id": market.market_id.hex(),
        "side": "buy" if order.is_buy else "sell",
        "outcome": outcome_name(order.outcome),
        "outcome_bool": order.outcome,
        "shares": str(shares),
        "price_before": _both_prices(before),
        "price_after": _both_prices(after),
        "new_price_yes": str(after),
        "avg_price": net_amount(found) / shares if shares else 0,
        "priceImpact": units(abs(after - before)),
        "fees": {name: str(amount) for name, amount in fees._asdict().items()},
        "executable": found is not None,
        "error": None if priced.refusal is None else program_error_json(priced.refusal, codec),
        "slot": priced.pool.slot,
    } | _payout_fields(priced)
    if order.is_buy:
        return answer | _buy_fields(priced, config)
    return answer | _sell_fields(priced, config, min_proceeds)


def _payout_fields(priced: Priced) -> Json:
    """What the trader's whole position would be paid after the trade, and what the market could pay then."""
    order, found, position = priced.order, priced.found, priced.pool.position
    market, lamports = _after(priced)
    shares = 0 if found is None else found.shares if order.is_buy else -found.shares
    yes, no = (shares, 0) if order.outcome else (0, shares)
    held_yes, held_no = (position.shares_yes, position.shares_no) if position else (0, 0)
    payable = rules.payable_from(lamports, market.accumulated_resolver_fees)
    paid = rules.payouts(market, max(0, held_yes + yes), max(0, held_no + no), payable)
    return payout_fields(*paid) | {"warnings": _warnings(priced, paid)}


def _after(priced: Priced) -> tuple[MarketAccount, int]:
    """The market's account after the trade, and its balance."""
    pool, found = priced.pool, priced.found
    if found is None:
        return pool.market, pool.lamports
    if isinstance(found, BuyQuote):
        after = rules.after_buy(pool.market, priced.order.outcome, found)
        return after, pool.lamports + found.total_cost - found.fees.protocol
    after = rules.after_sale(pool.market, priced.order.outcome, found)
    return after, pool.lamports - found.proceeds - found.fees.protocol


def _warnings(priced: Priced, paid: rules.Payouts) -> list[str]:
    """What a buyer should know before he pays."""
    found, position = priced.found, priced.pool.position
    if not isinstance(found, BuyQuote):
        return []
    payout = paid.if_yes if priced.order.outcome else paid.if_no
    cost = found.total_cost + (position.total_invested if position else 0)
    told = {
        "payout_below_cost": payout < cost,
        "payout_above_payable": payout > paid.payable,
        "creator_may_withdraw": True,
    }
    return [name for name, holds in told.items() if holds]


def _both_prices(price_yes: int) -> Json:
    return {"priceYes": units(price_yes), "priceNo": units(rules.P - price_yes)}


def net_amount(found: BuyQuote | SellQuote | None) -> int:
    """Lamports that change hands for the trader: all that is charged, or what is received."""
    if found is None:
        return 0
    return found.total_cost if isinstance(found, BuyQuote) else found.proceeds


def _buy_fields(priced: Priced, config: GlobalConfig) -> Json:
    found = priced.found
    least = least_budget(priced.pool.market, config, priced.order.outcome)
    amounts = (found.cost, found.total_cost, found.target_cost) if isinstance(found, BuyQuote) else (0, 0, 0)
    cost, total_cost, target_cost = amounts
    return {
        "cost": str(cost),
        "total_cost": str(total_cost),
        "target_cost": str(target_cost or priced.order.budget or 0),
        "min_budget": None if least is None else str(least),
        "refusal": None if priced.refusal is None else _purchase_refusal(priced, least),
    }


def _purchase_refusal(priced: Priced, least: int | None) -> str:
    budget, refusal = priced.order.budget, priced.refusal
    assert refusal is not None  # noqa: S101 - for the type checker
    if least is not None and budget is not None and budget < least:
        return f"That is too little for this market as it stands: {exact_text(least)} SOL is the least that works now."
    if refusal.name == "ExponentTooLarge":
        return "The prices of this market are too far apart for so large a trade. Try a smaller one, or the other side."
    return _words(refusal)


def _sale_refusal(refusal: ProgramError, most: int) -> str:
    if refusal.name in ("InsufficientLiquidity", "InsufficientFunds", "WouldBreakRentExemption"):
        way_out = f"You can sell up to {exact_text(most)} shares now" if most else "Nothing can be sold just now"
        return f"The market cannot pay that much out at this time. {way_out}, or wait for the outcome and claim."
    return _words(refusal)


def _words(refusal: ProgramError) -> str:
    text = TEXTS.get(refusal.name, "the program would not take it")
    return f"{text[0].upper()}{text[1:]}."


def _sell_fields(priced: Priced, config: GlobalConfig, min_proceeds: int | None) -> Json:
    found = priced.found
    gross, proceeds = (found.gross, found.proceeds) if isinstance(found, SellQuote) else (0, 0)
    least = proceeds if min_proceeds is None else min_proceeds
    most = most_sellable(priced.pool, config, priced.order.outcome)
    return {
        "gross": str(gross),
        "proceeds": str(proceeds),
        "min_proceeds": str(least),
        "max_shares": str(most),
        "refusal": None if priced.refusal is None else _sale_refusal(priced.refusal, most),
    }


def program_error_json(error: ProgramError, codec: Codec) -> Json:
    return {"name": error.name, "number": codec.error_code(error.name)}
