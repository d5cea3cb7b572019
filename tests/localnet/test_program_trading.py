"""buy_shares and sell_shares: what they change, and every refusal."""

from typing import Any

import pytest

from tests.localnet.program_harness import (
    ADMIN,
    ALICE,
    BOB,
    EVE,
    FEE_WALLET,
    LIQUIDITY,
    MARKET_ID,
    RENT,
    WALLET_LAMPORTS,
    B,
    Devnet,
    Outcome,
    P,
    buy,
    changes,
    market_in,
)
from zmart_lite import rules
from zmart_lite.models import MarketState, SharesBought, SharesSold, UserPosition

U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1
OTHER_STATES = [state for state in MarketState if state != MarketState.ACTIVE]

COST, SHARES = 908_851_000, 2_099_871_638
PROTOCOL, RESOLVER_FEE, LP = 27_265_530, 18_177_020, 45_442_550
TOTAL = COST + PROTOCOL + RESOLVER_FEE + LP


@pytest.fixture
def active() -> Devnet:
    return market_in(MarketState.ACTIVE)


# buy_shares


@pytest.mark.parametrize(("outcome", "price"), [(True, 500_524_967), (False, 499_475_032)])
def test_first_buy(active: Devnet, outcome: bool, price: int) -> None:
    before = active.market
    event = active.do("buy_shares", {"outcome": outcome, "target_cost": P})
    assert event == SharesBought(MARKET_ID, ALICE, outcome, SHARES, TOTAL, price, active.now)
    side = "shares_yes" if outcome else "shares_no"
    assert changes(before, active.market) == {
        side: P + SHARES,
        "total_volume": TOTAL,
        "current_liquidity": LIQUIDITY + RESOLVER_FEE + LP,
        "accumulated_resolver_fees": RESOLVER_FEE,
        "accumulated_lp_fees": LP,
    }
    bump = active.codec.position_pda(active.market_address, ALICE)[1]
    yes, no = (SHARES, 0) if outcome else (0, SHARES)
    assert active.position() == UserPosition(
        active.market_address, ALICE, yes, no, TOTAL, 1, active.now, False, 0, bytes(64), bump
    )


def test_buy_moves_lamports(active: Devnet) -> None:
    buy(active, P)
    assert active.lamports(ALICE) == WALLET_LAMPORTS - TOTAL - RENT["UserPosition"]
    assert active.lamports(FEE_WALLET) == WALLET_LAMPORTS + PROTOCOL
    assert active.lamports(active.market_address) == RENT["MarketAccount"] + TOTAL - PROTOCOL
    assert active.lamports(active.position_address()) == RENT["UserPosition"]


def test_buy_calls_the_system_program_between_name_and_event(active: Devnet) -> None:
    assert buy(active, P).logs == ["Instruction: BuyShares", "System", "System", "System"]
    assert buy(active, P).logs == ["Instruction: BuyShares", "System", "System"]


@pytest.mark.parametrize(
    ("outcome", "shares", "cost", "price"),
    [(True, 1_805_424_693, 908_812_000, 502_951_321), (False, 1_828_670_504, 908_978_000, 502_042_820)],
)
def test_buy_on_an_unbalanced_market(active: Devnet, outcome: bool, shares: int, cost: int, price: int) -> None:
    active.edit_market(shares_yes=11 * P)
    event = active.do("buy_shares", {"outcome": outcome, "target_cost": P})
    total = cost + rules.split_fees(cost, rules.FeeRates(300, 200, 500)).total
    assert event == SharesBought(MARKET_ID, ALICE, outcome, shares, total, price, active.now)


def test_second_buy_adds_to_the_position(active: Devnet) -> None:
    active.do("buy_shares", {"outcome": True, "target_cost": P})
    before, active.now = active.position(), active.now + 60
    event = active.do("buy_shares", {"outcome": False, "target_cost": 2 * P})
    assert isinstance(event, SharesBought)
    assert changes(before, active.position()) == {
        "shares_no": event.shares,
        "total_invested": TOTAL + event.cost,
        "trades_count": 2,
        "last_trade_at": active.now,
    }
    assert active.market.total_volume == TOTAL + event.cost


