"""The course of a market's price: its points, and candles per bucket of time. Prices are 10^9 = 1.0, times unix
seconds.
"""

from collections.abc import Iterator
from typing import NamedTuple

from zmart_lite import rules
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log.chainlog import FIRST_SLOT, LAST_SLOT
from zmart_lite.store.log.kept import AMOUNT_HIGH_UNIT, HOUR_S, MINUTE_S, Volume, amount_of

HALF = rules.P // 2


class Point(NamedTuple):
    at_s: int
    price: int


class Candle(NamedTuple):
    """One bucket, from ``start_s`` on. ``volume`` in lamports. Without trades all prices are the last close."""

    start_s: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int


# Trades before and since a moment

_TRADES = "events e JOIN trades t ON t.event_id = e.id WHERE e.market = ? AND e.is_trade = 1"
_NEWEST_FIRST = "ORDER BY e.slot DESC, e.index_in_block DESC, e.id DESC"


def list_points(tx: Tx, market: Row, from_s: int, to_s: int, limit: int) -> list[Point]:
    """The newest ``limit`` points in from ≤ t < to, oldest first: even odds at creation, then one per trade."""
    rows = tx.all(
        f"SELECT t.traded_at, t.new_price_yes FROM {_TRADES} AND e.timestamp >= ? AND e.timestamp < ?"
        f" AND e.slot >= {FIRST_SLOT} AND e.slot <= {LAST_SLOT} {_NEWEST_FIRST} LIMIT ?",
        (market["id"], from_s, to_s, from_s, to_s, limit),
    )
    points = [Point(row["traded_at"], int(row["new_price_yes"])) for row in reversed(rows)]
    created_at = market["created_at"]
    if len(points) < limit and from_s <= created_at < to_s:
        points.insert(0, Point(created_at, HALF))
    return points


def price_at(tx: Tx, market: int, unix_s: int) -> int:
    """The price of YES just before a unix second; 0.5 before the first trade."""
    text = tx.value(
        f"SELECT t.new_price_yes FROM {_TRADES} AND e.timestamp < ? AND e.slot <= {LAST_SLOT} {_NEWEST_FIRST} LIMIT 1",
        (market, unix_s, unix_s),
    )
    return HALF if text is None else int(text)


def traded_since(tx: Tx, market: int, since_s: int) -> Volume:
    """A market's trades from a unix second on: those of the minute it lies in, then whole minutes and hours."""
    minute_s, hour_s = _up_to(since_s, MINUTE_S), _up_to(since_s, HOUR_S)
    row = tx.one(
        "SELECT coalesce(sum(trades), 0) AS trades, coalesce(sum(cost_high), 0) AS high,"
        " coalesce(sum(cost_low), 0) AS low FROM ("
        f"SELECT trades, cost_high, cost_low FROM candles WHERE market = ? AND width_s = {MINUTE_S}"
        f" AND start_s >= ? AND start_s < ? UNION ALL SELECT trades, cost_high, cost_low FROM candles"
        f" WHERE market = ? AND width_s = {HOUR_S} AND start_s >= ?) parts",
        (market, minute_s, hour_s, market, hour_s),
    )
    # With a bare column the database would go through all trades of the market.
    edge = tx.all(
        "SELECT cost FROM trades WHERE (market + 0) = ? AND traded_at >= ? AND traded_at < ?",
        (market, since_s, minute_s),
    )
    whole = Volume() if row is None else Volume(row["high"] * AMOUNT_HIGH_UNIT + row["low"], row["trades"])
    return Volume(whole.lamports + sum(int(each["cost"]) for each in edge), whole.trades + len(edge))


def _up_to(unix_s: int, width_s: int) -> int:
    """The first multiple of ``width_s`` that is not before ``unix_s``."""
    return -(-unix_s // width_s) * width_s


# Candles


def list_candles(
    tx: Tx, market: Row, from_s: int, to_s: int, width_s: int, limit: int, *, whole: bool = True
) -> list[Candle]:
    """The newest ``limit`` buckets of ``width_s``, whole minutes, that touch from ≤ t < to, since the market's
    creation, oldest first. Not ``whole``: only their last price is looked up.
    """
    last = (to_s - 1) // width_s
    first = max(from_s, market["created_at"]) // width_s
    first = max(first, last - limit + 1)
    if limit == 0 or last < first:
        return []
    span = (first * width_s, width_s, last * width_s)
    closes = tx.all(f"{_BUCKETS} SELECT start_s, ({_CLOSE}) AS close FROM buckets", (*span, market["id"]))
    traded = {row["start_s"]: row for row in _extremes(tx, market["id"], span)} if whole else {}
    return list(_filled(closes, traded, price_at(tx, market["id"], first * width_s)))


# Buckets from a start on, of a width, up to a last start. Each with the whole hours in it, from_s to to_s: the minutes
# beside them are looked up one by one.
_BUCKETS = (
    "WITH RECURSIVE starts(start_s, width_s) AS (SELECT ?, ? UNION ALL"
    " SELECT start_s + width_s, width_s FROM starts WHERE start_s < ?),"
    " hours(start_s, end_s, first_s, last_s) AS (SELECT start_s, start_s + width_s,"
    f" (start_s + {HOUR_S - 1}) / {HOUR_S} * {HOUR_S}, (start_s + width_s) / {HOUR_S} * {HOUR_S} FROM starts),"
    " buckets(start_s, from_s, to_s, end_s) AS (SELECT start_s,"
    " CASE WHEN first_s < last_s THEN first_s ELSE end_s END, CASE WHEN first_s < last_s THEN last_s ELSE end_s END,"
    " end_s FROM hours)"
)
_CLOSE = (
    f"SELECT close FROM candles WHERE market = ? AND width_s = {MINUTE_S} AND start_s < buckets.end_s"
    " ORDER BY start_s DESC LIMIT 1"
)


def _extremes(tx: Tx, market: int, span: tuple[int, int, int]) -> list[Row]:
    """What the trades of each bucket with trades come to."""

    def part(width_s: int, from_s: str, to_s: str) -> str:
        return (
            "SELECT b.start_s, c.trades, c.cost_high, c.cost_low, c.highest, c.lowest FROM buckets b"
            f" CROSS JOIN candles c WHERE c.market = ? AND c.width_s = {width_s}"
            f" AND c.start_s >= b.{from_s} AND c.start_s < b.{to_s}"
        )

    parts = (part(MINUTE_S, "start_s", "from_s"), part(HOUR_S, "from_s", "to_s"), part(MINUTE_S, "to_s", "end_s"))
    return tx.all(
        f"{_BUCKETS} SELECT start_s, sum(trades) AS trades, sum(cost_high) AS cost_high, sum(cost_low) AS cost_low,"
        f" max(highest) AS highest, min(lowest) AS lowest FROM ({' UNION ALL '.join(parts)}) parts GROUP BY start_s",
        (*span, market, market, market),
    )


def _filled(closes: list[Row], traded: dict[int, Row], close: int) -> Iterator[Candle]:
    """A candle for every bucket; each opens where the one before closed."""
    for bucket in closes:
        before, close = close, HALF if bucket["close"] is None else int(bucket["close"])
        row = traded.get(bucket["start_s"])
        if row is None:
            yield Candle(bucket["start_s"], close, close, close, close, 0, 0)
            continue
        highest, lowest = max(before, int(row["highest"])), min(before, int(row["lowest"]))
        yield Candle(bucket["start_s"], before, highest, lowest, close, amount_of(row, "cost"), row["trades"])
