"""claim_winnings and withdraw_liquidity: who gets what, and every refusal."""

from typing import Any

import pytest
from solders.pubkey import Pubkey

from tests.localnet.program_harness import (
    ADMIN,
    ALICE,
    BACKEND,
    BOB,
    CREATOR,
    EVE,
    MARKET_ID,
    PROGRAM_ID,
    RENT,
    RESOLVER,
    Devnet,
    Outcome,
    P,
    changes,
    market_in,
    others,
    ready_for,
)
from zmart_lite.localnet.anchor import derived_address
from zmart_lite.models import (
    LiquidityWithdrawn,
    MarketState,
    WinningsClaimed,
)

U64_MAX = 2**64 - 1
WITHDRAWAL_FLOOR = 4_297_360


# claim_winnings


def claim(devnet: Devnet, user: bytes = ALICE, **options: Any) -> Outcome:
    return devnet.call("claim_winnings", user=user, **options)


def test_claim_pays_the_winner_and_the_resolver() -> None:
    devnet = ready_for("claim_winnings")
    market, position = devnet.market, devnet.position()
    lamports = {key: devnet.lamports(key) for key in (ALICE, RESOLVER, devnet.market_address)}
    amount = position.shares_yes * market.current_liquidity // market.shares_yes
    reward = market.accumulated_resolver_fees
    assert amount > 0
    assert reward > 0
    event = devnet.do("claim_winnings")
    assert event == WinningsClaimed(devnet.market_address, ALICE, True, amount, devnet.now)
    assert changes(market, devnet.market) == {"accumulated_resolver_fees": 0}
    assert changes(position, devnet.position()) == {"has_claimed": True, "claimed_amount": amount}
    assert devnet.lamports(ALICE) == lamports[ALICE] + amount
    assert devnet.lamports(RESOLVER) == lamports[RESOLVER] + reward
    assert devnet.lamports(devnet.market_address) == lamports[devnet.market_address] - amount - reward


def test_second_winner_does_not_pay_the_resolver_again() -> None:
    devnet = ready_for("claim_winnings")
    devnet.edit(devnet.position_address(BOB), shares_yes=P)
    assert claim(devnet).error is None
    reward = devnet.lamports(RESOLVER)
    assert claim(devnet, BOB).error is None
    assert devnet.lamports(RESOLVER) == reward


def test_claim_of_no() -> None:
    devnet = market_in(MarketState.DISPUTED)
    devnet.do("finalize_market", {"dispute_agree": 6, "dispute_disagree": 4})
    assert claim(devnet).code == 6023
    amount = devnet.position(BOB).shares_no * devnet.market.current_liquidity // devnet.market.shares_no
    event = devnet.do("claim_winnings", user=BOB)
    assert event == WinningsClaimed(devnet.market_address, BOB, False, amount, devnet.now)


def test_resolver_claims_for_itself() -> None:
    devnet = ready_for("claim_winnings")
    devnet.edit_market(resolver=ALICE)
    before, reward = devnet.lamports(ALICE), devnet.market.accumulated_resolver_fees
    assert claim(devnet, resolver=ALICE).error is None
    assert devnet.lamports(ALICE) == before + devnet.position().claimed_amount + reward


def test_claim_twice() -> None:
    devnet = ready_for("claim_winnings")
    devnet.do("claim_winnings")
    outcome = claim(devnet)
    assert outcome.code == 6022
    assert outcome.logs[1].startswith("AnchorError caused by account: position. ")


def test_claim_is_not_stopped_by_a_pause() -> None:
    devnet = ready_for("claim_winnings")
    devnet.do("emergency_pause")
    devnet.do("claim_winnings")


def test_claim_without_a_position() -> None:
    assert claim(ready_for("claim_winnings"), EVE).code == 3012


def test_claim_from_another_users_position() -> None:
    devnet = ready_for("claim_winnings")
    assert claim(devnet, BOB, position=devnet.position_address()).code == 2006
    devnet.edit(devnet.position_address(), user=BOB, has_claimed=True)
    outcome = claim(devnet, resolver=EVE)
    assert outcome.code == 2001
    assert outcome.logs[2:] == ["Left:", str(Pubkey(BOB)), "Right:", str(Pubkey(ALICE))]


