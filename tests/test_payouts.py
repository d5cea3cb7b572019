"""What positions would be paid equals what ``claim_winnings`` pays on the devnet, and what markets can pay equals what
lies in their accounts, whatever was traded and claimed before.
"""

from copy import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.localnet.program_harness import (
    ALICE,
    ARGS,
    BOB,
    CREATOR,
    EVE,
    LIQUIDITY,
    RESOLVER,
    B,
    Devnet,
    P,
    market_in,
)
from zmart_lite import rules
from zmart_lite.errors import ProgramError
from zmart_lite.models import MarketAccount, MarketState

TRADERS = (ALICE, BOB, EVE)
TRADES = st.lists(
    st.tuples(st.sampled_from(TRADERS), st.booleans(), st.integers(0, 100), st.integers(5, 11), st.booleans()),
    min_size=1,
    max_size=10,
)


def trade(devnet: Devnet, user: bytes, outcome: bool, percent: int, exponent: int, buys: bool) -> None:
    """A purchase, or a sale of some percent of what the wallet holds; the program may refuse either."""
    if buys or not devnet.lamports(devnet.position_address(user)):
        devnet.call("buy_shares", {"outcome": outcome, "target_cost": (percent + 1) * 10**exponent}, user=user)
        return
    held = devnet.position(user)
    shares = (held.shares_yes if outcome else held.shares_no) * percent // 100
    devnet.call("sell_shares", {"outcome": outcome, "shares_to_sell": shares, "min_proceeds": 0}, user=user)


def finalized(devnet: Devnet, outcome: bool) -> Devnet:
    """The same devnet, on a copy, with the market finalised as it is."""
    ended = copy(devnet)
    ended.accounts = {key: copy(account) for key, account in devnet.accounts.items()}
    ended.now += 3_600
    ended.do("resolve_market", ARGS["resolve_market"] | {"proposed_outcome": outcome})
    ended.now += ended.config.dispute_period
    ended.do("finalize_market", ARGS["finalize_market"])
    return ended


def payable(devnet: Devnet, claimed: int = 0) -> int:
    """What the node says that the market can pay; also what its account says."""
    market = devnet.market
    withdrawn = market.state is MarketState.FINALIZED and not market.current_liquidity
    told = rules.payable_by_trades(
        market.shares_yes,
        market.shares_no,
        market.b_parameter,
        market.accumulated_lp_fees,
        claimed=claimed,
        withdrawn_owing=market.accumulated_resolver_fees if withdrawn else None,
    )
    lamports = devnet.lamports(devnet.market_address)
    assert told == rules.payable_from(lamports, market.accumulated_resolver_fees)
    return told


def payouts_of(devnet: Devnet, user: bytes) -> rules.Payouts:
    held = devnet.position(user)
    return rules.payouts(devnet.market, held.shares_yes, held.shares_no, payable(devnet))


@settings(max_examples=40, deadline=None)
@given(
    trades=TRADES,
    liquidity=st.sampled_from([1, P, LIQUIDITY, 10**5 * P]),
    b_parameter=st.sampled_from([100 * P, B, 10**5 * P]),
    outcome=st.booleans(),
)
def test_payouts_are_what_claiming_pays(
    trades: list[tuple[bytes, bool, int, int, bool]], liquidity: int, b_parameter: int, outcome: bool
) -> None:
    devnet = market_in(MarketState.ACTIVE, initial_liquidity=liquidity, b_parameter=b_parameter)
    for each in trades:
        trade(devnet, *each)
    holders = [user for user in TRADERS if devnet.lamports(devnet.position_address(user))]
    for user in holders:
        expected = payouts_of(devnet, user)
        amount = expected.if_yes if outcome else expected.if_no
        ended = finalized(devnet, outcome)
        before = ended.lamports(user)
        refused = ended.call("claim_winnings", user=user).error
        assert (refused is None) == (0 < amount <= expected.payable), (amount, expected, refused)
        assert ended.lamports(user) - before == (0 if refused else amount)
    ended, claimed = finalized(devnet, outcome), 0
    for user in holders:
        ended.call("claim_winnings", user=user)
        claimed += ended.position(user).claimed_amount
        payable(ended, claimed)
    ended.call("withdraw_liquidity")
    payable(ended, claimed)


@settings(max_examples=40, deadline=None)
@given(
    trades=TRADES,
    last=st.tuples(st.sampled_from(TRADERS), st.booleans(), st.integers(0, 100), st.integers(5, 11), st.booleans()),
    liquidity=st.sampled_from([1, P, LIQUIDITY]),
)
def test_a_quote_tells_the_account_after_the_trade(
    trades: list[tuple[bytes, bool, int, int, bool]], last: tuple[bytes, bool, int, int, bool], liquidity: int
) -> None:
    devnet = market_in(MarketState.ACTIVE, initial_liquidity=liquidity)
    for each in trades:
        trade(devnet, *each)
    user, outcome, percent, exponent, buys = last
    market, rates = devnet.market, rules.fee_rates(devnet.config)
    pool = (market.shares_yes, market.shares_no, market.b_parameter, rates, outcome)
    expected: MarketAccount | None = None
    try:
        if buys or not devnet.lamports(devnet.position_address(user)):
            quote = rules.quote_buy(*pool, (percent + 1) * 10**exponent)
            expected = rules.after_buy(market, outcome, quote)
        else:
            held = devnet.position(user)
            sold = rules.quote_sell(*pool, (held.shares_yes if outcome else held.shares_no) * percent // 100)
            rules.require_payable(sold, market, devnet.lamports(devnet.market_address))
            expected = rules.after_sale(market, outcome, sold)
    except ProgramError:
        pass
    trade(devnet, *last)
    told = devnet.market._replace(total_volume=market.total_volume)
    assert told == (market if expected is None else expected)


def test_a_winner_may_get_less_than_was_paid_and_the_creator_the_rest() -> None:
    """The case that no screen told of: 20 SOL on YES won and were paid a seventh."""
    devnet = market_in(MarketState.ACTIVE, initial_liquidity=P, b_parameter=100 * P)
    devnet.do("buy_shares", {"outcome": True, "target_cost": 20 * P}, user=ALICE)
    devnet.do("buy_shares", {"outcome": False, "target_cost": 10 * P}, user=BOB)
    told = payouts_of(devnet, ALICE)
    assert told.if_yes < devnet.position(ALICE).total_invested // 6
    assert told.if_no == 0
    ended = finalized(devnet, True)
    before = ended.lamports(CREATOR)
    paid = ended.do("claim_winnings")
    ended.do("withdraw_liquidity")
    assert getattr(paid, "amount", None) == told.if_yes
    assert ended.lamports(CREATOR) - before > 8 * told.if_yes
    assert ended.lamports(RESOLVER) > 0


@pytest.mark.parametrize(("lamports", "owing"), [(0, 0), (4_287_360, 0), (4_287_360, 5), (5_000_000, 10**9)])
def test_nothing_is_payable_below_the_rent(lamports: int, owing: int) -> None:
    assert rules.payable_from(lamports, owing) == 0


def test_a_market_that_nobody_traded_pays_nothing() -> None:
    """Also one whose b allows no cost to be computed."""
    for b_parameter in (1, 99 * P, 100 * P):
        start = b_parameter // 1_000
        assert rules.payable_by_trades(start, start, b_parameter, 0, claimed=0, withdrawn_owing=None) == 0
    assert rules.payable_by_trades(10**19, 0, 1, 0, claimed=0, withdrawn_owing=None) == 0
