"""The course of a market's price: points and candles (contract 2.3)."""

from dataclasses import dataclass
from typing import NamedTuple

from zmart_lite.api.contract import parsers
from zmart_lite.api.contract.endpoints import Endpoint
from zmart_lite.api.contract.naming import path_market
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import Problems, check_span, field, limit_parser
from zmart_lite.api.openapi import examples
from zmart_lite.shown import TIME_MAX_S, percent, time_text
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.views import history, lookups
from zmart_lite.store.views.history import Candle, Point
from zmart_lite.store.views.rows import Json, chance

POINTS_MAX = 1_000
MINUTE_S = 60
FIDELITY_MAX = 1_440
INTERVALS_S = {"1h": 3_600, "6h": 21_600, "1d": 86_400, "1w": 604_800, "1m": 2_592_000}
"""``1m`` is a month of 30 days, as elsewhere in this field."""
WHOLE = "max"
OWN_RANGE = "custom"


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    limit: int = field(limit_parser(POINTS_MAX), 100)
    interval: str | None = field(parsers.word(*INTERVALS_S, WHOLE), None, help="How far back; 1m is a month.")
    from_: int | None = field(parsers.time_ms, None, name="from")
    to: int | None = field(parsers.time_ms, None)
    fidelity: int | None = field(parsers.integer(1, FIDELITY_MAX), None, help="Minutes per point.")
    ohlc: bool = field(parsers.boolean, False, help="Also candles; needs fidelity.")

    def check(self) -> Problems:
        if self.ohlc and self.fidelity is None:
            yield "fidelity", "is required with ohlc"
        if self.interval is not None and (self.from_ is not None or self.to is not None):
            yield "interval", "give either interval or from and to"
        yield from check_span(self.from_, self.to)


class Window(NamedTuple):
    """from ≤ t < to, in unix seconds."""

    from_s: int
    to_s: int


def _window(fields: HistoryQuery, now_s: int) -> Window:
    if fields.interval in INTERVALS_S:
        return Window(now_s - INTERVALS_S[fields.interval], now_s + 1)
    from_s = 0 if fields.from_ is None else -(-fields.from_ // 1_000)
    to_s = now_s + 1 if fields.to is None else -(-fields.to // 1_000)
    return Window(from_s, min(to_s, now_s + 1))


async def price_history(request: Request, fields: HistoryQuery) -> Json:
    ref, now_s = path_market(request), request.parts.feed().chain_now()
    window = _window(fields, now_s)

    def run(tx: Tx) -> tuple[Row, list[Point], list[Candle]]:
        market = lookups.get_market(tx, ref)
        if fields.fidelity is None:
            return market, history.list_points(tx, market, *window, fields.limit), []
        width_s = fields.fidelity * MINUTE_S
        candles = history.list_candles(tx, market, *window, width_s, fields.limit, whole=fields.ohlc)
        return market, [Point(min(candle.start_s + width_s, now_s), candle.close) for candle in candles], candles

    market, points, candles = await request.read(run)
    given_range = fields.from_ is not None or fields.to is not None
    return {
        "market_id": market["market_id"].hex(),
        "price_history": [_point(point) for point in points],
        "count": len(points),
        "interval": OWN_RANGE if given_range else fields.interval or WHOLE,
        "fidelity": fields.fidelity,
        "candles": [_candle(candle) for candle in candles] if fields.ohlc else None,
    }


def _point(point: Point) -> Json:
    return {"timestamp": time_text(point.at_s), "t": min(point.at_s, TIME_MAX_S), **chance(point.price)}


def _candle(candle: Candle) -> Json:
    return {
        "t": candle.start_s,
        "start": time_text(candle.start_s),
        "open": percent(candle.open),
        "high": percent(candle.high),
        "low": percent(candle.low),
        "close": percent(candle.close),
        "volume": str(candle.volume),
        "trades": candle.trades,
    }


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/markets/{id}/price-history",
        price_history,
        "The course of a market's price",
        fields=HistoryQuery,
        answer=examples.PRICE_HISTORY,
        tag="markets",
    ),
)
