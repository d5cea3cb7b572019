"""Figures that are kept, so that no request counts rows.

Triggers of the schema keep most of them. Events, trades and votes come in bulk, and are counted here by whoever writes
them: once per batch, which costs a small part of what a trigger per row would.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from zmart_lite.models import SEVERITIES, MarketState, UserPosition, VoteType
from zmart_lite.store.engine.db import Row, Tx

MINUTE_S, HOUR_S = 60, 3_600
MOMENT_MIN = -(2**63)
AMOUNT_HIGH_UNIT = 10_000_000_000
"""Sums of u64 amounts are kept as high * this + low: one alone could pass what a database's integer holds."""


class Trade(NamedTuple):
    """What is counted of a trade. ``cost`` in lamports; ``price`` is the text that is stored."""

    market: int
    wallet: int
    is_buy: int
    cost: int
    price: str
    traded_at: int


def amount_of(row: Row, name: str) -> int:
    """The exact sum of the columns ``<name>_high`` and ``<name>_low``; 0 over no rows."""
    return int(row[f"{name}_high"] or 0) * AMOUNT_HIGH_UNIT + int(row[f"{name}_low"] or 0)


# Counting what came


def count_events(tx: Tx, events: int) -> None:
    if events:
        tx.execute("UPDATE grand_totals SET events = events + ? WHERE id = 1", (events,))


def count_votes(tx: Tx, market: int, kind: VoteType, count: int) -> None:
    """Enter new votes on one market, which have just been stored and none of which is recorded on chain."""
    others = tx.one(
        "SELECT 1 FROM votes WHERE kind = ? AND market = ? AND aggregated = 0 LIMIT 1 OFFSET ?",
        (int(kind), market, count),
    )
    tx.execute(
        "UPDATE vote_totals SET votes = votes + ?, pending = pending + ?, markets = markets + ? WHERE kind = ?",
        (count, count, int(others is None), int(kind)),
    )


def count_trades(tx: Tx, trades: Sequence[Trade]) -> None:
    """Enter new trades, which are in chain order within their market, into the figures and candles."""
    if not trades:
        return
    tx.execute("UPDATE grand_totals SET trades = trades + ? WHERE id = 1", (len(trades),))
    _count_by_market(tx, trades)
    _count_by_wallet(tx, trades)
    _draw_candles(tx, trades)


def count_positions(tx: Tx, new: Sequence[tuple[int, UserPosition]]) -> None:
    """Enter new positions, each with its market's key, into the figures. What changes later, triggers follow."""
    figures: dict[int, list[int]] = {}
    for market, position in new:
        found = figures.setdefault(market, [0, 0, 0, 0, 0])
        found[0] += 1
        found[4] += position.claimed_amount
        if not position.has_claimed:
            found[1] += position.shares_yes > 0
            found[2] += position.shares_no > 0
            found[3] += position.total_invested > 0
    tx.execute_many(
        "INSERT INTO market_figures (market, positions, owed_yes, owed_no, owed_any, claimed_high, claimed_low)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (market) DO UPDATE SET positions = positions + excluded.positions,"
        " owed_yes = owed_yes + excluded.owed_yes, owed_no = owed_no + excluded.owed_no,"
        " owed_any = owed_any + excluded.owed_any, claimed_high = claimed_high + excluded.claimed_high,"
        " claimed_low = claimed_low + excluded.claimed_low",
        [(market, *counts, *divmod(claimed, AMOUNT_HIGH_UNIT)) for market, (*counts, claimed) in figures.items()],
    )


def _count_by_market(tx: Tx, trades: Sequence[Trade]) -> None:
    figures: dict[int, list[int]] = {}
    for market, _, is_buy, cost, _, _ in trades:
        found = figures.setdefault(market, [0, 0, 0, 0])
        side = 0 if is_buy else 2
        found[side] += 1
        found[side + 1] += cost
    tx.execute_many(
        "INSERT INTO market_figures (market, bought, bought_high, bought_low, sold, sold_high, sold_low)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (market) DO UPDATE SET bought = bought + excluded.bought,"
        " bought_high = bought_high + excluded.bought_high, bought_low = bought_low + excluded.bought_low,"
        " sold = sold + excluded.sold, sold_high = sold_high + excluded.sold_high,"
        " sold_low = sold_low + excluded.sold_low",
        [
            (market, bought, *divmod(paid, AMOUNT_HIGH_UNIT), sold, *divmod(received, AMOUNT_HIGH_UNIT))
            for market, (bought, paid, sold, received) in figures.items()
        ],
    )


def _count_by_wallet(tx: Tx, trades: Sequence[Trade]) -> None:
    figures: dict[int, list[int]] = {}
    for _, wallet, _, cost, _, _ in trades:
        found = figures.setdefault(wallet, [0, 0])
        found[0] += 1
        found[1] += cost
    tx.execute_many(
        "INSERT INTO wallet_figures (wallet, trades, cost_high, cost_low) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (wallet) DO UPDATE SET trades = trades + excluded.trades,"
        " cost_high = cost_high + excluded.cost_high, cost_low = cost_low + excluded.cost_low",
        [(wallet, count, *divmod(cost, AMOUNT_HIGH_UNIT)) for wallet, (count, cost) in figures.items()],
    )


