"""The rules against the program's published vectors, a second implementation of its formulas, and properties."""

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from tests.slow_rules import Refused, slow_buy, slow_cost, slow_exp, slow_ln, slow_price, slow_sell, slow_split
from zmart_lite import rules
from zmart_lite.codec import Codec
from zmart_lite.errors import ProgramError
from zmart_lite.models import MarketAccount, MarketState, UserPosition
from zmart_lite.rules import U32_MAX, U64_MAX, FeeRates, P

CODEC = Codec(bytes(Pubkey.from_string("7h3gXfBfYFueFVLYyfL5Qo1QGsf4GQUfW96FKVgnUsJS")))
RATES = FeeRates(300, 200, 500)
B = 1_000 * P
PRICE_MIN, PRICE_MAX = 66_987_297, 933_012_702


def outcome_of(function: Callable[..., Any], *args: Any) -> Any:
    """What a function returns, or the number of the error it ends in, by either implementation."""
    try:
        return function(*args)
    except ProgramError as error:
        return f"error {CODEC.error_code(error.name)}"
    except Refused as error:
        return f"error {error.args[0]}"


def log_uniform(random_source: random.Random, bits: int = 64) -> int:
    return random_source.getrandbits(random_source.randint(0, bits))


def any_market(random_source: random.Random) -> tuple[int, int, int]:
    """Share totals and b, mostly of markets that could exist, sometimes of none that does."""
    if random_source.randrange(4) == 0:
        return log_uniform(random_source), log_uniform(random_source), log_uniform(random_source)
    b = random_source.choice([100 * P, 99 * P, B, 10**6 * P, random_source.randint(100 * P, 10**15)])
    yes = b // 1_000 + random_source.choice([0, 0, random_source.randint(0, 24 * b)])
    no = b // 1_000 + random_source.choice([0, yes, random_source.randint(0, 24 * b), random_source.randint(0, b)])
    return yes, no, b


@pytest.mark.parametrize("name", ["exp", "ln", "cost", "price", "buy", "sell", "split"])
def test_both_implementations_agree_errors_included(name: str) -> None:
    source = random.Random(name)
    pairs: dict[str, tuple[Callable[..., Any], Callable[..., Any], int, Callable[[], tuple[Any, ...]]]] = {
        "exp": (rules.exp_fixed, slow_exp, 4_000, lambda: (log_uniform(source, 36),)),
        "ln": (rules.ln_fixed, slow_ln, 4_000, lambda: (log_uniform(source),)),
        "cost": (rules.cost_of, slow_cost, 4_000, lambda: any_market(source)),
        "price": (rules.price_yes, slow_price, 4_000, lambda: any_market(source)),
        "buy": (
            rules.buy,
            slow_buy,
            1_500,
            lambda: (*any_market(source), source.random() < 0.5, log_uniform(source, 50)),
        ),
        "sell": (
            rules.sell,
            slow_sell,
            3_000,
            lambda: (*any_market(source), source.random() < 0.5, log_uniform(source, 48)),
        ),
        "split": (
            split,
            slow_split,
            4_000,
            lambda: (log_uniform(source), *(source.choice([0, 300, 65_535]) for _ in "prl")),
        ),
    }
    ours, slow, count, arguments = pairs[name]
    seen = set()
    for _ in range(count):
        args = arguments()
        expected = outcome_of(slow, *args)
        assert outcome_of(ours, *args) == expected, args
        seen.add(expected if isinstance(expected, str) else "value")
    assert "value" in seen
    assert len(seen) > 1, "no error case was among them"


def split(amount: int, p: int, r: int, l: int) -> rules.Fees:  # noqa: E741
    return rules.split_fees(amount, FeeRates(p, r, l))


# Vectors


