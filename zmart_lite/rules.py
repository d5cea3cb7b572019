"""The protocol's decisions as pure integer functions: pricing, fees, quotes, tallies, the state machine, deadlines.

Bit for bit what zmart-core computes: values are unsigned 64-bit, products and dividends 128-bit, every division
floors, and ``P`` = 10^9 stands for 1.0. The exponential is a Padé 2/2 approximant and the logarithm a three-term
series, with the surprises these have (see :func:`exp_fixed` and :func:`ln_fixed`); do not replace them by better
ones. Nothing here reads a clock or does I/O; a refusal of the program is :class:`~zmart_lite.errors.ProgramError`
with the IDL's error name.
"""

from typing import NamedTuple

from zmart_lite.errors import ProgramError
from zmart_lite.models import GlobalConfig, MarketAccount, MarketState, UserPosition

P = 10**9
U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1
BPS = 10_000
LN2 = 693_147_180
EXPONENT_MAX = 20 * P
B_PARAMETER_MIN = 100 * P
B_PARAMETER_TRADABLE_MAX = U64_MAX // 20
"""Above this the search for a share count overflows, so that every buy fails."""
SEARCH_TOLERANCE = 1_000_000
SEARCH_ITERATIONS_MAX = 50
TRADE_MIN_LAMPORTS = 10_000
TARGET_COST_MAX_LAMPORTS = U64_MAX // BPS
LIMIT_RAISES_MAX = 8
"""How often a spending limit that fails to cover its own purchase is raised before giving up."""
START_SHARES_DIVISOR = 1_000
MARKET_SPACE_BYTES = 488
MARKET_RENT_LAMPORTS = (128 + MARKET_SPACE_BYTES) * 6_960
WITHDRAWAL_RESERVE_LAMPORTS = 10_000
MARKET_LIFETIME_MAX_S = 10 * 365 * 86_400


def add(a: int, b: int) -> int:
    total = a + b
    if total > U64_MAX:
        raise ProgramError("OverflowError")
    return total


def sub(a: int, b: int) -> int:
    if a < b:
        raise ProgramError("UnderflowError")
    return a - b


def product(a: int, b: int) -> int:
    """``a * b`` as a plain (not fixed-point) checked u64 product."""
    if a * b > U64_MAX:
        raise ProgramError("OverflowError")
    return a * b


def mul_fixed(a: int, b: int) -> int:
    result = a * b // P
    if result > U64_MAX:
        raise ProgramError("OverflowError")
    return result


def div_fixed(a: int, b: int) -> int:
    if b == 0:
        raise ProgramError("DivisionByZero")
    result = a * P // b
    if result > U64_MAX:
        raise ProgramError("OverflowError")
    return result


def exp_fixed(x: int) -> int:
    """e^x by the program's Padé 2/2 approximant: good for small x, peaking near x = 3.464 and falling behind it.

    Raises ProgramError ``ExponentTooLarge`` above 20.0.
    """
    if x > EXPONENT_MAX:
        raise ProgramError("ExponentTooLarge")
    half = x // 2
    quadratic = mul_fixed(x, x) // 12
    return div_fixed(P + half + quadratic, P + quadratic - half)


def nexp_fixed(x: int) -> int:
    return div_fixed(P, exp_fixed(x))


def ln_fixed(x: int) -> int:
    """ln x as the program computes it: |ln x| below 1.0, and with a jump just below 2.0.

    Raises ProgramError ``InvalidInput`` for 0 and ``UnderflowError`` where the series and the shift cancel.
    """
    if x == 0:
        raise ProgramError("InvalidInput")
    if x == P:
        return 0
    shifts = 0
    while x >= 2 * P:
        x //= 2
        shifts += 1
    while x < P // 2:
        x *= 2
        shifts -= 1
    series = _ln_series(x)
    return add(series, shifts * LN2) if shifts >= 0 else sub(series, -shifts * LN2)


