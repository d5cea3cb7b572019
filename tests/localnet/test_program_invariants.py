"""Random sequences of instructions by anyone, at any time: what must hold whatever happens."""

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.localnet.program_harness import (
    ALICE,
    ARGS,
    BOB,
    EVE,
    EVIDENCE_HASH,
    FEE_WALLET,
    LIQUIDITY,
    RENT,
    B,
    P,
    market_in,
)
from zmart_lite.models import (
    LiquidityWithdrawn,
    MarketAccount,
    MarketState,
    SharesBought,
    SharesSold,
    WinningsClaimed,
)

USERS = (ALICE, BOB, EVE, FEE_WALLET)
TRADERS = st.sampled_from(USERS)
COUNTS = st.integers(0, 20)
STEPS_S = st.sampled_from([0, 1, 60, 3_600, 86_400, 259_200])
SELDOM = st.integers(0, 3)
"""Steps that end a market's trading happen only at 0, so that something can happen before."""
STARTS = st.sampled_from(
    [
        MarketState.PROPOSED,
        MarketState.ACTIVE,
        MarketState.RESOLVING,
        MarketState.DISPUTED,
        MarketState.FINALIZED,
    ]
)
ANYTHING = st.sampled_from(sorted(set(ARGS) - {"buy_shares", "sell_shares"}))

TRANSITIONS = {
    ("approve_proposal", MarketState.PROPOSED, MarketState.APPROVED),
    ("cancel_market", MarketState.PROPOSED, MarketState.CANCELLED),
    ("cancel_market", MarketState.APPROVED, MarketState.CANCELLED),
    ("activate_market", MarketState.APPROVED, MarketState.ACTIVE),
    ("resolve_market", MarketState.ACTIVE, MarketState.RESOLVING),
    ("initiate_dispute", MarketState.RESOLVING, MarketState.DISPUTED),
    ("finalize_market", MarketState.RESOLVING, MarketState.FINALIZED),
    ("finalize_market", MarketState.DISPUTED, MarketState.FINALIZED),
    ("aggregate_dispute_votes", MarketState.DISPUTED, MarketState.RESOLVING),
    ("aggregate_dispute_votes", MarketState.DISPUTED, MarketState.FINALIZED),
}
SYSTEM_ERRORS = {0, 1}


def kept_fees(market: MarketAccount) -> int:
    return market.accumulated_resolver_fees + market.accumulated_lp_fees


def in_state(*states: MarketState) -> Callable[["Protocol"], bool]:
    return lambda protocol: protocol.devnet.market.state in states


