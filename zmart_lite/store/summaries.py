"""Figures over many rows: a market's statistics, what is going on, what is popular. Sums are exact.

Windows of 24 hours are reckoned by the chain's clock, which is an argument.
"""

from typing import Any, NamedTuple

from zmart_lite import rules
from zmart_lite.models import MarketState
from zmart_lite.store.alerts import SEVERITIES
from zmart_lite.store.amounts import u64_text
from zmart_lite.store.db import Row, Tx
from zmart_lite.store.people import exact_sum, sum_of
from zmart_lite.store.rows import TRADE_COLUMNS, TRADE_JOINS

DAY_S = 86_400
WEEK_S = 7 * DAY_S
CATEGORIES_SHOWN = 5
ACTIVE = int(MarketState.ACTIVE)
HALF = rules.P // 2


class Volume(NamedTuple):
    """Lamports and number of some trades."""

    lamports: int = 0
    trades: int = 0
    wallets: int = 0


def _volume(row: Row | None) -> Volume:
    return Volume() if row is None else Volume(sum_of(row), row["trades"], row["wallets"])


_VOLUME = f"SELECT {exact_sum('t.cost')}, count(*) AS trades, count(DISTINCT t.wallet) AS wallets FROM trades t"


def volume_since(tx: Tx, since_s: int) -> Volume:
    """All trades from a unix second on."""
    return _volume(tx.one(f"{_VOLUME} WHERE t.traded_at >= ?", (since_s,)))


class MarketStats(NamedTuple):
    """A market's trades and positions. ``unclaimed``: winning positions that have not claimed."""

    bought: Volume
    sold: Volume
    day: Volume
    traders: int
    positions: int
    unclaimed: int


def market_stats(tx: Tx, market: Row, now_s: int) -> MarketStats:
    """``market``: a row with the columns of markets."""
    key = market["id"]

    def volume(condition: str, *values: Any) -> Volume:
        return _volume(tx.one(f"{_VOLUME} WHERE t.market = ? AND {condition}", (key, *values)))

    return MarketStats(
        volume("t.is_buy = 1"),
        volume("t.is_buy = 0"),
        volume("t.traded_at >= ?", now_s - DAY_S),
        int(tx.value("SELECT count(DISTINCT wallet) FROM trades WHERE market = ?", (key,))),
        int(tx.value("SELECT count(*) FROM positions WHERE market = ?", (key,))),
        _count_unclaimed(tx, market),
    )


def _count_unclaimed(tx: Tx, market: Row) -> int:
    """Positions of a FINALIZED market that could still claim something."""
    if market["state"] != MarketState.FINALIZED:
        return 0
    outcome = market["final_outcome"]
    column = "total_invested" if outcome is None else ("shares_yes" if outcome else "shares_no")
    sql = f"SELECT count(*) FROM positions WHERE market = ? AND has_claimed = 0 AND {column} > ?"
    return int(tx.value(sql, (market["id"], u64_text(0))))


# Trending


class Trend(NamedTuple):
    """A market of the last 24 hours, and its price before them."""

    market: Row
    day: Volume
    price_then: int

    @property
    def score(self) -> float:
        """0.6 · volume in SOL + 0.4 · traders."""
        return _score_scaled(self.day) / (10 * rules.P)


def _score_scaled(day: Volume) -> int:
    return 6 * day.lamports + 4 * day.wallets * rules.P


_TREND_SELECT = "SELECT m.*, mt.question FROM markets m LEFT JOIN market_texts mt ON mt.market = m.id"
_VISIBLE = "m.known = 1 AND m.hidden = 0"


def trending(tx: Tx, now_s: int, limit: int) -> list[Trend]:
    """The ACTIVE, visible markets with the highest scores; quiet ones, newest first, fill up."""
    rows = tx.all(
        f"SELECT t.market, {exact_sum('t.cost')}, count(*) AS trades, count(DISTINCT t.wallet) AS wallets"
        f" FROM trades t JOIN markets m ON m.id = t.market WHERE t.traded_at >= ? AND m.state = ? AND {_VISIBLE}"
        " GROUP BY t.market",
        (now_s - DAY_S, ACTIVE),
    )
    days = {row["market"]: _volume(row) for row in rows}
    keys = sorted(days, key=lambda key: (-_score_scaled(days[key]), key))[:limit]
    if len(keys) < limit:
        quiet = tx.all(
            f"SELECT m.id FROM markets m WHERE m.state = ? AND {_VISIBLE}"
            " ORDER BY m.created_at DESC, m.id DESC LIMIT ?",
            (ACTIVE, limit + len(keys)),
        )
        keys += [row["id"] for row in quiet if row["id"] not in days][: limit - len(keys)]
    return [_trend(tx, key, days.get(key, Volume()), now_s) for key in keys]


def _trend(tx: Tx, key: int, day: Volume, now_s: int) -> Trend:
    market = tx.one(f"{_TREND_SELECT} WHERE m.id = ?", (key,))
    return Trend(market, day, price_at(tx, key, now_s - DAY_S))


def price_at(tx: Tx, market: int, unix_s: int) -> int:
    """The price of YES just before a unix second; 0.5 before the first trade."""
    text = tx.value(
        "SELECT new_price_yes FROM trades WHERE market = ? AND traded_at < ?"
        " ORDER BY slot DESC, index_in_block DESC, event_id DESC LIMIT 1",
        (market, unix_s),
    )
    return HALF if text is None else int(text)


# Categories, related markets