def test_a_claim_names_the_address_of_its_own_bump() -> None:
    """Of somebody else's position the address is derived with the bump that stands in it."""
    devnet = ready_for("claim_winnings")
    address = devnet.position_address()
    bump = devnet.position().bump
    outcome = claim(devnet, BOB, position=address)
    seeds = (b"position", devnet.market_address, BOB, bytes([bump]))
    expected = derived_address(PROGRAM_ID, *seeds)
    assert (outcome.code, len(outcome.logs)) == (2006, 2 if expected is None else 6)
    if expected is not None:
        assert outcome.logs[-1] == str(Pubkey(expected))


def test_a_bump_that_gives_no_address_leaves_no_keys_to_compare() -> None:
    devnet = ready_for("claim_winnings")
    address = devnet.position_address()
    seeds = (b"position", devnet.market_address, ALICE)
    wrong = next(bump for bump in range(255, 0, -1) if derived_address(PROGRAM_ID, *seeds, bytes([bump])) is None)
    devnet.edit(address, bump=wrong)
    outcome = claim(devnet)
    assert (outcome.code, len(outcome.logs)) == (2006, 2)


@pytest.mark.parametrize(
    ("held", "issued", "liquidity", "code", "paid"),
    [(2**63, 1, 4, 6023, None), (2**64 - 1, 1, 2**64 - 1, None, 1)],
)
def test_a_share_is_cut_to_64_bits(held: int, issued: int, liquidity: int, code: int | None, paid: int | None) -> None:
    devnet = ready_for("claim_winnings")
    devnet.edit(devnet.position_address(), shares_yes=held)
    devnet.edit_market(shares_yes=issued, current_liquidity=liquidity, accumulated_resolver_fees=0)
    outcome = claim(devnet)
    assert outcome.code == code
    if paid is not None:
        assert devnet.position().claimed_amount == paid


def test_claim_with_another_resolver() -> None:
    devnet = ready_for("claim_winnings")
    outcome = claim(devnet, resolver=EVE)
    assert outcome.code == 6031
    assert outcome.logs[1].startswith("AnchorError caused by account: resolver. ")
    devnet.edit(devnet.position_address(), has_claimed=True)
    assert claim(devnet, resolver=EVE).code == 6022


@pytest.mark.parametrize("state", [MarketState.RESOLVING, MarketState.DISPUTED])
def test_claim_in_another_state(state: MarketState) -> None:
    assert claim(market_in(state)).code == 6007


@pytest.mark.parametrize(
    ("market", "code"),
    [
        ({"final_outcome": False}, 6023),
        ({"shares_yes": 0}, 6035),
        ({"current_liquidity": 0}, 6023),
        ({"shares_yes": U64_MAX, "current_liquidity": 1}, 6023),
        ({"current_liquidity": 500 * P}, 6016),
        ({"accumulated_resolver_fees": 500 * P}, 6016),
        ({"accumulated_resolver_fees": U64_MAX}, 6033),
        ({"is_locked": True}, 6048),
    ],
)
def test_claim_refuses(market: dict[str, object], code: int) -> None:
    devnet = ready_for("claim_winnings")
    devnet.edit_market(**market)
    assert claim(devnet).code == code


@pytest.mark.parametrize(
    ("left", "code"),
    [(RENT["MarketAccount"], None), (RENT["MarketAccount"] - 1, 6047), (0, 6047), (-1, 6016)],
)
def test_claim_from_a_market_that_can_barely_pay(left: int, code: int | None) -> None:
    devnet = ready_for("claim_winnings")
    market, position = devnet.market, devnet.position()
    amount = position.shares_yes * market.current_liquidity // market.shares_yes
    devnet.accounts[devnet.market_address].lamports = amount + market.accumulated_resolver_fees + left
    assert claim(devnet).code == code


def test_claim_that_cannot_pay_the_resolver_pays_nobody() -> None:
    devnet = ready_for("claim_winnings")
    market, position = devnet.market, devnet.position()
    amount = position.shares_yes * market.current_liquidity // market.shares_yes
    devnet.edit_market(accumulated_resolver_fees=1)
    devnet.accounts[devnet.market_address].lamports = amount + RENT["MarketAccount"]
    before = devnet.lamports(ALICE)
    outcome = claim(devnet)
    assert outcome.code == 6047
    assert outcome.logs[1].startswith("AnchorError thrown in programs/zmart-core/src/utils/rent.rs:")
    assert devnet.lamports(ALICE) == before


