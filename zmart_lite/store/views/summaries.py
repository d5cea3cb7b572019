"""Figures over many rows: a market's statistics, what is going on, what is popular. Sums are exact.

Windows of 24 hours are reckoned by the chain's clock, which is an argument.
"""

from typing import NamedTuple

from zmart_lite import rules
from zmart_lite.models import MarketState
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import kept
from zmart_lite.store.log.kept import MarketFigures, Volume
from zmart_lite.store.state.people import exact_sum, sum_of
from zmart_lite.store.views import history
from zmart_lite.store.views.rows import TRADE_COLUMNS, TRADE_JOINS

DAY_S = 86_400
WEEK_S = 7 * DAY_S
FOREVER_S = 2**62
CATEGORIES_SHOWN = 5
LOOKED_AT_MAX = 500
"""So many of the newest trades are looked at for those that are shown: a busy market may be hidden."""
ACTIVE = int(MarketState.ACTIVE)


def _volume(row: Row | None) -> Volume:
    return Volume() if row is None else Volume(sum_of(row), row["trades"], row["wallets"])


_VOLUME = f"SELECT {exact_sum('t.cost')}, count(*) AS trades, count(DISTINCT t.wallet) AS wallets FROM trades t"


def volume_since(tx: Tx, since_s: int) -> Volume:
    """All trades from a unix second on."""
    return _volume(tx.one(f"{_VOLUME} WHERE t.traded_at >= ?", (since_s,)))


class MarketStats(NamedTuple):
    """A market's trades and positions. ``day``: the last 24 hours. ``unclaimed``: winning positions that have not
    claimed.
    """

    figures: MarketFigures
    day: Volume
    unclaimed: int


def market_stats(tx: Tx, market: Row, now_s: int) -> MarketStats:
    """``market``: a row with the columns of markets."""
    figures = kept.market_figures(tx, market["id"])
    return MarketStats(figures, history.traded_since(tx, market["id"], now_s - DAY_S), _unclaimed(market, figures))


def _unclaimed(market: Row, figures: MarketFigures) -> int:
    """Positions of a FINALIZED market that could still claim something."""
    if market["state"] != MarketState.FINALIZED:
        return 0
    outcome = market["final_outcome"]
    if outcome is None:
        return figures.owed_any
    return figures.owed_yes if outcome else figures.owed_no


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
        # Written so that the trades of the day come first: in another order all there are would be read.
        " FROM trades t CROSS JOIN markets m WHERE t.traded_at >= ? AND m.id = t.market AND m.state = ?"
        f" AND {_VISIBLE} GROUP BY (t.market + 0)",
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
    return Trend(market, day, history.price_at(tx, key, now_s - DAY_S))


# Categories, related markets


class CategoryCount(NamedTuple):
    """Visible markets of a category: all, and those created in the last seven days and in the seven before."""

    category: str
    markets: int
    this_week: int
    last_week: int


def categories(tx: Tx, now_s: int) -> list[CategoryCount]:
    """The five largest categories."""
    found = {category: count for category, count in kept.named(tx, "category").items() if count}
    largest = sorted(found, key=lambda category: (-found[category], category))[:CATEGORIES_SHOWN]

    def created(category: str, from_s: int, to_s: int) -> int:
        sql = f"SELECT count(*) FROM markets m WHERE {_VISIBLE} AND m.listed_category = ?"
        return int(tx.value(f"{sql} AND m.created_at >= ? AND m.created_at < ?", (category, from_s, to_s)))

    week_s = now_s - WEEK_S
    return [
        CategoryCount(each, found[each], created(each, week_s, FOREVER_S), created(each, week_s - WEEK_S, week_s))
        for each in largest
    ]


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
    keys = _newest_shown(tx, "is_trade = 1", limit)
    if not keys:
        return []
    rows = tx.all(
        f"SELECT {TRADE_COLUMNS}, mt.question FROM trades t{TRADE_JOINS} LEFT JOIN market_texts mt ON mt.market = m.id"
        f" WHERE t.event_id IN ({', '.join('?' * len(keys))})",
        keys,
    )
    return sorted(rows, key=lambda row: keys.index(row["event_id"]))


def _newest_shown(tx: Tx, condition: str, limit: int) -> list[int]:
    """Keys of events of visible markets, the newest first, among the newest LOOKED_AT_MAX that fulfil ``condition``."""
    order = "slot DESC, index_in_block DESC, id DESC"
    newest = f"SELECT slot, index_in_block, id, market FROM events WHERE {condition} ORDER BY {order} LIMIT ?"
    rows = tx.all(
        f"SELECT x.slot, x.index_in_block, x.id FROM ({newest}) x JOIN markets m ON m.id = x.market WHERE m.hidden = 0",
        (LOOKED_AT_MAX,),
    )
    return [row["id"] for row in sorted(rows, key=tuple, reverse=True)[:limit]]


def latest_resolutions(tx: Tx, limit: int) -> list[Row]:
    """(market_id, question, wallet_address, outcome, at) of visible markets, the latest resolution first."""
    keys = _newest_shown(tx, "event_type = 'MarketResolved'", limit)
    if not keys:
        return []
    rows = tx.all(
        "SELECT e.id, m.market_id, mt.question, w.address AS wallet_address, m.proposed_outcome AS outcome,"
        " e.timestamp AS at FROM events e JOIN markets m ON m.id = e.market"
        " LEFT JOIN market_texts mt ON mt.market = m.id"
        f" JOIN wallets w ON w.id = e.wallet WHERE e.id IN ({', '.join('?' * len(keys))})",
        keys,
    )
    return sorted(rows, key=lambda row: keys.index(row["id"]))


def latest_creations(tx: Tx, limit: int) -> list[Row]:
    """(market_id, question, wallet_address, at) of visible markets, the newest first."""
    return tx.all(
        "SELECT m.market_id, mt.question, w.address AS wallet_address, m.created_at AS at FROM markets m"
        f" LEFT JOIN market_texts mt ON mt.market = m.id JOIN wallets w ON w.id = m.creator WHERE {_VISIBLE}"
        " ORDER BY m.created_at DESC, m.id DESC LIMIT ?",
        (limit,),
    )


# The whole service


# Alerts


def latest_alerts(tx: Tx, limit: int) -> list[Row]:
    return tx.all("SELECT * FROM alerts WHERE status = 'open' ORDER BY id DESC LIMIT ?", (limit,))
