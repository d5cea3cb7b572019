"""Reading markets: lists, one market with everything of it, and what is going on (contract 2.3)."""

from dataclasses import dataclass
from typing import Any

from msgspec import Raw

from zmart_lite import rules
from zmart_lite.api.contract import parsers
from zmart_lite.api.contract.endpoints import Caching, Endpoint, Reply
from zmart_lite.api.contract.naming import path_market
from zmart_lite.api.contract.pages import page_fields, page_of
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import PageFields, Problems, check_span, field, limit_parser, page_limit
from zmart_lite.api.openapi import examples
from zmart_lite.errors import NotFound
from zmart_lite.models import VoteType
from zmart_lite.shown import address_text, price_text, shown_title, time_text, time_text_ms, units
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.engine.paging import Listing
from zmart_lite.store.state.votes import find_tally
from zmart_lite.store.views import lists, lookups, rows, summaries
from zmart_lite.store.views.known_markets import TABLES, list_market_rows
from zmart_lite.store.views.lists import MarketFilter, Span
from zmart_lite.store.views.rows import Json

SEARCH_LENGTH_MIN, SEARCH_LENGTH_MAX = 3, 100
SMALL_LIST_MAX = 20
EMOJI = dict(zip(parsers.CATEGORIES, ("₿", "🗳️", "⚽", "💻", "💰", "🎬", "🔬", "📊"), strict=True))
KINDS = {"proposal": VoteType.PROPOSAL, "dispute": VoteType.DISPUTE}


# Lists


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketsQuery(PageFields):
    limit: int = page_limit(20)
    state: int | None = field(parsers.state_filter, None)
    category: str | None = field(parsers.optional_filter(parsers.category), None)
    creator: bytes | None = field(parsers.wallet, None)
    q: str | None = field(parsers.plain_text(SEARCH_LENGTH_MIN, SEARCH_LENGTH_MAX), None, help="Part of the question.")
    sort: str = field(parsers.word("newest", "volume", "ending_soon"), "newest")
    ready_for_approval: bool | None = field(parsers.boolean, None)
    include_hidden: bool = field(parsers.boolean, False, help="Only for read-admin.")


async def list_markets(request: Request, fields: MarketsQuery) -> Reply:
    hidden_too = fields.include_hidden and request.is_read_admin
    asked = page_of(request, "markets", fields, hidden_too)
    wanted = MarketFilter(
        fields.state, fields.category, fields.creator, fields.q, fields.ready_for_approval, hidden_too
    )

    known = request.shared.markets.now()
    found, markets = await request.read(
        lambda tx: list_market_rows(tx, known, request.shared.rows, wanted, fields.sort, asked.page)
    )
    paging = page_fields(request, asked, found)
    # What a list of markets calls count is, for the frontends in use, the number of all of them.
    paging["count"] = found.total_count
    caching = Caching.NO_STORE if fields.include_hidden else Caching.AUTO
    return Reply({"markets": markets, **paging}, caching=caching)


@dataclass(frozen=True, slots=True)
class ActivityQuery:
    limit: int = field(limit_parser(), 20)
    type: str | None = field(parsers.optional_filter(parsers.word("trade", "resolution", "creation")), None)


async def activity(request: Request, fields: ActivityQuery) -> Json:
    def run(tx: Tx) -> list[tuple[int, Json]]:
        found: list[tuple[int, Json]] = []
        if fields.type in (None, "trade"):
            found += [(row["traded_at"], _trade_activity(row)) for row in summaries.latest_trades(tx, fields.limit)]
        if fields.type in (None, "resolution"):
            resolutions = summaries.latest_resolutions(tx, fields.limit)
            found += [(row["at"], _market_activity(row, "resolution", _resolved(row))) for row in resolutions]
        if fields.type in (None, "creation"):
            creations = summaries.latest_creations(tx, fields.limit)
            found += [(row["at"], _market_activity(row, "creation", "created the market")) for row in creations]
        return found

    found = sorted(await request.read(run), key=lambda one: one[0], reverse=True)[: fields.limit]
    return {"activities": [entry for _, entry in found], "count": len(found)}