@pytest.mark.parametrize(
    ("x", "exponential", "reciprocal"),
    [
        (0, 1_000_000_000, 1_000_000_000),
        (1, 1_000_000_000, 1_000_000_000),
        (2, 1_000_000_002, 999_999_998),
        (500_000_000, 1_648_648_648, 606_557_377),
        (1_000_000_000, 2_714_285_715, 368_421_052),
        (2_000_000_000, 7_000_000_006, 142_857_142),
        (3_464_101_615, 13_928_203_246, 71_796_769),
        (20_000_000_000, 1_821_917_808, 548_872_180),
    ],
)
def test_exponential_vectors(x: int, exponential: int, reciprocal: int) -> None:
    assert (rules.exp_fixed(x), rules.nexp_fixed(x)) == (exponential, reciprocal)


@pytest.mark.parametrize(
    ("x", "logarithm"),
    [
        (1_000_000_000, 0),
        (1_500_000_000, 405_461_332),
        (1_999_999_999, 693_004_112),
        (2_000_000_000, 693_147_180),
        (2_718_281_828, 999_999_444),
        (10_000_000_000, 2_302_585_030),
    ],
)
def test_logarithm_vectors(x: int, logarithm: int) -> None:
    assert rules.ln_fixed(x) == logarithm


@pytest.mark.parametrize(
    ("shares_yes", "shares_no", "b", "cost", "price"),
    [
        (0, 0, 100 * P, 69_314_718_000, P // 2),
        (P, P, B, 694_147_180_000, P // 2),
        (1_010 * P, P, B, 1_321_260_268_000, 732_522_750),
        (0, 5_000 * P, B, 5_099_372_470_000, 94_594_594),
        (12_345_678_901, 98_765_432_109, 250 * P, 232_552_518_500, 414_432_315),
    ],
)
def test_cost_and_price_vectors(shares_yes: int, shares_no: int, b: int, cost: int, price: int) -> None:
    assert rules.cost_of(shares_yes, shares_no, b) == cost
    assert rules.price_yes(shares_yes, shares_no, b) == price


BUDGET = 909_090_909


@pytest.mark.parametrize(
    ("shares_yes", "outcome", "expected", "new_price"),
    [
        (P, True, (908_851_000, 2_099_871_638), 500_524_967),
        (P, False, (908_851_000, 2_099_871_638), 499_475_032),
        (11 * P, True, (908_812_000, 1_805_424_693), 502_951_321),
        (11 * P, False, (908_978_000, 1_828_670_504), 502_042_820),
    ],
)
def test_buy_vectors(shares_yes: int, outcome: bool, expected: tuple[int, int], new_price: int) -> None:
    assert rules.buy(shares_yes, P, B, outcome, BUDGET) == expected
    quote = rules.quote_buy(shares_yes, P, B, RATES, outcome, P)
    assert (quote.cost, quote.shares, quote.new_price_yes) == (*expected, new_price)


def test_the_first_buy_of_the_specification_with_its_fees() -> None:
    quote = rules.quote_buy(P, P, B, RATES, True, P)
    assert quote.fees == (27_265_530, 18_177_020, 45_442_550, 90_885_100)
    assert quote.total_cost == 999_736_100


@pytest.mark.parametrize(
    ("market", "outcome", "budget", "expected"),
    [
        ((11 * P, P, B), True, 90_909, (0, 0)),
        ((P, P, B), True, 9_740_999, "error 6034"),
        ((P, P, B), True, 9_741_000, (9_741_000, 305_175_781)),
        ((5_001 * P, P, B), False, BUDGET, "error 6034"),
        ((12_001 * P, P, B), True, BUDGET, "error 6039"),
        ((P, P, 99 * P), True, BUDGET, "error 6042"),
        ((P, P, U64_MAX // 20 + 1), True, BUDGET, "error 6033"),
    ],
)
def test_buy_vectors_at_the_edges(market: tuple[int, int, int], outcome: bool, budget: int, expected: Any) -> None:
    assert outcome_of(rules.buy, *market, outcome, budget) == expected


def test_sell_vectors() -> None:
    assert rules.sell(11 * P, P, B, True, 5 * P) == 2_512_690_000
    assert rules.sell(11 * P, P, B, True, 10 * P) == 4_876_138_000
    assert outcome_of(rules.sell, 11 * P, P, B, False, P + 1) == "error 6014"


@pytest.mark.parametrize(
    ("amount", "rates", "fees"),
    [
        (99, RATES, (2, 1, 6, 9)),
        (9_090, RATES, (272, 181, 456, 909)),
        (10_007, FeeRates(333, 111, 7), (333, 111, 7, 451)),
    ],
)
def test_fee_vectors(amount: int, rates: FeeRates, fees: tuple[int, ...]) -> None:
    assert rules.split_fees(amount, rates) == fees


def test_maximum_loss_vectors() -> None:
    assert rules.max_loss(100 * P) == 69_314_718_000
    assert rules.max_loss(B) == 693_147_180_000


def test_errors_of_the_primitives() -> None:
    assert outcome_of(rules.exp_fixed, 20 * P + 1) == "error 6039"
    assert outcome_of(rules.ln_fixed, 0) == "error 6040"
    assert outcome_of(rules.ln_fixed, 1) == "error 6034"
    assert outcome_of(rules.div_fixed, 1, 0) == "error 6035"
    assert outcome_of(rules.price_yes, P, P, 99 * P) == "error 6042"
    assert outcome_of(rules.budget_of, rules.TARGET_COST_MAX_LAMPORTS + 1) == "error 6033"
    assert rules.budget_of(rules.TARGET_COST_MAX_LAMPORTS) == rules.TARGET_COST_MAX_LAMPORTS * 10_000 // 11_000


def test_the_smallest_budgets_of_fresh_markets() -> None:
    for b, target_cost in ((100 * P, 1_071_510), (B, 10_715_100)):
        start = b // rules.START_SHARES_DIVISOR
        assert rules.quote_buy(start, start, b, RATES, True, target_cost).shares > 0
        assert outcome_of(rules.quote_buy, start, start, b, RATES, True, target_cost - 1) == "error 6034"


# Properties

b_parameters = st.sampled_from([100 * P, B, 10**6 * P, rules.B_PARAMETER_TRADABLE_MAX]) | st.integers(100 * P, 10**16)


@st.composite
def markets(draw: st.DrawFn, lead_max: int = 20) -> tuple[int, int, int]:
    """A market with a price: neither side leads by more than 20 b (less, if asked)."""
    b = draw(b_parameters)
    behind = draw(st.integers(0, min(20 * b, U64_MAX // 4)))
    ahead = behind + draw(st.integers(0, min(lead_max * b, U64_MAX // 4)))
    return (ahead, behind, b) if draw(st.booleans()) else (behind, ahead, b)


def only_integers(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(only_integers(each) for each in value)
    return type(value) is int


@given(st.integers(0, rules.EXPONENT_MAX))
@example(3_464_101_615)
def test_the_exponential_stays_within_its_peak_and_one(x: int) -> None:
    assert P <= rules.exp_fixed(x) <= 13_928_203_278
    assert 71_796_769 <= rules.nexp_fixed(x) <= P


@given(st.integers(0, 3_464_000_000), st.integers(0, 10**9))
def test_the_exponential_rises_up_to_its_peak(x: int, step: int) -> None:
    assert rules.exp_fixed(x) <= rules.exp_fixed(min(x + step, 3_464_000_000)) + 1


@given(markets())
def test_prices_stay_in_the_band_and_favour_the_leader(market: tuple[int, int, int]) -> None:
    price = rules.price_yes(*market)
    assert type(price) is int
    assert PRICE_MIN <= price <= PRICE_MAX
    assert (price >= P // 2) if market[0] >= market[1] else (price <= P // 2)
    assert rules.shown_price_yes(*market) == price


@given(markets())
def test_swapping_the_sides_mirrors_price_and_cost(market: tuple[int, int, int]) -> None:
    yes, no, b = market
    assert rules.cost_of(yes, no, b) == rules.cost_of(no, yes, b)
    assert abs(rules.price_yes(yes, no, b) + rules.price_yes(no, yes, b) - P) <= 1


def test_a_market_without_a_price_shows_one_half() -> None:
    assert rules.shown_price_yes(0, 0, 99 * P) == P // 2
    assert rules.shown_price_yes(21 * B, 0, B) == P // 2


@given(b_parameters, st.integers(0, 10**9), st.integers(10**6, 9 * P), st.integers(0, P))
def test_the_leading_side_costs_ever_more(b: int, behind: int, lead: int, step: int) -> None:
    """Off the balanced market, where the logarithm jumps, and up to the rounding of the series, which b multiplies."""
    behind, ahead = behind * b // P, (behind + lead) * b // P
    rounding = 4 * (b // P + 1)
    assert rules.cost_of(ahead + b * step // P, behind, b) >= rules.cost_of(ahead, behind, b) - rounding


@given(markets(lead_max=3), st.booleans(), st.integers(0, 10**14), st.integers(0, 10**12))
@settings(max_examples=60)
def test_a_larger_budget_buys_no_fewer_shares_but_for_rounding(
    market: tuple[int, int, int], outcome: bool, budget: int, more: int
) -> None:
    bought, bought_more = (outcome_of(rules.buy, *market, outcome, limit) for limit in (budget, budget + more))
    if isinstance(bought, str) or isinstance(bought_more, str):
        assert {bought, bought_more} & {"error 6033", "error 6034", "error 6039"}
        return
    step = 16 * (market[2] // P + 1)
    assert bought_more[1] >= bought[1] - rules.SEARCH_TOLERANCE - step


@given(markets(), st.booleans(), st.integers(0, rules.TARGET_COST_MAX_LAMPORTS))
@settings(max_examples=60)
def test_a_buy_quote_adds_up(market: tuple[int, int, int], outcome: bool, target_cost: int) -> None:
    try:
        quote = rules.quote_buy(*market, RATES, outcome, target_cost)
    except ProgramError:
        return
    assert only_integers(quote)
    assert quote.total_cost == quote.cost + quote.fees.total <= target_cost == quote.target_cost
    after = (market[0] + quote.shares, market[1]) if outcome else (market[0], market[1] + quote.shares)
    assert quote.new_price_yes == rules.price_yes(*after, market[2])
    assert rules.cost_of(*after, market[2]) - rules.cost_of(*market) == quote.cost


def test_a_trade_below_the_minimum_is_refused() -> None:
    assert outcome_of(rules.quote_buy, P, P, B, RATES, True, 9_999) == "error 6018"
    assert outcome_of(rules.quote_sell, P, P, B, RATES, True, 0) == "error 6018"


@pytest.mark.parametrize("rates", [FeeRates(300, 200, 500), FeeRates(0, 0, 1), FeeRates(400, 300, 299)])
def test_a_quote_for_shares_is_the_smallest_limit_that_buys_them(rates: FeeRates) -> None:
    source = random.Random(str(rates))
    found = 0
    for _ in range(60):
        b = source.choice([100 * P, B, 10**5 * P])
        yes, no = b // 1_000 + source.choice([0, source.randint(0, 12 * b)]), b // 1_000 + source.randint(0, 3 * b)
        outcome, wanted = source.random() < 0.5, source.randint(1, source.choice([10**7, 10**10, 12 * b]))
        try:
            quote = rules.quote_buy_shares(yes, no, b, rates, outcome, wanted)
        except ProgramError:
            continue
        found += 1
        assert only_integers(quote)
        assert quote.shares >= wanted
        assert quote == rules.quote_buy(yes, no, b, rates, outcome, quote.target_cost)
        for less in (1, 2, 1_000):
            below = outcome_of(rules.quote_buy, yes, no, b, rates, outcome, quote.target_cost - less)
            assert isinstance(below, str) or below.shares < wanted
    assert found > 20


def test_a_quote_for_shares_of_a_fresh_market_is_at_least_its_smallest_buy() -> None:
    quote = rules.quote_buy_shares(P, P, B, RATES, True, 1)
    assert (quote.target_cost, quote.shares) == (10_715_100, 305_175_781)


def test_a_quote_for_shares_finds_limits_below_those_that_probe_too_far() -> None:
    """A lead of 8 b: limits above some 11 b end in ExponentTooLarge, yet 9 b shares can be had below that."""
    quote = rules.quote_buy_shares(8_001 * P, P, B, RATES, True, 9_000 * P)
    assert quote.shares >= 9_000 * P
    assert outcome_of(rules.quote_buy, 8_001 * P, P, B, RATES, True, 2 * quote.target_cost) == "error 6039"


def test_a_quote_for_shares_that_cannot_be_had_says_why() -> None:
    def reason(*market: int, outcome: bool = True, shares: int = P, rates: FeeRates = RATES) -> Any:
        return outcome_of(rules.quote_buy_shares, *market, rates, outcome, shares)

    assert reason(P, P, 99 * P) == "error 6042"
    assert reason(12_001 * P, P, B) == "error 6039"
    assert reason(P, P, B, shares=21 * B) == "error 6016"
    assert reason(P, P, B, rates=FeeRates(0, 0, 0)) == "error 6035"
    assert reason(P, P, B, rates=FeeRates(10_000, 0, 0)) == "error 6015"


@given(markets(), st.booleans(), st.integers(0, U64_MAX))
@settings(max_examples=60)
def test_a_sell_quote_adds_up(market: tuple[int, int, int], outcome: bool, shares: int) -> None:
    try:
        quote = rules.quote_sell(*market, RATES, outcome, shares)
    except ProgramError:
        return
    assert only_integers(quote)
    assert quote.gross == rules.sell(*market, outcome, shares) >= rules.TRADE_MIN_LAMPORTS
    assert quote.proceeds + quote.fees.total == quote.gross


@given(st.integers(1, 10**16), st.booleans(), st.integers(rules.TRADE_MIN_LAMPORTS, 10**13))
@settings(max_examples=40)
def test_what_was_bought_sells_back_for_what_it_cost(lead: int, outcome: bool, target_cost: int) -> None:
    market = (P + lead % (3 * B), P, B)
    try:
        bought = rules.quote_buy(*market, RATES, outcome, target_cost)
    except ProgramError:
        return
    after = (market[0] + bought.shares, market[1]) if outcome else (market[0], market[1] + bought.shares)
    assert rules.sell(*after, B, outcome, bought.shares) == bought.cost


@given(st.integers(0, U64_MAX), *(st.integers(0, 65_535) for _ in range(3)))
def test_fees_add_up(amount: int, protocol: int, resolver: int, lp: int) -> None:
    fees = outcome_of(split, amount, protocol, resolver, lp)
    rate = protocol + resolver + lp
    if isinstance(fees, str):
        assert fees == ("error 6035" if amount * rate == 0 else "error 6033")
        return
    assert only_integers(fees)
    assert fees.protocol + fees.resolver + fees.lp == fees.total == amount * rate // 10_000
    assert fees.protocol <= Fraction(fees.total * protocol, rate)
    assert 0 <= fees.lp - Fraction(fees.total * lp, rate) < 2


def test_rates_all_zero_fail_as_on_chain() -> None:
    assert outcome_of(rules.split_fees, 10, FeeRates(0, 0, 0)) == "error 6035"


# Tallies

weights = st.integers(0, U64_MAX) | st.integers(0, 200)
thresholds = st.integers(0, 10_000)


def exactly_met(yes: int, no: int, threshold_bps: int) -> bool:
    return Fraction(yes, yes + no) >= Fraction(threshold_bps, 10_000)


@given(weights, weights, thresholds)
@example(7, 3, 7_000)
@example(6_999, 3_001, 7_000)
def test_thresholds_compare_exactly(yes: int, no: int, threshold_bps: int) -> None:
    assume(yes + no)
    assert rules.threshold_met(yes, no, threshold_bps) == exactly_met(yes, no, threshold_bps)
    assert rules.ratio_bps(yes, yes + no) == Fraction(10_000 * yes, yes + no).__floor__()


def test_thresholds_need_votes() -> None:
    assert not rules.threshold_met(0, 0, 0, votes_min=0)
    assert not rules.threshold_met(9, 0, 7_000, votes_min=10)
    assert rules.threshold_met(10, 0, 7_000, votes_min=10)
    assert rules.ratio_bps(0, 0) == 0


@given(weights, weights, thresholds)
@example(U32_MAX, 0, 6_000)
@example(U32_MAX, 1, 10_000)
@example(6 * 10**17 - 1, 4 * 10**17 + 1, 6_000)
def test_scaling_to_u32_never_changes_the_decision(agree: int, disagree: int, threshold_bps: int) -> None:
    assume(agree + disagree)
    scaled = rules.scale_to_u32(agree, disagree)
    assert only_integers(scaled)
    assert min(scaled) >= 0
    assert 0 < sum(scaled) <= U32_MAX
    assert rules.threshold_met(*scaled, threshold_bps) == exactly_met(agree, disagree, threshold_bps)
    if agree + disagree <= U32_MAX:
        assert scaled == (agree, disagree)


def test_no_weight_at_all_cannot_be_scaled() -> None:
    with pytest.raises(ValueError, match="no votes"):
        rules.scale_to_u32(0, 0)


# Claims, states, deadlines


def market_with(**changes: Any) -> MarketAccount:
    zeros = dict.fromkeys(MarketAccount._fields, 0) | {"proposed_outcome": None, "final_outcome": None}
    return MarketAccount(**(zeros | changes))


def position_with(**changes: Any) -> UserPosition:
    return UserPosition(**(dict.fromkeys(UserPosition._fields, 0) | changes))


def test_winners_share_the_nominal_liquidity_and_refunds_return_what_was_invested() -> None:
    position = position_with(shares_yes=3, shares_no=5, total_invested=77)
    totals = {"shares_yes": 10, "shares_no": 20, "current_liquidity": 1_001}
    assert rules.claim_amount(market_with(final_outcome=True, **totals), position) == 300
    assert rules.claim_amount(market_with(final_outcome=False, **totals), position) == 250
    assert rules.claim_amount(market_with(**totals), position) == 77
    assert rules.claim_amount(market_with(final_outcome=True), position) == 0


@given(st.lists(st.integers(0, U64_MAX), min_size=1, max_size=8), st.integers(0, U64_MAX))
def test_claims_never_exceed_the_liquidity(holdings: list[int], liquidity: int) -> None:
    assert sum(rules.winning_share(shares, sum(holdings), liquidity) for shares in holdings) <= liquidity


def test_states_follow_each_other_as_specified() -> None:
    allowed = {(old.name, new.name) for old in MarketState for new in MarketState if rules.can_follow(old, new)}
    assert allowed == {
        ("PROPOSED", "APPROVED"),
        ("PROPOSED", "CANCELLED"),
        ("APPROVED", "ACTIVE"),
        ("APPROVED", "CANCELLED"),
        ("ACTIVE", "RESOLVING"),
        ("RESOLVING", "DISPUTED"),
        ("RESOLVING", "FINALIZED"),
        ("DISPUTED", "RESOLVING"),
        ("DISPUTED", "FINALIZED"),
    }


def test_what_people_may_ask_for_in_which_state() -> None:
    assert {action: [state.name for state in states] for action, states in rules.ACTION_STATES.items()} == {
        "aggregate_proposal_votes": ["PROPOSED"],
        "approve_proposal": ["PROPOSED"],
        "cancel_market": ["PROPOSED", "APPROVED"],
        "activate_market": ["APPROVED"],
        "resolve_market": ["ACTIVE"],
        "initiate_dispute": ["RESOLVING"],
        "finalize_market": ["RESOLVING", "DISPUTED"],
    }


def test_deadlines_and_constants() -> None:
    assert rules.dispute_deadline(1_700_000_000, 259_200) == 1_700_259_200
    assert rules.MARKET_RENT_LAMPORTS == 4_287_360
    assert rules.TARGET_COST_MAX_LAMPORTS == 1_844_674_407_370_955
    assert rules.B_PARAMETER_TRADABLE_MAX == 922_337_203_685_477_580
