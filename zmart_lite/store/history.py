"""The course of a market's price: its points, and candles per bucket of time. Prices are 10^9 = 1.0, times unix
seconds.
"""

from collections.abc import Iterator
from typing import NamedTuple

from zmart_lite import rules
from zmart_lite.store.db import Row, Tx
from zmart_lite.store.people import exact_sum, sum_of
from zmart_lite.store.summaries import price_at

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


def list_points(tx: Tx, market: Row, from_s: int, to_s: int, limit: int) -> list[Point]:
    """The newest ``limit`` points in from ≤ t < to, oldest first: even odds at creation, then one per trade."""
    rows = tx.all(
        "SELECT traded_at, new_price_yes FROM trades WHERE market = ? AND traded_at >= ? AND traded_at < ?"
        " ORDER BY slot DESC, index_in_block DESC, event_id DESC LIMIT ?",
        (market["id"], from_s, to_s, limit),
    )
    points = [Point(row["traded_at"], int(row["new_price_yes"])) for row in reversed(rows)]
    created_at = market["created_at"]
    if len(points) < limit and from_s <= created_at < to_s:
        points.insert(0, Point(created_at, HALF))
    return points


def list_candles(tx: Tx, market: Row, from_s: int, to_s: int, width_s: int, limit: int) -> list[Candle]:
    """The newest ``limit`` buckets of ``width_s`` that touch from ≤ t < to, since the market's creation, oldest
    first.
    """
    last = (to_s - 1) // width_s
    first = max(from_s, market["created_at"]) // width_s
    first = max(first, last - limit + 1)
    if limit == 0 or last < first:
        return []
    traded = {row["bucket"]: row for row in _buckets(tx, market["id"], first * width_s, (last + 1) * width_s, width_s)}
    return list(_filled(traded, range(first, last + 1), width_s, price_at(tx, market["id"], first * width_s)))


def _buckets(tx: Tx, market: int, from_s: int, to_s: int, width_s: int) -> list[Row]:
    """Buckets with trades: their extremes and the price after their last trade in chain order."""
    # The width is an integer of ours; as a parameter Postgres could not tell that both expressions are the same.
    bucket = f"(traded_at / {int(width_s)})"
    return tx.all(
        "SELECT sums.*, ends.new_price_yes AS close FROM"
        f" (SELECT {bucket} AS bucket, max(new_price_yes) AS highest, min(new_price_yes) AS lowest,"
        f" count(*) AS trades, {exact_sum('cost')} FROM trades"
        f" WHERE market = ? AND traded_at >= ? AND traded_at < ? GROUP BY {bucket}) sums"
        f" JOIN (SELECT {bucket} AS bucket, new_price_yes, ROW_NUMBER() OVER (PARTITION BY {bucket}"
        " ORDER BY slot DESC, index_in_block DESC, event_id DESC) AS place FROM trades"
        " WHERE market = ? AND traded_at >= ? AND traded_at < ?) ends ON ends.bucket = sums.bucket AND ends.place = 1",
        (market, from_s, to_s, market, from_s, to_s),
    )


def _filled(traded: dict[int, Row], numbers: range, width_s: int, close: int) -> Iterator[Candle]:
    """A candle for every bucket; each opens where the one before closed."""
    for number in numbers:
        row = traded.get(number)
        if row is None:
            yield Candle(number * width_s, close, close, close, close, 0, 0)
            continue
        before, close = close, int(row["close"])
        volume = sum_of(row)
        highest, lowest = max(before, int(row["highest"])), min(before, int(row["lowest"]))
        yield Candle(number * width_s, before, highest, lowest, close, volume, row["trades"])