def test_buy_of_nothing_succeeds(active: Devnet) -> None:
    active.edit_market(shares_yes=11 * P)
    before = active.market
    event = active.do("buy_shares", {"outcome": True, "target_cost": 100_000})
    assert event == SharesBought(MARKET_ID, ALICE, True, 0, 0, rules.price_yes(11 * P, P, B), active.now)
    assert active.market == before
    assert active.position().trades_count == 1
    assert active.lamports(ALICE) == WALLET_LAMPORTS - RENT["UserPosition"]


def test_smallest_target_cost(active: Devnet) -> None:
    active.edit_market(shares_yes=11 * P)
    assert buy(active, 9_999).code == 6018
    assert buy(active, 10_000).error is None


def test_protocol_fee_wallet_buys(active: Devnet) -> None:
    active.do("buy_shares", {"outcome": True, "target_cost": P}, user=FEE_WALLET)
    assert active.lamports(FEE_WALLET) == WALLET_LAMPORTS - TOTAL + PROTOCOL - RENT["UserPosition"]


def test_smallest_first_buy(active: Devnet) -> None:
    assert buy(active, 10_715_099).code == 6034
    event = active.do("buy_shares", {"outcome": True, "target_cost": 10_715_100})
    assert isinstance(event, SharesBought)
    assert event.shares == 305_175_781