def without_outcome() -> Devnet:
    devnet = ready_for("aggregate_dispute_votes")
    devnet.do("aggregate_dispute_votes", {"final_agrees": 0, "final_disagrees": 0})
    return devnet


def test_refund_without_an_outcome() -> None:
    devnet = without_outcome()
    market, position, before = devnet.market, devnet.position(), devnet.lamports(ALICE)
    amount = position.total_invested
    resolver = devnet.lamports(RESOLVER)
    assert devnet.do("claim_winnings") == WinningsClaimed(devnet.market_address, ALICE, None, amount, devnet.now)
    assert devnet.market == market
    assert changes(position, devnet.position()) == {"has_claimed": True, "claimed_amount": amount}
    assert devnet.lamports(ALICE) == before + amount
    assert devnet.lamports(RESOLVER) == resolver


def test_last_refund_cannot_be_paid() -> None:
    devnet = without_outcome()
    assert claim(devnet).error is None
    assert claim(devnet, BOB).code == 6016


@pytest.mark.parametrize(("left", "code"), [(RENT["MarketAccount"], None), (0, 6047), (-1, 6016)])
def test_refund_from_a_market_that_can_barely_pay(left: int, code: int | None) -> None:
    devnet = without_outcome()
    devnet.accounts[devnet.market_address].lamports = devnet.position().total_invested + left
    assert claim(devnet).code == code


def test_refund_of_nothing_and_to_nobody() -> None:
    devnet = without_outcome()
    assert claim(devnet, resolver=EVE).code == 6031
    devnet.edit(devnet.position_address(), total_invested=0)
    assert claim(devnet).code == 6023


def test_event_bytes_of_a_claim_without_an_outcome() -> None:
    outcome = claim(without_outcome())
    assert [len(payload) for payload in outcome.data] == [89]


# withdraw_liquidity


def test_withdraw() -> None:
    devnet = ready_for("withdraw_liquidity")
    before = devnet.market
    amount = devnet.lamports(devnet.market_address) - WITHDRAWAL_FLOOR
    creator = devnet.lamports(CREATOR)
    assert devnet.do("withdraw_liquidity") == LiquidityWithdrawn(MARKET_ID, CREATOR, amount, devnet.now)
    assert changes(before, devnet.market) == {"current_liquidity": 0, "accumulated_lp_fees": 0}
    assert before.accumulated_resolver_fees > 0
    assert devnet.lamports(CREATOR) == creator + amount
    assert devnet.lamports(devnet.market_address) == WITHDRAWAL_FLOOR


def test_withdrawal_takes_the_winnings() -> None:
    devnet = ready_for("withdraw_liquidity")
    devnet.do("withdraw_liquidity")
    assert claim(devnet).code == 6023
    devnet = without_outcome()
    devnet.do("withdraw_liquidity")
    assert claim(devnet).code == 6016


@pytest.mark.parametrize(("balance", "code"), [(0, 6016), (RENT["MarketAccount"], 6016), (WITHDRAWAL_FLOOR, 6016)])
def test_withdraw_nothing(balance: int, code: int) -> None:
    devnet = ready_for("withdraw_liquidity")
    devnet.accounts[devnet.market_address].lamports = balance
    assert devnet.call("withdraw_liquidity").code == code


def test_withdraw_again_when_lamports_arrive() -> None:
    devnet = ready_for("withdraw_liquidity")
    devnet.do("withdraw_liquidity")
    assert devnet.call("withdraw_liquidity").code == 6016
    devnet.accounts[devnet.market_address].lamports += 1
    assert devnet.do("withdraw_liquidity") == LiquidityWithdrawn(MARKET_ID, CREATOR, 1, devnet.now)


@pytest.mark.parametrize("state", others(MarketState.FINALIZED))
def test_withdraw_in_another_state(state: MarketState) -> None:
    devnet = market_in(state)
    assert devnet.call("withdraw_liquidity").code == 6007
    for key in (ADMIN, BACKEND, EVE):
        assert devnet.call("withdraw_liquidity", creator=key).code == 6029


def test_initial_liquidity_is_never_there() -> None:
    devnet = market_in(MarketState.FINALIZED, initial_liquidity=10_000 * P)
    assert devnet.market.current_liquidity > devnet.market.initial_liquidity == 10_000 * P
    assert devnet.lamports(devnet.market_address) < 100 * P
    assert claim(devnet).code == 6016
