"""zmart-core's instructions on a market that trades: buy and sell."""

from zmart_lite import rules
from zmart_lite.localnet.anchor import Call, Constraint, Creation, Instruction, add_u32
from zmart_lite.models import MarketAccount, MarketState, SharesBought, SharesSold, UserPosition
from zmart_lite.rules import Fees

IS_ACTIVE = Constraint("market", "InvalidMarketState", lambda call: call.market.state == MarketState.ACTIVE)

_IS_FEE_WALLET = Constraint(
    "protocol_fee_wallet",
    "Unauthorized",
    lambda call: call.config.protocol_fee_wallet == call.key("protocol_fee_wallet"),
)
_IS_HOLDER = Constraint("position", "Unauthorized", lambda call: call.position.user == call.key("user"))
_RESERVED_BYTES = 64


def buy_shares(call: Call) -> SharesBought:
    """Spend up to ``target_cost`` lamports, fees included. Zero shares at zero cost is a success."""
    market, outcome, target_cost = call.market, call.args["outcome"], call.args["target_cost"]
    call.require(not call.config.is_paused, "ProtocolPaused")
    call.require(target_cost >= rules.TRADE_MIN_LAMPORTS, "TradeTooSmall")
    budget = rules.budget_of(target_cost)
    cost, shares = rules.buy(market.shares_yes, market.shares_no, market.b_parameter, outcome, budget)
    fees = rules.split_fees(cost, rules.fee_rates(call.config))
    total_cost = rules.add(cost, fees.total)
    call.require(total_cost <= target_cost, "SlippageExceeded")
    call.transfer_by_system("user", "market", total_cost - fees.protocol)
    call.transfer_by_system("user", "protocol_fee_wallet", fees.protocol)
    call.market = market = _bought(market, outcome, shares, total_cost, fees)
    call.position = _enlarged(_position_of_buyer(call), outcome, shares, total_cost, call.now)
    price = rules.price_yes(market.shares_yes, market.shares_no, market.b_parameter)
    return SharesBought(market.market_id, call.key("user"), outcome, shares, total_cost, price, call.now)


def _bought(market: MarketAccount, outcome: bool, shares: int, total_cost: int, fees: Fees) -> MarketAccount:
    """``current_liquidity`` gains only the fees that stay, although the whole cost now lies on the account."""
    kept = rules.add(rules.add(market.current_liquidity, fees.resolver), fees.lp)
    return market._replace(
        shares_yes=rules.add(market.shares_yes, shares if outcome else 0),
        shares_no=rules.add(market.shares_no, 0 if outcome else shares),
        total_volume=rules.add(market.total_volume, total_cost),
        current_liquidity=kept,
        accumulated_resolver_fees=rules.add(market.accumulated_resolver_fees, fees.resolver),
        accumulated_lp_fees=rules.add(market.accumulated_lp_fees, fees.lp),
    )


def _position_of_buyer(call: Call) -> UserPosition:
    position, market, user = call.find_position(), call.key("market"), call.key("user")
    if position is None:
        return UserPosition(market, user, 0, 0, 0, 0, 0, False, 0, bytes(_RESERVED_BYTES), call.bump)
    if position.trades_count == 0:
        return position._replace(
            market=market, user=user, shares_yes=0, shares_no=0, total_invested=0, has_claimed=False, bump=call.bump
        )
    call.require(position.user == user, "Unauthorized")
    call.require(position.market == market, "InvalidMarketId")
    return position


def _enlarged(position: UserPosition, outcome: bool, shares: int, total_cost: int, now: int) -> UserPosition:
    return position._replace(
        shares_yes=rules.add(position.shares_yes, shares if outcome else 0),
        shares_no=rules.add(position.shares_no, 0 if outcome else shares),
        total_invested=rules.add(position.total_invested, total_cost),
        trades_count=add_u32(position.trades_count, 1),
        last_trade_at=now,
    )


def sell_shares(call: Call) -> SharesSold:
    """Sell for at least ``min_proceeds`` lamports, net of fees."""
    market, outcome, shares = call.market, call.args["outcome"], call.args["shares_to_sell"]
    call.require(not call.config.is_paused, "ProtocolPaused")
    held = call.position.shares_yes if outcome else call.position.shares_no
    call.require(held >= shares, "InsufficientShares")
    gross = rules.sell(market.shares_yes, market.shares_no, market.b_parameter, outcome, shares)
    call.require(gross >= rules.TRADE_MIN_LAMPORTS, "TradeTooSmall")
    fees = rules.split_fees(gross, rules.fee_rates(call.config))
    net = rules.sub(gross, fees.total)
    call.require(net >= call.args["min_proceeds"], "SlippageExceeded")
    payout = rules.add(net, fees.protocol)
    call.require(market.current_liquidity >= payout, "InsufficientLiquidity")
    call.market = market = _sold(market, outcome, shares, gross, payout, fees)
    call.position = _reduced(call.position, outcome, shares, call.now)
    call.require_unlocked()
    _pay_out(call, "user", net)
    _pay_out(call, "protocol_fee_wallet", fees.protocol)
    price = rules.price_yes(market.shares_yes, market.shares_no, market.b_parameter)
    return SharesSold(market.market_id, call.key("user"), outcome, shares, net, price, call.now)


def _pay_out(call: Call, target: str, lamports: int) -> None:
    """The original asks the System program to debit the market, which did not sign and is not the System program's."""
    if call.strict:
        call.require_payable(lamports)
        call.transfer_by_system("market", target, lamports)
    else:
        call.pay_from_market(target, lamports)


def _sold(market: MarketAccount, outcome: bool, shares: int, gross: int, payout: int, fees: Fees) -> MarketAccount:
    return market._replace(
        shares_yes=rules.sub(market.shares_yes, shares if outcome else 0),
        shares_no=rules.sub(market.shares_no, 0 if outcome else shares),
        total_volume=rules.add(market.total_volume, gross),
        current_liquidity=rules.sub(market.current_liquidity, payout),
        accumulated_resolver_fees=rules.add(market.accumulated_resolver_fees, fees.resolver),
        accumulated_lp_fees=rules.add(market.accumulated_lp_fees, fees.lp),
    )


def _reduced(position: UserPosition, outcome: bool, shares: int, now: int) -> UserPosition:
    return position._replace(
        shares_yes=rules.sub(position.shares_yes, shares if outcome else 0),
        shares_no=rules.sub(position.shares_no, 0 if outcome else shares),
        trades_count=add_u32(position.trades_count, 1),
        last_trade_at=now,
    )


INSTRUCTIONS = {
    "buy_shares": Instruction(
        buy_shares,
        creation=Creation("position", payer="user", if_needed=True),
        constraints=(IS_ACTIVE, _IS_FEE_WALLET),
    ),
    "sell_shares": Instruction(sell_shares, constraints=(IS_ACTIVE, _IS_HOLDER, _IS_FEE_WALLET)),
}