@pytest.mark.parametrize(
    ("market", "outcome", "target_cost", "code"),
    [
        ({"shares_yes": 5_001 * P}, False, P, 6034),
        ({"shares_yes": 12_001 * P}, True, P, 6039),
        ({"b_parameter": 99 * P}, True, P, 6042),
        ({"b_parameter": U64_MAX // 20 + 1}, True, P, 6033),
        ({}, True, 9_999, 6018),
        ({}, True, 0, 6018),
        ({}, True, 1_844_674_407_370_956, 6033),
        ({"b_parameter": 99 * P}, True, 9_999, 6018),
        ({"total_volume": U64_MAX}, True, P, 6033),
        ({"current_liquidity": U64_MAX}, True, P, 6033),
        ({"accumulated_resolver_fees": U64_MAX}, True, P, 6033),
        ({"accumulated_lp_fees": U64_MAX}, True, P, 6033),
    ],
)
def test_buy_refuses(active: Devnet, market: dict[str, object], outcome: bool, target_cost: int, code: int) -> None:
    active.edit_market(**market)
    assert buy(active, target_cost, outcome).code == code


def test_largest_target_cost_passes_the_multiplication(active: Devnet) -> None:
    assert buy(active, 1_844_674_407_370_955).error is None


@pytest.mark.parametrize(
    ("rates", "code"), [((0, 0, 0), 6035), ((300, 300, 500), 6015), ((300, 200, 499), None), ((0, 0, 1), None)]
)
def test_buy_with_other_fee_rates(active: Devnet, rates: tuple[int, int, int], code: int | None) -> None:
    protocol, resolver, lp = rates
    active.edit_config(protocol_fee_bps=protocol, resolver_reward_bps=resolver, liquidity_provider_fee_bps=lp)
    assert buy(active, P).code == code


def test_buy_while_paused(active: Devnet) -> None:
    active.do("emergency_pause")
    assert buy(active, 0).code == 6010
    active.do("emergency_pause")
    assert buy(active, P).error is None


@pytest.mark.parametrize("state", OTHER_STATES)
def test_trade_in_another_state(state: MarketState) -> None:
    devnet = market_in(state)
    assert buy(devnet, P, user=EVE).code == 6007
    expected = 6007 if state in (MarketState.RESOLVING, MarketState.DISPUTED, MarketState.FINALIZED) else 3012
    assert sell(devnet, P).code == expected


def test_trade_with_another_fee_wallet(active: Devnet) -> None:
    buy(active, P)
    for outcome in (buy(active, P, protocol_fee_wallet=EVE), sell(active, P, protocol_fee_wallet=ADMIN)):
        assert outcome.code == 6029
        assert outcome.logs[1].startswith("AnchorError caused by account: protocol_fee_wallet. ")


def test_buyer_too_poor(active: Devnet) -> None:
    needed = RENT["UserPosition"] + TOTAL
    for missing in (PROTOCOL + 1, 1):
        active.accounts[ALICE].lamports = needed - missing
        assert buy(active, P).code == 1
    active.accounts[ALICE].lamports = needed
    assert buy(active, P).error is None
    assert active.lamports(ALICE) == 0


def test_buy_with_a_position_of_another_user(active: Devnet) -> None:
    assert buy(active, P, position=active.position_address(BOB)).code == 2006


def test_buy_with_a_position_that_contradicts_its_address(active: Devnet) -> None:
    buy(active, P)
    active.edit(active.position_address(), market=EVE)
    assert buy(active, P).code == 6043
    active.edit(active.position_address(), user=EVE)
    assert buy(active, P).code == 6029


def test_buy_starts_an_unused_position_afresh(active: Devnet) -> None:
    buy(active, P)
    active.edit(
        active.position_address(), trades_count=0, user=EVE, market=EVE, has_claimed=True, claimed_amount=5, bump=1
    )
    event = active.do("buy_shares", {"outcome": False, "target_cost": P})
    assert isinstance(event, SharesBought)
    bump = active.codec.position_pda(active.market_address, ALICE)[1]
    assert active.position() == UserPosition(
        active.market_address, ALICE, 0, event.shares, event.cost, 1, active.now, False, 5, bytes(64), bump
    )


@pytest.mark.parametrize("field", ["shares_yes", "total_invested", "trades_count"])
def test_buy_overflows_the_position(active: Devnet, field: str) -> None:
    buy(active, P)
    active.edit(active.position_address(), **{field: U32_MAX if field == "trades_count" else U64_MAX})
    assert buy(active, P).code == 6033


# sell_shares


def sell(devnet: Devnet, shares: int, outcome: bool = True, min_proceeds: int = 0, **options: Any) -> Outcome:
    args = {"outcome": outcome, "shares_to_sell": shares, "min_proceeds": min_proceeds}
    return devnet.call("sell_shares", args, **options)


def selling(strict: bool = False) -> Devnet:
    """An unbalanced market with plenty of lamports, of whose YES shares ALICE holds 10."""
    devnet = market_in(MarketState.ACTIVE, strict)
    devnet.do("buy_shares", {"outcome": True, "target_cost": P})
    devnet.edit_market(shares_yes=11 * P, shares_no=P)
    devnet.edit(devnet.position_address(), shares_yes=10 * P, shares_no=0)
    devnet.accounts[devnet.market_address].lamports = RENT["MarketAccount"] + 100 * P
    return devnet


GROSS = 2_512_690_000
SOLD = rules.split_fees(GROSS, rules.FeeRates(300, 200, 500))
NET = GROSS - SOLD.total


def test_sell() -> None:
    devnet = selling()
    market, position, devnet.now = devnet.market, devnet.position(), devnet.now + 60
    event = devnet.do("sell_shares", {"outcome": True, "shares_to_sell": 5 * P, "min_proceeds": NET})
    assert event == SharesSold(MARKET_ID, ALICE, True, 5 * P, NET, rules.price_yes(6 * P, P, B), devnet.now)
    assert changes(market, devnet.market) == {
        "shares_yes": 6 * P,
        "total_volume": market.total_volume + GROSS,
        "current_liquidity": market.current_liquidity - NET - SOLD.protocol,
        "accumulated_resolver_fees": market.accumulated_resolver_fees + SOLD.resolver,
        "accumulated_lp_fees": market.accumulated_lp_fees + SOLD.lp,
    }
    assert changes(position, devnet.position()) == {
        "shares_yes": 5 * P,
        "trades_count": 2,
        "last_trade_at": devnet.now,
    }


def test_sell_moves_lamports() -> None:
    devnet = selling()
    before = {key: devnet.lamports(key) for key in (ALICE, FEE_WALLET, devnet.market_address)}
    sell(devnet, 5 * P)
    assert devnet.lamports(ALICE) == before[ALICE] + NET
    assert devnet.lamports(FEE_WALLET) == before[FEE_WALLET] + SOLD.protocol
    assert devnet.lamports(devnet.market_address) == before[devnet.market_address] - NET - SOLD.protocol


def test_sell_of_no() -> None:
    devnet = selling()
    devnet.edit_market(shares_no=11 * P, shares_yes=P)
    devnet.edit(devnet.position_address(), shares_no=10 * P, shares_yes=0)
    event = devnet.do("sell_shares", {"outcome": False, "shares_to_sell": 10 * P, "min_proceeds": 0})
    gross = 4_876_138_000
    assert isinstance(event, SharesSold)
    assert event.proceeds == gross - gross // 10
    assert (devnet.market.shares_no, devnet.position().shares_no) == (P, 0)


def test_strict_sell_aborts_as_the_original() -> None:
    outcome = sell(selling(strict=True), 5 * P)
    assert outcome.error is not None
    assert (outcome.error.name, outcome.code) == ("PrivilegeEscalation", None)
    assert outcome.logs == ["Instruction: SellShares"]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("balance", "code"),
    [(NET - 1, 6046), (RENT["MarketAccount"] + NET - 1, 6047)],
)
def test_sell_from_a_market_that_cannot_pay(strict: bool, balance: int, code: int) -> None:
    devnet = selling(strict)
    devnet.accounts[devnet.market_address].lamports = balance
    outcome = sell(devnet, 5 * P)
    assert outcome.code == code
    origin = "occurred" if code == 6046 else "thrown in programs/zmart-core/src/utils/rent.rs:7"
    assert outcome.logs[1].startswith(f"AnchorError {origin}. ")


@pytest.mark.parametrize(("short", "code"), [(0, None), (1, 6047)])
def test_sell_from_a_market_that_can_just_pay_the_seller(short: int, code: int | None) -> None:
    devnet = selling()
    devnet.accounts[devnet.market_address].lamports = RENT["MarketAccount"] + NET + SOLD.protocol - short
    assert sell(devnet, 5 * P).code == code


@pytest.mark.parametrize(
    ("market", "shares", "min_proceeds", "code"),
    [
        ({}, 10 * P + 1, 0, 6014),
        ({"shares_yes": 4 * P}, 5 * P, 0, 6014),
        ({}, 0, 0, 6018),
        ({}, 5 * P, NET + 1, 6015),
        ({"current_liquidity": NET + SOLD.protocol - 1}, 5 * P, 0, 6016),
        ({"current_liquidity": NET + SOLD.protocol}, 5 * P, 0, None),
        ({"b_parameter": 99 * P}, 5 * P, 0, 6042),
        ({"shares_yes": 20_002 * P}, 5 * P, 0, 6039),
        ({"total_volume": U64_MAX}, 5 * P, 0, 6033),
        ({"is_locked": True}, 5 * P, 0, 6048),
    ],
)
def test_sell_refuses(market: dict[str, object], shares: int, min_proceeds: int, code: int | None) -> None:
    devnet = selling()
    devnet.edit_market(**market)
    assert sell(devnet, shares, min_proceeds=min_proceeds).code == code


@pytest.mark.parametrize(("shares", "code"), [(19_000, 6018), (19_001, None)])
def test_smallest_sale(shares: int, code: int | None) -> None:
    assert sell(selling(), shares).code == code


def test_sell_on_the_trailing_side_beyond_the_hump() -> None:
    devnet = selling()
    devnet.edit_market(shares_yes=5_001 * P, shares_no=101 * P)
    devnet.edit(devnet.position_address(), shares_no=100 * P)
    assert sell(devnet, 100 * P, outcome=False).code == 6034


def test_sell_with_zero_fee_rates() -> None:
    devnet = selling()
    devnet.edit_config(protocol_fee_bps=0, resolver_reward_bps=0, liquidity_provider_fee_bps=0)
    assert sell(devnet, 5 * P).code == 6035


def test_sell_while_paused() -> None:
    devnet = selling()
    devnet.do("emergency_pause")
    assert sell(devnet, 11 * P).code == 6010


def test_sell_without_a_position(active: Devnet) -> None:
    outcome = sell(active, P)
    assert outcome.code == 3012
    assert outcome.logs[1].startswith("AnchorError caused by account: position. ")


def test_sell_from_another_users_position() -> None:
    devnet = selling()
    assert sell(devnet, P, position=devnet.position_address(), user=BOB).code == 2006
    devnet.edit(devnet.position_address(), user=BOB)
    outcome = sell(devnet, P)
    assert outcome.code == 6029
    assert outcome.logs[1].startswith("AnchorError caused by account: position. ")