def _resolved(row: Row) -> str:
    return f"proposed {'YES' if row['outcome'] else 'NO'}"


def shortened(address: str) -> str:
    return f"{address[:6]}...{address[-4:]}"


def _trade_activity(row: Row) -> Json:
    trade = rows.trade_row(row)
    cents = (int(row["cost"]) * 100 + rules.P // 2) // rules.P
    return {
        "id": trade["id"],
        "type": "trade",
        "user": shortened(trade["user"]),
        "action": f"{'bought' if row['is_buy'] else 'sold'} {trade['outcome']}",
        "market": shown_title(row["market_id"], row["question"]),
        "marketId": trade["market_id"],
        "time": trade["timestamp"],
        "amount": f"{cents // 100}.{cents % 100:02d} SOL",
    }


def _market_activity(row: Row, kind: str, action: str) -> Json:
    market_id = row["market_id"].hex()
    return {
        "id": f"{kind}-{market_id}",
        "type": kind,
        "user": shortened(address_text(row["wallet_address"])),
        "action": action,
        "market": shown_title(row["market_id"], row["question"]),
        "marketId": market_id,
        "time": time_text(row["at"]),
        "amount": None,
    }


@dataclass(frozen=True, slots=True)
class FewQuery:
    limit: int = field(limit_parser(SMALL_LIST_MAX), 3)


def _price_yes(market: Row) -> int:
    return rules.shown_price_yes(int(market["shares_yes"]), int(market["shares_no"]), int(market["b_parameter"]))


async def trending(request: Request, fields: FewQuery) -> Json:
    now_s = request.parts.feed().chain_now()
    found: list[summaries.Trend] = await request.shared.costly["trending"].get(
        request.parts.now_ms, lambda: request.read(lambda tx: summaries.trending(tx, now_s, SMALL_LIST_MAX))
    )
    shown = [_trend(trend) for trend in found[: fields.limit]]
    return {"trending": shown, "count": len(shown)}


def _trend(trend: summaries.Trend) -> Json:
    price = _price_yes(trend.market)
    return {
        "id": trend.market["market_id"].hex(),
        "question": shown_title(trend.market["market_id"], trend.market["question"]),
        "yesPrice": units(price),
        "change24h": units((price - trend.price_then) * 100),
        "volume24h": units(trend.day.lamports),
        "uniqueTraders": trend.day.wallets,
        "trendingScore": trend.score,
    }


async def categories(request: Request, _: None) -> Json:
    now_s = request.parts.feed().chain_now()
    found: list[summaries.CategoryCount] = await request.shared.costly["categories"].get(
        request.parts.now_ms, lambda: request.read(lambda tx: summaries.categories(tx, now_s))
    )
    shown = [
        {
            "id": one.category,
            "name": one.category.capitalize(),
            "count": one.markets,
            "emoji": EMOJI.get(one.category, EMOJI["other"]),
            "trend": trend_text(one.this_week, one.last_week),
        }
        for one in found
    ]
    return {"categories": shown, "count": len(shown)}


def trend_text(now: int, before: int) -> str:
    """Growth in whole percent, with its sign; from none it is +100%."""
    if before == 0:
        return "+100%" if now else "+0%"
    return f"{round((now - before) * 100 / before):+d}%"


async def related(request: Request, fields: FewQuery) -> Json:
    def run(tx: Tx) -> tuple[Row, list[Row]]:
        market = lookups.get_market(tx, path_market(request))
        return market, summaries.related(tx, market, fields.limit)

    try:
        market, others = await request.read(run)
    except NotFound:
        return {"related": [], "count": 0}
    shown = [
        {
            "id": other["market_id"].hex(),
            "question": shown_title(other["market_id"], other["question"]),
            "yesPrice": units(_price_yes(other)),
            "category": other["listed_category"].capitalize(),
            "categoryMatch": other["listed_category"] == market["listed_category"],
        }
        for other in others
    ]
    return {"related": shown, "count": len(shown)}


# One market


async def one_market(request: Request, _: None) -> Raw:
    ref = path_market(request)
    return await request.read(
        lambda tx: rows.market_json(lookups.get_whole_market(tx, ref), rows.read_context(tx, request.shared.rows))
    )


async def prices(request: Request, _: None) -> Json:
    ref = path_market(request)
    market = await request.read(lambda tx: lookups.get_market(tx, ref))
    price, market_id = _price_yes(market), market["market_id"].hex()
    shares_yes, shares_no, b_parameter = (int(market[name]) for name in ("shares_yes", "shares_no", "b_parameter"))
    return {
        "marketId": market_id,
        "market_id": market_id,
        "priceYes": units(price),
        "priceNo": units(rules.P - price),
        "current_price_yes": price_text(price),
        "current_price_no": price_text(rules.P - price),
        "totalShares": units(shares_yes + shares_no),
        "bParameter": units(b_parameter),
        "shares_yes": str(shares_yes),
        "shares_no": str(shares_no),
        "b_parameter": str(b_parameter),
        "slot": market["slot"],
        "timestamp": time_text_ms(market["updated_ms"]),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class TradesQuery(PageFields):
    user: bytes | None = field(parsers.wallet, None)
    from_: int | None = field(parsers.time_ms, None, name="from")
    to: int | None = field(parsers.time_ms, None)
    order: str = field(parsers.word("desc", "asc"), "desc")

    def check(self) -> Problems:
        yield from PageFields.check(self)
        yield from check_span(self.from_, self.to)


async def market_trades(request: Request, fields: TradesQuery) -> Json:
    ref = path_market(request)
    asked = page_of(request, "market-trades", fields, ref)
    span = Span.of_ms(fields.from_, fields.to)

    def run(tx: Tx) -> tuple[Row, Listing]:
        market = lookups.get_market(tx, ref)
        found = lists.list_trades(
            tx, asked.page, market=market["id"], wallet=fields.user, span=span, descending=fields.order == "desc"
        )
        return market, found

    market, found = await request.read(run)
    trades = [rows.trade_row(row) for row in found.rows]
    return {"trades": trades, "market_id": market["market_id"].hex(), **page_fields(request, asked, found)}


@dataclass(frozen=True, slots=True, kw_only=True)
class VotesQuery(PageFields):
    type: str = field(parsers.word(*KINDS), "proposal")


async def market_votes(request: Request, fields: VotesQuery) -> Json:
    ref, kind = path_market(request), KINDS[fields.type]
    asked = page_of(request, "market-votes", fields, ref)

    def run(tx: Tx) -> tuple[Row, Listing, Json]:
        market = lookups.get_market(tx, ref)
        found = lists.list_votes(tx, asked.page, market=market["id"], kind=kind)
        tally = find_tally(tx, market["id"], kind)
        bps = rules.ratio_bps(tally.likes, tally.total)
        rate = f"{bps // 100}.{bps % 100:02d}"
        counts = {"likes": tally.likes, "dislikes": tally.dislikes, "total": tally.total, "approval_rate": rate}
        return market, found, counts

    market, found, counts = await request.read(run)
    return {
        "votes": [rows.vote_row(row) for row in found.rows],
        "stats": counts,
        "market_id": market["market_id"].hex(),
        "type": fields.type,
        **page_fields(request, asked, found),
    }


async def market_stats(request: Request, _: None) -> Json:
    ref, now_s = path_market(request), request.parts.feed().chain_now()

    def run(tx: Tx) -> tuple[Row, summaries.MarketStats]:
        market = lookups.get_market(tx, ref)
        return market, summaries.market_stats(tx, market, now_s)

    market, stats = await request.read(run)
    figures = stats.figures
    return {
        "market_id": market["market_id"].hex(),
        "stats": {
            "total_volume": str(int(market["total_volume"])),
            "total_trades": figures.bought.trades + figures.sold.trades,
            # Whoever traded has a position, and nobody else.
            "unique_traders": figures.positions,
            "buy_volume": str(figures.bought.lamports),
            "sell_volume": str(figures.sold.lamports),
            "volume24h": units(stats.day.lamports),
            "trades24h": stats.day.trades,
            "positions": figures.positions,
            "unclaimed": stats.unclaimed,
        },
    }


async def market_positions(request: Request, fields: PageFields) -> Json:
    ref = path_market(request)
    asked = page_of(request, "market-positions", fields, ref)

    def run(tx: Tx) -> tuple[Row, Listing]:
        market = lookups.get_market(tx, ref)
        return market, lists.list_market_positions(tx, market["id"], asked.page)

    market, found = await request.read(run)
    positions = [rows.position_row(row) for row in found.rows]
    return {"positions": positions, "market_id": market["market_id"].hex(), **page_fields(request, asked, found)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotsQuery(PageFields):
    limit: int = page_limit(30)


async def market_snapshots(request: Request, fields: SnapshotsQuery) -> Json:
    ref = path_market(request)
    asked = page_of(request, "market-snapshots", fields, ref)
    found = await request.read(lambda tx: lists.list_snapshots(tx, lookups.get_market(tx, ref)["id"], asked.page))
    snapshots: list[dict[str, Any]] = [
        {
            "snapshot_date": row["snapshot_date"],
            "ipfs_hash": row["cid"],
            "cid": row["cid"],
            "discussions_count": row["discussions_count"],
            "pinned": bool(row["pinned"]),
            "created_at": time_text_ms(row["created_ms"]),
        }
        for row in found.rows
    ]
    return {"snapshots": snapshots, **page_fields(request, asked, found)}


_READS = (
    ("/api/markets", list_markets, "Markets", MarketsQuery, {"markets": [examples.MARKET], **examples.PAGE}),
    (
        "/api/markets/activity",
        activity,
        "What happened lately",
        ActivityQuery,
        {"activities": [examples.ACTIVITY], "count": 1},
    ),
    ("/api/markets/{id}", one_market, "One market", None, examples.MARKET),
    ("/api/markets/{id}/prices", prices, "The prices of a market", None, examples.PRICES),
    (
        "/api/markets/{id}/trades",
        market_trades,
        "Trades of a market",
        TradesQuery,
        {"trades": [examples.TRADE], "market_id": examples.MARKET_ID, **examples.PAGE},
    ),
    (
        "/api/markets/{id}/votes",
        market_votes,
        "Votes on a market",
        VotesQuery,
        examples.MARKET_VOTES,
    ),
    ("/api/markets/{id}/stats", market_stats, "Figures of a market", None, examples.MARKET_STATS),
    (
        "/api/markets/{id}/positions",
        market_positions,
        "Positions in a market, the largest first",
        PageFields,
        {"positions": [examples.POSITION], "market_id": examples.MARKET_ID, **examples.PAGE},
    ),
    (
        "/api/markets/{id}/snapshots",
        market_snapshots,
        "Snapshots of a market's discussion",
        SnapshotsQuery,
        {"snapshots": [examples.SNAPSHOT], **examples.PAGE},
    ),
)
_SHORT_READS = (
    ("/api/markets/trending", trending, "Popular markets", FewQuery, {"trending": [examples.TREND], "count": 1}),
    (
        "/api/markets/categories",
        categories,
        "The largest categories",
        None,
        {"categories": [examples.CATEGORY], "count": 1},
    ),
    (
        "/api/markets/{id}/related",
        related,
        "Markets like this one",
        FewQuery,
        {"related": [examples.RELATED], "count": 1},
    ),
)

ENDPOINTS = (
    *(
        Endpoint(
            "GET",
            path,
            handler,
            summary,
            fields=fields,
            answer=answer,
            tag="markets",
            made_of=TABLES if handler in (list_markets, one_market, prices) else (),
        )
        for path, handler, summary, fields, answer in _READS
    ),
    *(
        Endpoint("GET", path, handler, summary, fields=fields, answer=answer, tag="markets", caching=Caching.SHORT)
        for path, handler, summary, fields, answer in _SHORT_READS
    ),
)