class Protocol(RuleBasedStateMachine):
    @initialize(
        state=STARTS,
        b_parameter=st.sampled_from([100 * P, B, 10**6 * P]),
        initial_liquidity=st.sampled_from([1, P, LIQUIDITY, 10**6 * P]),
    )
    def create(self, state: MarketState, b_parameter: int, initial_liquidity: int) -> None:
        self.devnet = market_in(state, b_parameter=b_parameter, initial_liquidity=initial_liquidity)
        self.total_lamports = self.devnet.total_lamports
        self.expected_liquidity = initial_liquidity + kept_fees(self.devnet.market)

    def run_call(self, name: str, args: Mapping[str, object] | None = None, **keys: Any) -> None:
        before = self.devnet.market
        outcome = self.devnet.call(name, args, **keys)
        after = self.devnet.market
        if outcome.error:
            code = outcome.code
            assert code is not None
            assert code in SYSTEM_ERRORS or self.devnet.codec.error_code(outcome.error.name) == code
            assert (after, outcome.data) == (before, [])
            return
        assert before.state == after.state or (name, before.state, after.state) in TRANSITIONS
        (payload,) = outcome.data
        self._expect(self.devnet.codec.decode_event(payload), before, after)

    def _expect(self, event: Any, before: MarketAccount, after: MarketAccount) -> None:
        """Keep count of the liquidity and check what must come with each event."""
        fees = kept_fees(after) - kept_fees(before)
        traded = after.total_volume - before.total_volume
        if isinstance(event, SharesBought):
            assert traded == event.cost
            self.expected_liquidity += fees
        elif isinstance(event, SharesSold):
            self.expected_liquidity -= traded - fees
        elif isinstance(event, WinningsClaimed):
            assert after == before._replace(accumulated_resolver_fees=after.accumulated_resolver_fees)
        elif isinstance(event, LiquidityWithdrawn):
            assert after.accumulated_lp_fees == 0
            self.expected_liquidity = 0
        else:
            assert (fees, traded) == (0, 0)

    @rule(seconds=STEPS_S)
    def wait(self, seconds: int) -> None:
        self.devnet.now += seconds

    @rule(name=ANYTHING)
    def call_out_of_turn(self, name: str) -> None:
        self.run_call(name, ARGS[name])

    @precondition(in_state(MarketState.PROPOSED, MarketState.DISPUTED))
    @rule(user=TRADERS, vote=st.booleans(), dispute=st.booleans())
    def vote(self, user: bytes, vote: bool, dispute: bool) -> None:
        name = "submit_dispute_vote" if dispute else "submit_proposal_vote"
        self.run_call(name, {"vote": vote}, user=user)

    @precondition(in_state(MarketState.PROPOSED, MarketState.APPROVED))
    @rule(likes=COUNTS, dislikes=COUNTS)
    def approve(self, likes: int, dislikes: int) -> None:
        self.run_call("aggregate_proposal_votes", {"final_likes": likes, "final_dislikes": dislikes})
        self.run_call("approve_proposal")
        self.run_call("activate_market")

    @precondition(in_state(MarketState.ACTIVE))
    @rule(user=TRADERS, outcome=st.booleans(), exponent=st.integers(3, 12), digits=st.integers(1, 99))
    def buy(self, user: bytes, outcome: bool, exponent: int, digits: int) -> None:
        self.run_call("buy_shares", {"outcome": outcome, "target_cost": digits * 10**exponent}, user=user)

    @precondition(in_state(MarketState.ACTIVE))
    @rule(user=TRADERS, outcome=st.booleans(), percent=st.integers(0, 110))
    def sell(self, user: bytes, outcome: bool, percent: int) -> None:
        if user in self.holders:
            position = self.devnet.position(user)
            shares = (position.shares_yes if outcome else position.shares_no) * percent // 100
            args = {"outcome": outcome, "shares_to_sell": shares, "min_proceeds": 0}
            self.run_call("sell_shares", args, user=user)

    @precondition(in_state(MarketState.ACTIVE))
    @rule(outcome=st.booleans(), chance=SELDOM)
    def resolve(self, outcome: bool, chance: int) -> None:
        if chance == 0:
            self.run_call("resolve_market", {"proposed_outcome": outcome, "ipfs_evidence_hash": EVIDENCE_HASH})

    @precondition(in_state(MarketState.RESOLVING))
    @rule()
    def dispute(self) -> None:
        self.run_call("initiate_dispute")

    @precondition(in_state(MarketState.DISPUTED))
    @rule(agrees=COUNTS, disagrees=COUNTS)
    def aggregate_dispute(self, agrees: int, disagrees: int) -> None:
        self.run_call("aggregate_dispute_votes", {"final_agrees": agrees, "final_disagrees": disagrees})

    @precondition(in_state(MarketState.RESOLVING, MarketState.DISPUTED))
    @rule(agree=st.none() | COUNTS, disagree=st.none() | COUNTS)
    def finalize(self, agree: int | None, disagree: int | None) -> None:
        self.run_call("finalize_market", {"dispute_agree": agree, "dispute_disagree": disagree})

    @precondition(in_state(MarketState.FINALIZED))
    @rule(user=TRADERS)
    def claim(self, user: bytes) -> None:
        self.run_call("claim_winnings", user=user)

    @property
    def holders(self) -> list[bytes]:
        return [user for user in USERS if self.devnet.lamports(self.devnet.position_address(user))]

    @invariant()
    def lamports_are_conserved(self) -> None:
        assert self.devnet.total_lamports == self.total_lamports
        assert self.devnet.lamports(self.devnet.market_address) >= RENT["MarketAccount"]

    @invariant()
    def liquidity_is_what_the_trades_made_it(self) -> None:
        assert self.devnet.market.current_liquidity == self.expected_liquidity

    @invariant()
    def shares_are_those_of_the_positions_and_of_the_start(self) -> None:
        market = self.devnet.market
        positions = [self.devnet.position(user) for user in self.holders]
        start = market.b_parameter // 1_000
        assert market.shares_yes == start + sum(position.shares_yes for position in positions)
        assert market.shares_no == start + sum(position.shares_no for position in positions)

    @invariant()
    def nobody_claims_twice(self) -> None:
        for user in self.holders:
            position = self.devnet.position(user)
            assert position.has_claimed == (position.claimed_amount > 0)
            assert not position.has_claimed or self.devnet.market.state == MarketState.FINALIZED


Protocol.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestProtocol = Protocol.TestCase
