"""Counts all rows, to hold the figures that are kept against it."""

from typing import Any

from zmart_lite.models import VoteType
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import kept
from zmart_lite.store.log.kept import HOUR_S, MINUTE_S, MarketFigures, Volume

NAMED = {
    "markets": "SELECT state, count(*) FROM markets WHERE known = 1 GROUP BY state",
    "category": "SELECT listed_category, count(*) FROM markets WHERE known = 1 AND hidden = 0 GROUP BY listed_category",
    "intents": "SELECT status, count(*) FROM intents GROUP BY status",
    "alerts": "SELECT status || ':' || severity, count(*) FROM alerts GROUP BY 1",
    "cases": "SELECT alert_type, count(*) FROM alerts WHERE status <> 'resolved' GROUP BY alert_type",
    "runs": "SELECT job, count(*) FROM job_runs GROUP BY job",
    "failed_runs": "SELECT job, count(*) FROM job_runs WHERE result = 'failed' GROUP BY job",
}
COUNTED = {
    "events": "SELECT count(*) FROM events",
    "trades": "SELECT count(*) FROM trades",
    "votes": "SELECT count(*) FROM votes",
    "users": "SELECT count(*) FROM wallets",
}


def differences(tx: Tx) -> list[str]:
    """Where a kept figure is not what the rows come to."""
    found = [*_named(tx), *_totals(tx), *_markets(tx), *_wallets(tx), *_candles(tx)]
    return [f"{name}: kept {is_!r}, counted {should!r}" for name, is_, should in found if is_ != should]


def _named(tx: Tx) -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for prefix, sql in NAMED.items():
        counted = {str(row[0]): row[1] for row in tx.all(sql)}
        found.append((prefix, {name: count for name, count in kept.named(tx, prefix).items() if count}, counted))
    letters = tx.value("SELECT count(*) FROM dead_letters WHERE resolved_ms IS NULL")
    return [*found, ("dead_letters", kept.one(tx, "dead_letters"), letters)]


def _totals(tx: Tx) -> list[tuple[str, Any, Any]]:
    totals = kept.totals(tx)
    found: list[tuple[str, Any, Any]] = [(name, getattr(totals, name), tx.value(sql)) for name, sql in COUNTED.items()]
    volume = sum(int(row[0]) for row in tx.all("SELECT total_volume FROM markets WHERE known = 1"))
    found.append(("volume", totals.volume, volume))
    for kind in VoteType:
        sql = "SELECT count(*), count(DISTINCT market) FROM votes WHERE kind = ? AND aggregated = 0"
        row = tx.one(sql, (int(kind),))
        found.append((f"pending {kind.name}", tuple(kept.pending_votes(tx, kind)), row and tuple(row)))
    return found


def _markets(tx: Tx) -> list[tuple[str, Any, Any]]:
    return [
        (f"market {row['id']}", kept.market_figures(tx, row["id"]), _counted_market(tx, row["id"]))
        for row in tx.all("SELECT id FROM markets")
    ]


def _holding(owed: list[Row]) -> tuple[int, int, int]:
    """How many of them have YES shares, NO shares, or anything invested."""
    yes, no, any_ = (sum(int(row[side]) > 0 for row in owed) for side in ("shares_yes", "shares_no", "total_invested"))
    return yes, no, any_


def _counted_market(tx: Tx, market: int) -> MarketFigures:
    trades = tx.all("SELECT is_buy, cost FROM trades WHERE market = ?", (market,))
    held = tx.all("SELECT * FROM positions WHERE market = ?", (market,))
    owed = [row for row in held if not row["has_claimed"]]
    return MarketFigures(
        _volume([int(row["cost"]) for row in trades if row["is_buy"]]),
        _volume([int(row["cost"]) for row in trades if not row["is_buy"]]),
        len(held),
        *_holding(owed),
        sum(int(row["claimed_amount"]) for row in held),
    )


def _volume(costs: list[int]) -> Volume:
    return Volume(sum(costs), len(costs))


def _wallets(tx: Tx) -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for row in tx.all("SELECT id FROM wallets"):
        costs = [int(trade["cost"]) for trade in tx.all("SELECT cost FROM trades WHERE wallet = ?", (row["id"],))]
        found.append((f"wallet {row['id']}", kept.wallet_trades(tx, row["id"]), _volume(costs)))
    return found


def _candles(tx: Tx) -> list[tuple[str, Any, Any]]:
    drawn: dict[tuple[int, int, int], list[Any]] = {}
    for row in tx.all(
        "SELECT t.* FROM trades t JOIN events e ON e.id = t.event_id ORDER BY e.slot, e.index_in_block, e.id"
    ):
        price = row["new_price_yes"]
        for width_s in (MINUTE_S, HOUR_S):
            key = (row["market"], width_s, kept.candle_start(row["traded_at"], width_s))
            candle = drawn.setdefault(key, [0, 0, price, price, price])
            candle[:2] = candle[0] + 1, candle[1] + int(row["cost"])
            candle[2:] = max(candle[2], price), min(candle[3], price), price
    stored = {
        (row["market"], row["width_s"], row["start_s"]): [
            row["trades"],
            kept.amount_of(row, "cost"),
            row["highest"],
            row["lowest"],
            row["close"],
        ]
        for row in tx.all("SELECT * FROM candles")
    }
    return [("candles", stored, drawn)]