def _draw_candles(tx: Tx, trades: Sequence[Trade]) -> None:
    candles: dict[tuple[int, int, int], list[Any]] = {}
    for market, _, _, cost, price, traded_at in trades:
        for width_s in (MINUTE_S, HOUR_S):
            # As candle_start has it, which is asked only once for each candle.
            key = market, width_s, traded_at - traded_at % width_s
            found = candles.get(key)
            if found is None:
                candles[key] = [1, cost, price, price, price]
                continue
            found[0] += 1
            found[1] += cost
            if price > found[2]:
                found[2] = price
            elif price < found[3]:
                found[3] = price
            found[4] = price
    tx.execute_many(
        "INSERT INTO candles (market, width_s, start_s, trades, cost_high, cost_low, highest, lowest, close)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (market, width_s, start_s) DO UPDATE SET"
        " trades = trades + excluded.trades, cost_high = cost_high + excluded.cost_high,"
        " cost_low = cost_low + excluded.cost_low, close = excluded.close,"
        " highest = CASE WHEN excluded.highest > highest THEN excluded.highest ELSE highest END,"
        " lowest = CASE WHEN excluded.lowest < lowest THEN excluded.lowest ELSE lowest END",
        [
            (*key[:2], candle_start(key[2], key[1]), count, *divmod(cost, AMOUNT_HIGH_UNIT), *prices)
            for key, (count, cost, *prices) in candles.items()
        ],
    )


def candle_start(traded_at: int, width_s: int) -> int:
    """The unix second with which the candle of a trade begins; a chain may claim any moment that 64 bits can say."""
    start = traded_at - traded_at % width_s
    return max(MOMENT_MIN, start)


def drop_candles(tx: Tx, market: int) -> None:
    """Before a market is folded again."""
    tx.execute("DELETE FROM candles WHERE market = ?", (market,))


# What they come to


class Volume(NamedTuple):
    """Lamports and number of some trades."""

    lamports: int = 0
    trades: int = 0
    wallets: int = 0


class MarketFigures(NamedTuple):
    """Trades and positions of a market. ``owed_…``: positions that have not claimed and have YES shares, NO shares, or
    anything invested. ``claimed``: lamports of all claims.
    """

    bought: Volume = Volume()
    sold: Volume = Volume()
    positions: int = 0
    owed_yes: int = 0
    owed_no: int = 0
    owed_any: int = 0
    claimed: int = 0


def market_figures(tx: Tx, market: int) -> MarketFigures:
    row = tx.one("SELECT * FROM market_figures WHERE market = ?", (market,))
    if row is None:
        return MarketFigures()
    return MarketFigures(
        Volume(amount_of(row, "bought"), row["bought"]),
        Volume(amount_of(row, "sold"), row["sold"]),
        row["positions"],
        row["owed_yes"],
        row["owed_no"],
        row["owed_any"],
        amount_of(row, "claimed"),
    )


def wallet_trades(tx: Tx, wallet: int) -> Volume:
    """All trades of a wallet."""
    row = tx.one("SELECT * FROM wallet_figures WHERE wallet = ?", (wallet,))
    return Volume() if row is None else Volume(amount_of(row, "cost"), row["trades"])


class Totals(NamedTuple):
    """Counts over everything; ``volume`` in lamports."""

    markets: dict[str, int]
    trades: int
    votes: int
    events: int
    users: int
    volume: int


def totals(tx: Tx) -> Totals:
    row = tx.one("SELECT * FROM grand_totals WHERE id = 1")
    if row is None:
        raise RuntimeError("the schema enters this row")
    return Totals(
        markets_by_state(tx),
        row["trades"],
        int(tx.value("SELECT sum(votes) FROM vote_totals")),
        row["events"],
        # Wallets are never removed, and their keys have no gaps.
        int(tx.value("SELECT coalesce(max(id), 0) FROM wallets")),
        amount_of(row, "volume"),
    )


def named(tx: Tx, prefix: str) -> dict[str, int]:
    """Counts by the rest of their name, of those that begin with ``prefix`` and a colon."""
    rows = tx.all("SELECT name, value FROM totals WHERE name >= ? AND name < ?", (f"{prefix}:", f"{prefix};"))
    return {row["name"][len(prefix) + 1 :]: row["value"] for row in rows}


def one(tx: Tx, name: str) -> int:
    return int(tx.value("SELECT value FROM totals WHERE name = ?", (name,)) or 0)


def markets_by_state(tx: Tx) -> dict[str, int]:
    found = named(tx, "markets")
    return {state.name: found.get(str(int(state)), 0) for state in MarketState}


class PendingVotes(NamedTuple):
    """Votes not yet recorded on chain, and the number of their markets."""

    votes: int
    markets: int


def pending_votes(tx: Tx, kind: VoteType) -> PendingVotes:
    row = tx.one("SELECT pending, markets FROM vote_totals WHERE kind = ?", (int(kind),))
    return PendingVotes(0, 0) if row is None else PendingVotes(row["pending"], row["markets"])


def open_alerts(tx: Tx) -> dict[str, int]:
    """Number of open alerts by severity."""
    found = named(tx, "alerts:open")
    return {severity: found.get(severity, 0) for severity in SEVERITIES}
