"""The fold against the program itself: what the events say must be what the accounts hold, at every step."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.indexer.chain_log import ChainLog, Walk, active_market, whole_life
from tests.localnet.program_harness import ALICE, BOB, CREATOR, EVIDENCE_HASH, RESOLVER, P
from zmart_lite import models, rules
from zmart_lite.chain.events import INSTRUCTION_OF_EVENT, events_of, program_instructions
from zmart_lite.indexer import fold
from zmart_lite.indexer.fold import FactsMissing, Holding, TradedMarket
from zmart_lite.models import ChainEvent, ChainTransaction, GlobalConfig, MarketAccount, MarketState
from zmart_lite.rules import FeeRates

SEEDS = range(12)
STEPS = 160


def fold_market(
    market: MarketAccount, event: ChainEvent, facts: dict[str, object], rates: FeeRates | None
) -> MarketAccount:
    """The account after any event of a market that exists."""
    if not isinstance(event, fold.TRADES):
        return fold.fold_market(market, event, facts)
    traded = TradedMarket(**{field: getattr(market, field) for field in TradedMarket.__slots__})
    traded.fold(event, rates)
    amounts: dict[str, Any] = traded.amounts()
    return market._replace(**amounts)


class Folded:
    """The accounts as the events tell them."""

    def __init__(self, log: ChainLog) -> None:
        self.log = log
        self.codec = log.codec
        self.config: GlobalConfig | None = None
        self.markets: dict[bytes, MarketAccount] = {}
        self.holdings: dict[tuple[bytes, bytes], Holding] = {}
        self.read = 0

    def catch_up(self) -> None:
        for transaction in self.log.transactions[self.read :]:
            self.add(transaction)
        self.read = len(self.log.transactions)

    def add(self, transaction: ChainTransaction) -> None:
        calls = program_instructions(self.codec, transaction)
        parsed = events_of(self.codec, transaction)
        assert parsed.complete
        assert len(parsed.events) == len(calls)
        for logged, call in zip(parsed.events, calls, strict=True):
            assert logged.event is not None
            assert INSTRUCTION_OF_EVENT[type(logged.event).__name__] == call.name
            self.fold(logged.event, fold.facts_of(call.name, call.args, call.accounts) or {})

    def fold(self, event: ChainEvent, facts: dict[str, object]) -> None:
        bump = self.codec.config_pda()[1]
        if isinstance(event, models.GlobalConfigInitialized | models.ConfigUpdated | models.ProtocolPauseStatusChanged):
            self.config = fold.fold_config(self.config, event, facts, bump)
            return
        market_id = getattr(event, "market_id", None) or self._market_id_at(event.market)
        address, bump = self.codec.market_pda(market_id)
        if isinstance(event, models.MarketCreated):
            self.markets[market_id] = fold.new_market(event, facts, bump)
        else:
            assert self.config is not None
            rates = rules.fee_rates(self.config)
            self.markets[market_id] = fold_market(self.markets[market_id], event, facts, rates)
        user = getattr(event, "user", None)
        if user is not None and not isinstance(event, models.ProposalVoteSubmitted | models.DisputeVoteSubmitted):
            new = fold.new_holding(address, user, self.codec.position_pda(address, user)[1])
            holding = self.holdings.get((market_id, user), new)
            self.holdings[market_id, user] = fold.fold_holding(holding, event)

    def _market_id_at(self, address: bytes) -> bytes:
        return next(each for each in self.markets if self.codec.market_address(each) == address)

    def check(self) -> None:
        """Every account field by field, and byte by byte."""
        assert self.config == self.log.config
        for market_id, market in self.markets.items():
            assert market == self.log.market(market_id)
            address = self.codec.market_address(market_id)
            assert self.codec.encode_account(market) == self.log.devnet.accounts[address].data
            held = {user: holding.position for (of, user), holding in self.holdings.items() if of == market_id}
            assert held == self.log.positions(market_id)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_fold_of_the_events_is_the_programs_state_at_every_step(seed: int) -> None:
    log = Walk(seed)
    folded = Folded(log)
    for _ in range(STEPS):
        if log.step():
            folded.catch_up()
            folded.check()
    folded.catch_up()
    folded.check()


def test_the_walks_reach_everything() -> None:
    """What the property above is worth: every event occurs in some walk, and every state."""
    events: set[str] = set()
    states: set[MarketState] = set()
    for seed in SEEDS:
        log = Walk(seed).walk(STEPS)
        for transaction in log.transactions:
            events |= {type(logged.event).__name__ for logged in events_of(log.codec, transaction).events}
        states |= {log.market(market_id).state for market_id in log.market_ids if log.exists(market_id)}
    assert events == set(INSTRUCTION_OF_EVENT)
    assert states >= {MarketState.ACTIVE, MarketState.FINALIZED}


def test_a_whole_life_folds_into_the_accounts() -> None:
    log = ChainLog().start()
    folded = Folded(log)
    market_id = whole_life(log)
    folded.catch_up()
    folded.check()
    assert log.market(market_id).was_disputed
    assert log.market(market_id).final_outcome is False


@pytest.mark.parametrize(("agree", "disagree", "state"), [(7, 3, MarketState.RESOLVING), (1, 9, MarketState.FINALIZED)])
def test_a_dispute_settled_by_aggregation_folds_both_ways(agree: int, disagree: int, state: MarketState) -> None:
    log = ChainLog().start()
    folded = Folded(log)
    market_id = log.create(1)
    log.activate(market_id)
    log.buy(market_id)
    log.buy(market_id, BOB, False, 90 * P)
    log.resolve(market_id)
    log.on(market_id, "initiate_dispute", initiator=BOB)
    log.on(market_id, "aggregate_dispute_votes", {"final_agrees": agree, "final_disagrees": disagree})
    assert log.market(market_id).state is state
    if state is MarketState.RESOLVING:
        log.finalize(market_id)
        assert not log.market(market_id).was_disputed
    else:
        assert log.on(market_id, "claim_winnings", user=ALICE, resolver=RESOLVER)
    folded.catch_up()
    folded.check()


def test_fees_follow_the_config_in_force_between_trades() -> None:
    log = ChainLog().start()
    folded = Folded(log)
    market_id = log.create(1)
    log.activate(market_id)
    log.buy(market_id)
    for rates in ((333, 111, 7), (0, 0, 1), (1, 0, 0)):
        names = ("protocol_fee_bps", "resolver_reward_bps", "liquidity_provider_fee_bps")
        rest = {"proposal_approval_threshold": 0, "dispute_success_threshold": 0}
        absent = {"min_resolution_delay": None, "dispute_period": None}
        assert log.run("update_global_config", dict(zip(names, rates, strict=True)) | rest | absent)
        assert log.buy(market_id, BOB, False)
        assert log.sell(market_id, 2 * P)
        folded.catch_up()
        folded.check()


def test_the_largest_b_parameter_that_trades() -> None:
    log = ChainLog().start()
    folded = Folded(log)
    market_id = log.create(1, rules.B_PARAMETER_TRADABLE_MAX, 2**63)
    log.activate(market_id)
    log.devnet.accounts[ALICE].lamports = 2**63
    assert log.buy(market_id, ALICE, True, rules.TARGET_COST_MAX_LAMPORTS) or log.transactions[-1].failed
    folded.catch_up()
    folded.check()


def test_zero_share_trades_count_and_change_nothing_else() -> None:
    log = ChainLog().start()
    folded = Folded(log)
    market_id = log.create(1)
    log.activate(market_id)
    log.buy(market_id)
    before = log.market(market_id)
    assert log.buy(market_id, BOB, True, 100_000)
    folded.catch_up()
    folded.check()
    assert log.market(market_id) == before
    assert folded.holdings[market_id, BOB].position.trades_count == 1
    assert folded.holdings[market_id, BOB].cost_bought == 0


def test_the_older_layout_of_a_claim_folds_like_the_newer_one() -> None:
    log = ChainLog().start()
    folded = Folded(log)
    market_id = whole_life(log)
    folded.catch_up()
    market, holding = folded.markets[market_id], folded.holdings[market_id, ALICE]
    address = log.codec.market_address(market_id)
    new = models.WinningsClaimed(address, ALICE, False, 5, 9)
    old = models.WinningsClaimedLegacy(market_id, ALICE, 5, 1, 9)
    assert fold.fold_market(market, new, {}) == fold.fold_market(market, old, {})
    assert fold.fold_holding(holding, new) == fold.fold_holding(holding, old)


# The cost of what is held, against a slow model


class SlowBook:
    """Profit and loss of one position, sides apart, by the words of the contract (2.8)."""

    def __init__(self) -> None:
        self.shares = {True: 0, False: 0}
        self.basis = {True: 0, False: 0}
        self.bought = 0
        self.realized = 0

    def add(self, event: ChainEvent) -> None:
        if isinstance(event, models.SharesBought):
            self.basis[event.outcome] += event.cost
            self.shares[event.outcome] += event.shares
            self.bought += event.cost
        elif isinstance(event, models.SharesSold):
            held, basis = self.shares[event.outcome], self.basis[event.outcome]
            released = basis * event.shares // held
            self.realized += event.proceeds - released
            self.basis[event.outcome] -= released
            self.shares[event.outcome] -= event.shares
        elif isinstance(event, models.WinningsClaimed):
            for outcome in (True, False):
                if event.outcome is not None and outcome is not event.outcome:
                    self.realized -= self.basis[outcome]
                    self.basis[outcome] = 0
            self.realized += event.amount - sum(self.basis.values())
            self.basis = {True: 0, False: 0}


@pytest.mark.parametrize("seed", SEEDS)
def test_basis_and_profit_equal_those_of_a_slow_model(seed: int) -> None:
    log = Walk(seed)
    folded, books = Folded(log), {}
    for _ in range(STEPS):
        log.step()
        folded.catch_up()
    for transaction in log.transactions:
        for logged in events_of(log.codec, transaction).events:
            event = logged.event
            if isinstance(event, models.SharesBought | models.SharesSold | models.WinningsClaimed):
                market = getattr(event, "market_id", None) or folded._market_id_at(event.market)
                books.setdefault((market, event.user), SlowBook()).add(event)
    assert books.keys() == folded.holdings.keys()
    for key, book in books.items():
        holding = folded.holdings[key]
        assert (holding.basis_yes, holding.basis_no) == (book.basis[True], book.basis[False])
        assert (holding.cost_bought, holding.realized_pnl) == (book.bought, book.realized)


# What is not determined is said to be so


@given(st.integers(0, 2**64 - 1), st.tuples(*[st.integers(0, 3_333)] * 3))
def test_the_cost_before_fees_is_found_for_every_cost_and_rate(cost: int, parts: tuple[int, int, int]) -> None:
    rates = FeeRates(*parts)
    total = cost + cost * sum(rates) // rules.BPS
    assert fold.cost_before_fees(total, rates) == cost


@given(st.integers(1, 10**6), st.integers(1, 9_999))
def test_a_total_no_cost_leads_to_is_refused(total: int, rate: int) -> None:
    reachable = {cost + cost * rate // rules.BPS for cost in range(max(0, total // 2 - 2), total + 1)}
    if total in reachable:
        assert fold.cost_before_fees(total, FeeRates(rate, 0, 0)) <= total
    else:
        with pytest.raises(FactsMissing):
            fold.cost_before_fees(total, FeeRates(rate, 0, 0))


def sample_market() -> MarketAccount:
    log, market_id = active_market()
    log.buy(market_id)
    return log.market(market_id)


def test_a_trade_needs_the_rates_in_force() -> None:
    event = models.SharesBought(bytes(32), ALICE, True, 1, 1, 1, 1)
    with pytest.raises(FactsMissing):
        fold_market(sample_market(), event, {}, None)


@pytest.mark.parametrize("proceeds", [0, 1, 2**64 - 1])
def test_a_sale_that_the_shares_do_not_explain_is_refused(proceeds: int) -> None:
    event = models.SharesSold(bytes(32), ALICE, True, P, proceeds, 1, 1)
    with pytest.raises(FactsMissing):
        fold_market(sample_market(), event, {}, FeeRates(300, 200, 500))


def test_a_sale_of_more_than_there_is_is_refused() -> None:
    event = models.SharesSold(bytes(32), ALICE, True, 2**64 - 1, 1, 1, 1)
    with pytest.raises(FactsMissing):
        fold_market(sample_market(), event, {}, FeeRates(300, 200, 500))
    with pytest.raises(FactsMissing):
        fold.fold_holding(fold.new_holding(bytes(32), ALICE, 255), event)


def test_a_position_beyond_u64_is_refused() -> None:
    event = models.SharesBought(bytes(32), ALICE, True, 2**64 - 1, 2**64 - 1, 1, 1)
    holding = fold.fold_holding(fold.new_holding(bytes(32), ALICE, 255), event)
    with pytest.raises(FactsMissing):
        fold.fold_holding(holding, event)


def test_the_counts_of_a_dispute_have_to_be_told() -> None:
    event = models.MarketFinalized(bytes(32), False, was_disputed=True, timestamp=5)
    with pytest.raises(FactsMissing):
        fold_market(sample_market(), event, {}, None)


def test_a_new_market_needs_its_instruction() -> None:
    with pytest.raises(FactsMissing):
        fold.new_market(models.MarketCreated(bytes(32), CREATOR, P, 0, 1), {}, 255)


def test_a_config_needs_its_history() -> None:
    with pytest.raises(FactsMissing):
        fold.fold_config(None, models.ProtocolPauseStatusChanged(is_paused=True, paused_by=ALICE, timestamp=1), {}, 1)
    with pytest.raises(FactsMissing):
        fold.fold_config(None, models.GlobalConfigInitialized(ALICE, BOB, 300, 1), {}, 1)


@pytest.mark.parametrize(
    ("event", "wallet", "time"),
    [
        (models.SharesBought(bytes(32), ALICE, True, 1, 1, 1, 7), ALICE, 7),
        (models.MarketCreated(bytes(32), CREATOR, 1, 0, 8), CREATOR, 8),
        (models.MarketResolved(bytes(32), RESOLVER, True, EVIDENCE_HASH, 9), RESOLVER, 9),
        (models.MarketCancelled(bytes(32), BOB, 10), BOB, 10),
        (models.MarketFinalized(bytes(32), None, was_disputed=False, timestamp=11), None, 11),
        (models.ConfigUpdated(1, 2, 3, 4, 5, 6, 7, 12), None, 12),
    ],
)
def test_who_acted_and_when(event: ChainEvent, wallet: bytes | None, time: int) -> None:
    assert (fold.wallet_of(event), fold.event_time(event)) == (wallet, time)


def test_every_event_ends_with_its_time() -> None:
    assert {kind._fields[-1] for kind in get_args(ChainEvent)} == {"timestamp", "cancelled_at"}


def test_seeds_are_what_a_walk_depends_on() -> None:
    assert Walk(3).walk(20).transactions == Walk(3).walk(20).transactions
    assert Walk(3).walk(20).transactions != Walk(4).walk(20).transactions