def _ln_series(x: int) -> int:
    if x >= P:
        y = div_fixed(x - P, x + P)
    else:
        inverse = div_fixed(P, x)
        y = div_fixed(inverse - P, inverse + P)
    y2 = mul_fixed(y, y)
    y3 = mul_fixed(y2, y)
    y5 = mul_fixed(y3, y2)
    return 2 * (y + y3 // 3 + y5 // 5)


def cost_of(shares_yes: int, shares_no: int, b_parameter: int) -> int:
    """The LMSR cost function C(q) in lamports. Raises ProgramError as the program does."""
    if b_parameter < B_PARAMETER_MIN:
        raise ProgramError("InvalidBParameter")
    x = div_fixed(shares_yes, b_parameter)
    y = div_fixed(shares_no, b_parameter)
    log_sum = add(max(x, y), ln_fixed(add(P, nexp_fixed(abs(x - y)))))
    return mul_fixed(b_parameter, log_sum)


def price_yes(shares_yes: int, shares_no: int, b_parameter: int) -> int:
    """The price of YES, 10^9 = 1.0; that of NO is the difference to 10^9. Stays within 66 987 297 … 933 012 702."""
    if b_parameter < B_PARAMETER_MIN:
        raise ProgramError("InvalidBParameter")
    if shares_yes >= shares_no:
        e = exp_fixed(div_fixed(shares_yes - shares_no, b_parameter))
        return div_fixed(e, e + P)
    e = exp_fixed(div_fixed(shares_no - shares_yes, b_parameter))
    return div_fixed(P, P + e)


def shown_price_yes(shares_yes: int, shares_no: int, b_parameter: int) -> int:
    """:func:`price_yes`, or 0.5 where the program has no price (b too small, a lead above 20 b)."""
    try:
        return price_yes(shares_yes, shares_no, b_parameter)
    except ProgramError:
        return P // 2


def _with_shares(shares_yes: int, shares_no: int, outcome: bool, shares: int) -> tuple[int, int]:
    return (add(shares_yes, shares), shares_no) if outcome else (shares_yes, add(shares_no, shares))


def shares_for_budget(shares_yes: int, shares_no: int, b_parameter: int, outcome: bool, budget: int) -> int:
    """The share count the program's bisection finds for ``budget`` lamports before fees."""
    start = cost_of(shares_yes, shares_no, b_parameter)
    low, high = 0, product(20, b_parameter)
    for _ in range(SEARCH_ITERATIONS_MAX):
        if high - low <= SEARCH_TOLERANCE:
            break
        middle = low + (high - low) // 2
        cost = sub(cost_of(*_with_shares(shares_yes, shares_no, outcome, middle), b_parameter), start)
        if cost < budget:
            low = middle + 1
        elif cost > budget:
            high = middle
        else:
            return middle
    return low


def buy(shares_yes: int, shares_no: int, b_parameter: int, outcome: bool, budget: int) -> tuple[int, int]:
    """What ``budget`` lamports before fees buy: (cost in lamports before fees, shares)."""
    shares = shares_for_budget(shares_yes, shares_no, b_parameter, outcome, budget)
    start = cost_of(shares_yes, shares_no, b_parameter)
    after = cost_of(*_with_shares(shares_yes, shares_no, outcome, shares), b_parameter)
    return sub(after, start), shares


def sell(shares_yes: int, shares_no: int, b_parameter: int, outcome: bool, shares: int) -> int:
    """Gross lamports that ``shares`` of a side are worth, before fees. More than the side holds:
    ``InsufficientShares``."""
    if shares > (shares_yes if outcome else shares_no):
        raise ProgramError("InsufficientShares")
    rest = (shares_yes - shares, shares_no) if outcome else (shares_yes, shares_no - shares)
    return sub(cost_of(shares_yes, shares_no, b_parameter), cost_of(*rest, b_parameter))


class FeeRates(NamedTuple):
    """Fee rates in bps."""

    protocol_bps: int
    resolver_bps: int
    lp_bps: int


class Fees(NamedTuple):
    """A fee in lamports and its three parts; ``lp`` takes the rounding remainder."""

    protocol: int
    resolver: int
    lp: int
    total: int


def fee_rates(config: GlobalConfig) -> FeeRates:
    return FeeRates(config.protocol_fee_bps, config.resolver_reward_bps, config.liquidity_provider_fee_bps)


def split_fees(amount: int, rates: FeeRates) -> Fees:
    """The fee on ``amount`` lamports. All rates zero: ProgramError ``DivisionByZero``, as on chain."""
    protocol_bps, resolver_bps, lp_bps = rates
    rate = protocol_bps + resolver_bps + lp_bps
    total = product(amount, rate) // BPS
    if rate == 0:
        raise ProgramError("DivisionByZero")
    if total * max(protocol_bps, resolver_bps) > U64_MAX:
        raise ProgramError("OverflowError")
    protocol, resolver = total * protocol_bps // rate, total * resolver_bps // rate
    return Fees(protocol, resolver, total - protocol - resolver, total)


def budget_of(target_cost: int) -> int:
    """What of ``target_cost`` the program spends on shares: a fixed 10/11, whatever the configured rates are."""
    return product(target_cost, BPS) // 11_000


class BuyQuote(NamedTuple):
    """A buy as the program would execute it now. Lamports; shares with 9 decimals; price 10^9 = 1.0."""

    target_cost: int
    cost: int
    fees: Fees
    total_cost: int
    shares: int
    new_price_yes: int


class SellQuote(NamedTuple):
    """A sale as the program would execute it now, leaving out what the accounts can pay."""

    shares: int
    gross: int
    fees: Fees
    proceeds: int
    new_price_yes: int


def quote_buy(
    shares_yes: int, shares_no: int, b_parameter: int, rates: FeeRates, outcome: bool, target_cost: int
) -> BuyQuote:
    """What ``buy_shares(outcome, target_cost)`` would do, or the ProgramError it would end in.

    A paused protocol, the market's state and the buyer's balance are left out.
    """
    if target_cost < TRADE_MIN_LAMPORTS:
        raise ProgramError("TradeTooSmall")
    cost, shares = buy(shares_yes, shares_no, b_parameter, outcome, budget_of(target_cost))
    fees = split_fees(cost, rates)
    total_cost = add(cost, fees.total)
    if total_cost > target_cost:
        raise ProgramError("SlippageExceeded")
    after = _with_shares(shares_yes, shares_no, outcome, shares)
    return BuyQuote(target_cost, cost, fees, total_cost, shares, price_yes(*after, b_parameter))


def quote_buy_shares(
    shares_yes: int, shares_no: int, b_parameter: int, rates: FeeRates, outcome: bool, shares: int
) -> BuyQuote:
    """The quote of the smallest ``target_cost`` that buys at least ``shares``; one lamport less does not.

    The program takes a spending limit and finds the share count itself, so the limit is bisected. Raises the
    ProgramError of the limit the search ends at if that fails for every limit, and ``InsufficientLiquidity`` if even
    the largest buys fewer.
    """
    low, high = TRADE_MIN_LAMPORTS, TARGET_COST_MAX_LAMPORTS
    # A share seldom costs more than one SOL, so the first limit tried halves the work.
    middle = min(max(2 * shares, low), high - 1)
    while low < high:
        if _buys_fewer(shares_yes, shares_no, b_parameter, outcome, budget_of(middle), shares):
            low = middle + 1
        else:
            high = middle
        middle = (low + high) // 2
    target_cost = _payable_limit(shares_yes, shares_no, b_parameter, rates, outcome, low)
    quote = quote_buy(shares_yes, shares_no, b_parameter, rates, outcome, target_cost)
    if quote.shares < shares:
        raise ProgramError("InsufficientLiquidity", "No spending limit buys that many shares.")
    return quote


def _buys_fewer(shares_yes: int, shares_no: int, b_parameter: int, outcome: bool, budget: int, shares: int) -> bool:
    """Whether a budget is too small for ``shares``. If it fails with anything but ``UnderflowError``, it is not.

    Small budgets end in ``UnderflowError`` where the cost falls before it rises (at the logarithm's jump on a
    balanced market, and on the trailing side of a large lead); larger ones get past. The other errors meet every
    budget or only large ones, whose search tries more shares than the exponential takes.
    """
    try:
        return buy(shares_yes, shares_no, b_parameter, outcome, budget)[1] < shares
    except ProgramError as error:
        return error.name == "UnderflowError"


def _payable_limit(
    shares_yes: int, shares_no: int, b_parameter: int, rates: FeeRates, outcome: bool, target_cost: int
) -> int:
    """``target_cost``, or the next one above it that covers what it buys.

    Where the program finds shares that cost a step more than the budget, a little more is enough. With fees above the
    10 % that the program sets aside, more spending only costs more: then the last limit tried is returned.
    """
    for _ in range(LIMIT_RAISES_MAX):
        cost, _shares = buy(shares_yes, shares_no, b_parameter, outcome, budget_of(target_cost))
        total_cost = add(cost, split_fees(cost, rates).total)
        if total_cost <= target_cost:
            break
        target_cost = total_cost
    return target_cost


def quote_sell(
    shares_yes: int, shares_no: int, b_parameter: int, rates: FeeRates, outcome: bool, shares: int
) -> SellQuote:
    """What ``sell_shares(outcome, shares, 0)`` would pay, or the ProgramError it would end in."""
    gross = sell(shares_yes, shares_no, b_parameter, outcome, shares)
    if gross < TRADE_MIN_LAMPORTS:
        raise ProgramError("TradeTooSmall")
    fees = split_fees(gross, rates)
    rest = (shares_yes - shares, shares_no) if outcome else (shares_yes, shares_no - shares)
    return SellQuote(shares, gross, fees, sub(gross, fees.total), price_yes(*rest, b_parameter))


def require_payable(quote: SellQuote, market: MarketAccount, lamports: int) -> None:
    """Raises the ProgramError of a sale that the market's account, of so many lamports, cannot pay out."""
    payout = quote.proceeds + quote.fees.protocol
    if market.current_liquidity < payout:
        raise ProgramError("InsufficientLiquidity")
    if lamports < payout:
        raise ProgramError("InsufficientFunds")
    if lamports - payout < MARKET_RENT_LAMPORTS:
        raise ProgramError("WouldBreakRentExemption")


def max_loss(b_parameter: int) -> int:
    return b_parameter * LN2 // P


def claim_amount(market: MarketAccount, position: UserPosition) -> int:
    """Lamports ``claim_winnings`` pays this position, 0 if nothing; not capped by what the account really holds."""
    if market.final_outcome is None:
        return position.total_invested
    return winning_share(
        position.shares_yes if market.final_outcome else position.shares_no,
        market.shares_yes if market.final_outcome else market.shares_no,
        market.current_liquidity,
    )


def winning_share(own_shares: int, all_shares: int, liquidity: int) -> int:
    """A winner's part of the nominal liquidity, in lamports, cut to 64 bits as the program cuts it."""
    return own_shares * liquidity // all_shares & U64_MAX if all_shares else 0


class Payouts(NamedTuple):
    """Lamports that ``claim_winnings`` would pay for some shares if the market were finalised as it is, by the outcome;
    and ``payable``, what its account can pay at all. A claim above ``payable`` is refused whole.
    """

    if_yes: int
    if_no: int
    payable: int


def payouts(market: MarketAccount, own_yes: int, own_no: int, payable: int) -> Payouts:
    """What ``own_yes`` and ``own_no`` shares would be paid (zmart-core 2.14).

    It counts nobody's earlier claim, which takes from ``payable`` only, nor the creator's withdrawal, which is possible
    from the first second after finalisation and leaves nothing.
    """
    return Payouts(
        winning_share(own_yes, market.shares_yes, market.current_liquidity),
        winning_share(own_no, market.shares_no, market.current_liquidity),
        payable,
    )


def after_buy(market: MarketAccount, outcome: bool, quote: BuyQuote) -> MarketAccount:
    """The account after a purchase, in the fields that payouts depend on."""
    shares_yes, shares_no = _with_shares(market.shares_yes, market.shares_no, outcome, quote.shares)
    return _after_trade(market, shares_yes, shares_no, quote.fees.resolver + quote.fees.lp, quote.fees)


def after_sale(market: MarketAccount, outcome: bool, quote: SellQuote) -> MarketAccount:
    """The account after a sale, in the fields that payouts depend on."""
    yes, no = (quote.shares, 0) if outcome else (0, quote.shares)
    paid = quote.proceeds + quote.fees.protocol
    return _after_trade(market, market.shares_yes - yes, market.shares_no - no, -paid, quote.fees)


def _after_trade(market: MarketAccount, shares_yes: int, shares_no: int, liquidity: int, fees: Fees) -> MarketAccount:
    return market._replace(
        shares_yes=shares_yes,
        shares_no=shares_no,
        current_liquidity=market.current_liquidity + liquidity,
        accumulated_resolver_fees=market.accumulated_resolver_fees + fees.resolver,
        accumulated_lp_fees=market.accumulated_lp_fees + fees.lp,
    )


def payable_from(lamports: int, resolver_fees: int) -> int:
    """What an account of so many lamports can pay in claims: all above its rent but what the resolver is still owed."""
    return max(0, lamports - MARKET_RENT_LAMPORTS - resolver_fees)


def payable_by_trades(
    shares_yes: int, shares_no: int, b_parameter: int, lp_fees: int, *, claimed: int, withdrawn_owing: int | None
) -> int:
    """:func:`payable_from` without looking at the account: what all its trades and claims have left in it.

    The costs of purchases less the worth of sales, both before fees, are the difference that shares make in the cost
    function, whatever way led there; with them lie the fees that stayed. ``claimed``: lamports of all claims so far.
    ``withdrawn_owing``: once the creator has withdrawn, the resolver's fees that were not paid by then. Lamports that
    somebody sent to the account besides are not counted.
    """
    if withdrawn_owing is not None:
        return max(0, WITHDRAWAL_RESERVE_LAMPORTS - withdrawn_owing)
    return max(0, _left_by_trades(shares_yes, shares_no, b_parameter) + lp_fees - claimed)


def _left_by_trades(shares_yes: int, shares_no: int, b_parameter: int) -> int:
    start = b_parameter // START_SHARES_DIVISOR
    if (shares_yes, shares_no) == (start, start):
        return 0
    try:
        return cost_of(shares_yes, shares_no, b_parameter) - cost_of(start, start, b_parameter)
    except ProgramError:
        # No trade leads to where there is no cost.
        return 0


def ratio_bps(yes: int, total: int) -> int:
    """floor(yes * 10000 / total); 0 without votes."""
    return yes * BPS // total if total else 0


def threshold_met(yes: int, no: int, threshold_bps: int, votes_min: int = 1) -> bool:
    """Whether ``yes`` of ``yes + no`` reaches the threshold with at least ``votes_min`` (never 0) votes."""
    total = yes + no
    return total >= max(votes_min, 1) and ratio_bps(yes, total) >= threshold_bps


def scale_to_u32(agree: int, disagree: int) -> tuple[int, int]:
    """Two counts whose sum fits u32 and on which the chain decides exactly as on the given weights.

    Weights that fit are returned unchanged. Otherwise both are scaled to a sum of 10 000 000 and the agreeing part
    rounded down, which leaves floor(agree·10000/sum) — the only thing the chain looks at — as it was:
    floor(floor(a·1000)/1000) is floor(a). Raises ValueError when there is no weight at all, since the chain refuses a
    sum of 0.
    """
    total = agree + disagree
    if total == 0:
        raise ValueError("no votes to scale")
    if total <= U32_MAX:
        return agree, disagree
    scaled_total = BPS * 1_000
    scaled_agree = agree * scaled_total // total
    return scaled_agree, scaled_total - scaled_agree


TRANSITIONS: dict[MarketState, frozenset[MarketState]] = {
    MarketState.PROPOSED: frozenset({MarketState.APPROVED, MarketState.CANCELLED}),
    MarketState.APPROVED: frozenset({MarketState.ACTIVE, MarketState.CANCELLED}),
    MarketState.ACTIVE: frozenset({MarketState.RESOLVING}),
    MarketState.RESOLVING: frozenset({MarketState.DISPUTED, MarketState.FINALIZED}),
    MarketState.DISPUTED: frozenset({MarketState.RESOLVING, MarketState.FINALIZED}),
    MarketState.FINALIZED: frozenset(),
    MarketState.CANCELLED: frozenset(),
}
"""Which state can follow which, by any instruction of the program."""

TRADING_STATES = frozenset({MarketState.ACTIVE})


def can_follow(old: MarketState, new: MarketState) -> bool:
    return new in TRANSITIONS[old]


def _leading_to(new: MarketState) -> tuple[MarketState, ...]:
    return tuple(old for old in MarketState if can_follow(old, new))


ACTION_STATES: dict[str, tuple[MarketState, ...]] = {
    "aggregate_proposal_votes": (MarketState.PROPOSED,),
    "approve_proposal": _leading_to(MarketState.APPROVED),
    "cancel_market": _leading_to(MarketState.CANCELLED),
    "activate_market": _leading_to(MarketState.ACTIVE),
    "resolve_market": (MarketState.ACTIVE,),
    "initiate_dispute": _leading_to(MarketState.DISPUTED),
    "finalize_market": _leading_to(MarketState.FINALIZED),
}
"""In which states a market may be for an instruction of somebody's choice. A dispute goes back to RESOLVING by the
counting of its votes only, never by resolving again.
"""


def dispute_deadline(resolution_proposed_at: int, dispute_period_s: int) -> int:
    """The unix second from which a resolution can no longer be disputed and may be finalised."""
    return resolution_proposed_at + dispute_period_s
