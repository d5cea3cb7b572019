"""Kept figures equal what counting the rows would tell, whatever is written in whichever order."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.indexer.projection import Database
from tests.store.market_rows import add_market, add_wallet, hold, log_event
from tests.store.voting import insert_vote
from zmart_lite.models import MarketState, SharesBought, SharesSold, VoteType
from zmart_lite.simulation.kept_figures import differences
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog, kept
from zmart_lite.store.log.kept import Trade, Volume
from zmart_lite.store.state import alerts, intents, markets, positions, runs
from zmart_lite.store.views import history
from zmart_lite.store.views.history import Candle

U64_MAX = 2**64 - 1
WALLETS = [bytes([30 + number]) * 32 for number in range(4)]
MOMENTS = st.integers(1_700_000_000, 1_700_000_000 + 30_000)

small = st.integers(0, 3)
Write = Callable[[Database, int, int], None]


def vote(database: Database, a: int, b: int) -> None:
    market, wallet, kind = 1 + b % 2, add_wallet(database, WALLETS[a]), VoteType(b // 2)

    def unit(tx: Tx) -> None:
        place = (market, wallet, int(kind))
        if tx.execute("UPDATE votes SET aggregated = 0 WHERE market = ? AND wallet = ? AND kind = ?", place) == 0:
            insert_vote(tx, market, wallet, kind)
            kept.count_votes(tx, market, kind, 1)

    database.write(unit)


def record_votes(database: Database, a: int, b: int) -> None:
    kind = VoteType(a % 2)
    sql = "UPDATE votes SET aggregated = 1 WHERE market = ? AND kind = ? AND wallet <= ?"
    database.write(lambda tx: tx.execute(sql, (1 + b % 2, int(kind), b)))


def drop_votes(database: Database, a: int, b: int) -> None:
    database.write(lambda tx: tx.execute("DELETE FROM votes WHERE market = ? AND kind = ?", (1 + a % 2, b % 2)))


def hold_shares(database: Database, a: int, b: int) -> None:
    hold(database, 1 + a % 2, WALLETS[a], b % 2 * U64_MAX, b // 2)


def claim(database: Database, a: int, b: int) -> None:
    database.write(
        lambda tx: tx.execute(
            "UPDATE positions SET has_claimed = ?, claimed_amount = ? WHERE wallet = ?",
            (b % 2, f"{b * U64_MAX // 3:020d}", a),
        )
    )


def change_market(database: Database, a: int, b: int) -> None:
    values = (a, b % 2, ("crypto", "sports")[a % 2], f"{a * U64_MAX // 3:020d}", b // 2, 1 + b % 2)
    sql = "UPDATE markets SET state = ?, hidden = ?, listed_category = ?, total_volume = ?, known = ? WHERE id = ?"
    database.write(lambda tx: tx.execute(sql, values))


def alert(database: Database, a: int, b: int) -> None:
    if b == 3:
        database.write(lambda tx: alerts.resolve_alert(tx, "stuck_market", str(a)))
    else:
        database.write(lambda tx: alerts.raise_alert(tx, "stuck_market", alerts.SEVERITIES[b], "x", subject=str(a)))


def acknowledge(database: Database, a: int, b: int) -> None:
    database.write(lambda tx: alerts.acknowledge_alert(tx, a + 1, WALLETS[b]))
    database.write(lambda tx: tx.execute("DELETE FROM alerts WHERE id = ?", (b + 1,)))


def intent(database: Database, a: int, b: int) -> None:
    database.write(lambda tx: intents.open_intent(tx, "finalize_market", str(a), {}))
    database.write(lambda tx: intents.set_ended(tx, b + 1, "failed"))


def run_job(database: Database, a: int, b: int) -> None:
    database.write(lambda tx: runs.add_run(tx, ("poll", "prune")[a % 2]))
    database.write(lambda tx: runs.end_run(tx, b + 1, ("ok", "failed")[a // 2], 0, 0, 0, 0, error=None))
    database.write(lambda tx: tx.execute("DELETE FROM job_runs WHERE id = ?", (b,)))


def dead_letter(database: Database, a: int, b: int) -> None:
    database.write(lambda tx: chainlog.add_dead_letter(tx, "event", "odd", signature=bytes([a]) * 64, event_index=0))
    database.write(lambda tx: chainlog.resolve_dead_letters(tx, bytes([b]) * 64, "well"))


WRITES: list[Write] = [
    *(vote, record_votes, drop_votes, hold_shares, claim, change_market),
    *(alert, acknowledge, intent, run_job, dead_letter),
]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(WRITES), small, small), min_size=10, max_size=60))
def test_figures_follow_every_write(writes: list[tuple[Write, int, int]]) -> None:
    database = Database()
    for number in (1, 2):
        add_market(database, number)
    for write, a, b in writes:
        write(database, a, b)
    assert differences(database.tx) == []


def test_a_figure_that_is_wrong_is_told_of() -> None:
    database = Database()
    add_market(database, 1)
    vote(database, 0, 0)
    database.write(lambda tx: tx.execute("UPDATE vote_totals SET pending = 7"))
    database.write(lambda tx: tx.execute("UPDATE totals SET value = 5 WHERE name = 'markets:0'"))
    assert len(differences(database.tx)) == 3


# Trades


trades = st.lists(
    st.builds(
        Trade,
        market=st.just(1),
        wallet=st.integers(1, 3),
        is_buy=st.integers(0, 1),
        cost=st.one_of(st.integers(0, 5), st.integers(0, U64_MAX)),
        price=st.integers(0, 10**9).map(lambda price: f"{price:020d}"),
        traded_at=MOMENTS,
    ),
    max_size=40,
)


def enter(database: Database, found: list[Trade]) -> dict[str, Any]:
    """A market with these trades, each in a slot of its own, entered in batches of three; the market's row."""
    market = add_market(database, 1, MarketState.ACTIVE, created_at=1_700_000_000)
    rows = []
    for wallet in WALLETS:
        add_wallet(database, wallet)
    for number, trade in enumerate(found):
        make = SharesBought if trade.is_buy else SharesSold
        event = make(bytes([1]) * 32, WALLETS[0], True, 1, trade.cost, int(trade.price), trade.traded_at)
        event_id, _ = log_event(database, event, market, trade.wallet, number=number, slot=100 + number)
        rows.append(positions.trade_row(event, event_id, market, trade.wallet))
    for start in range(0, len(rows), 3):
        part = rows[start : start + 3]
        database.write(lambda tx, part=part: positions.add_trades(tx, part))
    row = database.tx.one("SELECT * FROM markets WHERE id = ?", (market,))
    assert row is not None
    return dict(row)


