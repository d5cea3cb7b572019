"""Quotes of trades: what the program would do with the account as it stands (contract 2.1). Pure."""

from typing import Any, NamedTuple

from zmart_lite import rules
from zmart_lite.codec import Codec
from zmart_lite.errors import ProgramError
from zmart_lite.models import GlobalConfig, MarketAccount, MarketState
from zmart_lite.rules import BuyQuote, Fees, SellQuote
from zmart_lite.store.shown import outcome_name, units

Json = dict[str, Any]

NO_FEES = Fees(0, 0, 0, 0)


class Order(NamedTuple):
    """What somebody wants to trade: ``shares`` (9 decimals) or, for buying only, a ``budget`` (lamports)."""

    is_buy: bool
    outcome: bool
    shares: int | None
    budget: int | None


class Priced(NamedTuple):
    """An order against a market as of one slot: the quote, or the program's reason why it cannot be executed."""

    order: Order
    market: MarketAccount
    slot: int
    found: BuyQuote | SellQuote | None
    refusal: ProgramError | None


def price_order(order: Order, market: MarketAccount, config: GlobalConfig, slot: int) -> Priced:
    """Quote an order as the program would execute it now; never raises for what the program would refuse."""
    try:
        return Priced(order, market, slot, _quote(order, market, config), None)
    except ProgramError as refusal:
        return Priced(order, market, slot, None, refusal)


def _quote(order: Order, market: MarketAccount, config: GlobalConfig) -> BuyQuote | SellQuote:
    """In the order of the program's own checks; what only the trader's accounts decide is left out."""
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
    if market.current_liquidity < found.proceeds + found.fees.protocol:
        raise ProgramError("InsufficientLiquidity")
    return found


def least_budget(market: MarketAccount, config: GlobalConfig, outcome: bool) -> int | None:
    """The smallest ``target_cost`` with which a buy of this side works now; None if none does."""
    pool = (market.shares_yes, market.shares_no, market.b_parameter, rules.fee_rates(config), outcome)
    try:
        return rules.quote_buy_shares(*pool, 0).target_cost
    except ProgramError:
        return None


def quote_json(priced: Priced, config: GlobalConfig, codec: Codec, min_proceeds: int | None = None) -> Json:
    """Quote of the contract. ``min_proceeds`` (lamports): what the sale will insist on, the quoted net by default."""
    order, market, found = priced.order, priced.market, priced.found
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
        "slot": priced.slot,
    }
    if order.is_buy:
        return answer | _buy_fields(priced, config)
    return answer | _sell_fields(priced, min_proceeds)


def _both_prices(price_yes: int) -> Json:
    return {"priceYes": units(price_yes), "priceNo": units(rules.P - price_yes)}


def net_amount(found: BuyQuote | SellQuote | None) -> int:
    """Lamports that change hands for the trader: all that is charged, or what is received."""
    if found is None:
        return 0
    return found.total_cost if isinstance(found, BuyQuote) else found.proceeds


def _buy_fields(priced: Priced, config: GlobalConfig) -> Json:
    found = priced.found
    least = least_budget(priced.market, config, priced.order.outcome)
    amounts = (found.cost, found.total_cost, found.target_cost) if isinstance(found, BuyQuote) else (0, 0, 0)
    cost, total_cost, target_cost = amounts
    return {
        "cost": str(cost),
        "total_cost": str(total_cost),
        "target_cost": str(target_cost or priced.order.budget or 0),
        "min_budget": None if least is None else str(least),
    }


def _sell_fields(priced: Priced, min_proceeds: int | None) -> Json:
    found = priced.found
    gross, proceeds = (found.gross, found.proceeds) if isinstance(found, SellQuote) else (0, 0)
    least = proceeds if min_proceeds is None else min_proceeds
    return {"gross": str(gross), "proceeds": str(proceeds), "min_proceeds": str(least)}


def program_error_json(error: ProgramError, codec: Codec) -> Json:
    return {"name": error.name, "number": codec.error_code(error.name)}