class CategoryCount(NamedTuple):
    """Visible markets of a category: all, and those created in the last seven days and in the seven before."""

    category: str
    markets: int
    this_week: int
    last_week: int


def categories(tx: Tx, now_s: int) -> list[CategoryCount]:
    """The five largest categories."""
    rows = tx.all(
        "SELECT m.listed_category AS category, count(*) AS markets,"
        " sum(CASE WHEN m.created_at >= ? THEN 1 ELSE 0 END) AS this_week,"
        " sum(CASE WHEN m.created_at >= ? AND m.created_at < ? THEN 1 ELSE 0 END) AS last_week"
        f" FROM markets m WHERE {_VISIBLE} GROUP BY m.listed_category ORDER BY markets DESC, category LIMIT ?",
        (now_s - WEEK_S, now_s - 2 * WEEK_S, now_s - WEEK_S, CATEGORIES_SHOWN),
    )
    return [CategoryCount(row["category"], row["markets"], row["this_week"], row["last_week"]) for row in rows]


def related(tx: Tx, market: Row, limit: int) -> list[Row]:
    """Other ACTIVE, visible markets: those of the same category first, each newest first. Rows with ``question``."""

    def found(same: str, count: int) -> list[Row]:
        return tx.all(
            f"{_TREND_SELECT} WHERE m.state = ? AND {_VISIBLE} AND m.id <> ? AND m.listed_category {same} ?"
            " ORDER BY m.created_at DESC, m.id DESC LIMIT ?",
            (ACTIVE, market["id"], market["listed_category"], count),
        )

    near = found("=", limit)
    return near + (found("<>", limit - len(near)) if len(near) < limit else [])


# Activity


def latest_trades(tx: Tx, limit: int) -> list[Row]:
    """Rows of rows.TRADE_SELECT with ``question``, of visible markets, newest first."""
    return tx.all(
        f"SELECT {TRADE_COLUMNS}, mt.question FROM trades t{TRADE_JOINS} LEFT JOIN market_texts mt ON mt.market = m.id"
        " WHERE m.hidden = 0 ORDER BY t.slot DESC, t.index_in_block DESC, t.event_id DESC LIMIT ?",
        (limit,),
    )


def latest_resolutions(tx: Tx, limit: int) -> list[Row]:
    """(market_id, question, wallet_address, outcome, at) of visible markets, the latest resolution first."""
    return tx.all(
        "SELECT m.market_id, mt.question, w.address AS wallet_address, m.proposed_outcome AS outcome, e.timestamp AS at"
        " FROM events e JOIN markets m ON m.id = e.market LEFT JOIN market_texts mt ON mt.market = m.id"
        " JOIN wallets w ON w.id = e.wallet WHERE e.event_type = 'MarketResolved' AND m.hidden = 0"
        " ORDER BY e.slot DESC, e.index_in_block DESC, e.transaction_id DESC, e.event_index DESC LIMIT ?",
        (limit,),
    )


def latest_creations(tx: Tx, limit: int) -> list[Row]:
    """(market_id, question, wallet_address, at) of visible markets, the newest first."""
    return tx.all(
        "SELECT m.market_id, mt.question, w.address AS wallet_address, m.created_at AS at FROM markets m"
        f" LEFT JOIN market_texts mt ON mt.market = m.id JOIN wallets w ON w.id = m.creator WHERE {_VISIBLE}"
        " ORDER BY m.created_at DESC, m.id DESC LIMIT ?",
        (limit,),
    )


# The whole service


class Totals(NamedTuple):
    """Counts over everything; ``volume`` in lamports."""

    markets: dict[str, int]
    trades: int
    votes: int
    events: int
    users: int
    volume: int


def totals(tx: Tx) -> Totals:
    by_state = {
        row["state"]: row["markets"]
        for row in tx.all("SELECT state, count(*) AS markets FROM markets WHERE known = 1 GROUP BY state")
    }
    volume = sum_of(tx.one(f"SELECT {exact_sum('total_volume')} FROM markets WHERE known = 1"))
    return Totals(
        {state.name: by_state.get(int(state), 0) for state in MarketState},
        int(tx.value("SELECT COALESCE(sum(trades_count), 0) FROM markets")),
        int(tx.value("SELECT COALESCE(sum(likes + dislikes), 0) FROM tallies")),
        int(tx.value("SELECT count(*) FROM events")),
        int(tx.value("SELECT count(*) FROM wallets")),
        volume,
    )


class PendingVotes(NamedTuple):
    """Markets with votes not yet recorded on chain, and the number of those votes."""

    markets: int
    votes: int


def pending_votes(tx: Tx, kind: int) -> PendingVotes:
    row = tx.one(
        "SELECT count(DISTINCT market) AS markets, count(*) AS votes FROM votes WHERE kind = ? AND aggregated = 0",
        (kind,),
    )
    return PendingVotes(0, 0) if row is None else PendingVotes(row["markets"], row["votes"])


# Alerts


def open_alerts(tx: Tx) -> dict[str, int]:
    """Number of open alerts by severity."""
    rows = tx.all("SELECT severity, count(*) AS alerts FROM alerts WHERE status = 'open' GROUP BY severity")
    found = {row["severity"]: row["alerts"] for row in rows}
    return {severity: found.get(severity, 0) for severity in SEVERITIES}


def latest_alerts(tx: Tx, limit: int) -> list[Row]:
    return tx.all("SELECT * FROM alerts WHERE status = 'open' ORDER BY id DESC LIMIT ?", (limit,))