@settings(max_examples=30)
@given(trades.map(lambda found: sorted(found, key=lambda trade: trade.traded_at)), MOMENTS)
def test_what_was_traded_since(found: list[Trade], since_s: int) -> None:
    database = Database()
    market = enter(database, found)
    assert differences(database.tx) == []
    late = [trade.cost for trade in found if trade.traded_at >= since_s]
    assert history.traded_since(database.tx, market["id"], since_s) == Volume(sum(late), len(late))
    early = [int(trade.price) for trade in found if trade.traded_at < since_s]
    assert history.price_at(database.tx, market["id"], since_s) == (early[-1] if early else history.HALF)
    database.write(lambda tx: positions.forget_market(tx, market["id"]))
    assert differences(database.tx) == []
    assert kept.totals(database.tx).trades == 0


WIDTHS_S = st.sampled_from([60, 300, 59 * 60, 3_600, 61 * 60, 7_200, 95 * 60, 1_440 * 60, 1_439 * 60])


@settings(max_examples=60)
@given(trades.map(lambda found: sorted(found, key=lambda trade: trade.traded_at)), WIDTHS_S, MOMENTS, st.integers(1, 9))
def test_candles_are_those_of_the_trades(found: list[Trade], width_s: int, to_s: int, limit: int) -> None:
    database = Database()
    market = enter(database, found)
    drawn = history.list_candles(database.tx, market, 0, to_s, width_s, limit)
    assert drawn == expected(found, to_s, width_s, limit)
    plain = history.list_candles(database.tx, market, 0, to_s, width_s, limit, whole=False)
    assert [(each.start_s, each.close) for each in plain] == [(each.start_s, each.close) for each in drawn]


def expected(found: list[Trade], to_s: int, width_s: int, limit: int) -> list[Candle]:
    """Bucket by bucket, from the trades themselves."""
    last = (to_s - 1) // width_s
    first = max(1_700_000_000 // width_s, last - limit + 1)
    candles = []
    for number in range(first, last + 1):
        before = [int(trade.price) for trade in found if trade.traded_at < number * width_s]
        inside = [trade for trade in found if trade.traded_at // width_s == number]
        opened = before[-1] if before else history.HALF
        prices = [opened, *(int(trade.price) for trade in inside)]
        volume = sum(trade.cost for trade in inside)
        candles.append(Candle(number * width_s, opened, max(prices), min(prices), prices[-1], volume, len(inside)))
    return candles


def test_records_of_a_new_market_count_nothing() -> None:
    database = Database()
    database.write(lambda tx: markets.add_record(tx, bytes(32), bytes(32)))
    assert sum(kept.totals(database.tx).markets.values()) == 0
