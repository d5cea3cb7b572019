"""Wallets: what they did, hold and earned (contract 2.8)."""

from dataclasses import dataclass

from zmart_lite.api.contract import parsers
from zmart_lite.api.contract.endpoints import Endpoint, Level, Reply
from zmart_lite.api.contract.naming import path_market
from zmart_lite.api.contract.pages import bare_page, page_fields, page_of
from zmart_lite.api.contract.refusals import READS_CHAIN
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import PageFields, field, page_limit
from zmart_lite.api.openapi import examples
from zmart_lite.api.routes.markets import KINDS
from zmart_lite.errors import NotFound
from zmart_lite.shown import address_text, optional_time_ms, units
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.engine.paging import Listing
from zmart_lite.store.state import people
from zmart_lite.store.views import holdings, lists, lookups, rows
from zmart_lite.store.views.holdings import POSITION_SELECT, position_row
from zmart_lite.store.views.rows import Json, MarketRef


def path_wallet(request: Request) -> bytes:
    """The wallet of the path. Raises NotFound where that names nothing."""
    found = parsers.find_wallet(request.params["wallet"])
    if found is None:
        raise NotFound("There is no such wallet.")
    return found


async def me(request: Request, _: None) -> Json:
    return await _user(request, request.wallet)


async def user(request: Request, _: None) -> Json:
    return await _user(request, path_wallet(request))


async def _user(request: Request, wallet: bytes) -> Json:
    def run(tx: Tx) -> tuple[people.WalletCounts, holdings.Earnings]:
        return people.wallet_counts(tx, wallet), holdings.earnings(tx, wallet)

    counts, earned = await request.read(run)
    return {
        "wallet": address_text(wallet),
        "created_at": optional_time_ms(counts.first_seen_ms),
        "total_trades": counts.trades,
        "total_volume": str(counts.volume),
        "markets_created": counts.markets_created,
        "markets_won": earned.won,
        "reputation_score": 0,
        "stats": {
            "total_trades": counts.trades,
            "total_votes": counts.proposal_votes + counts.dispute_votes,
            "proposal_votes": counts.proposal_votes,
            "dispute_votes": counts.dispute_votes,
            "discussions": counts.discussions,
        },
    }


async def balance(request: Request, _: None) -> Json:
    """What the wallet has on chain. Raises RpcUnavailable."""
    wallet = path_wallet(request)
    lamports = await request.parts.rpc.get_balance(wallet)
    return {"wallet": address_text(wallet), "lamports": str(lamports), "sol": units(lamports)}


async def stats(request: Request, _: None) -> Json:
    wallet = path_wallet(request)

    def run(tx: Tx) -> tuple[people.WalletCounts, holdings.Earnings]:
        return people.wallet_counts(tx, wallet), holdings.earnings(tx, wallet)

    counts, earned = await request.read(run)
    return {
        "totalTrades": counts.trades,
        "totalVolume": units(counts.volume),
        "winRate": earned.won / earned.resolved if earned.resolved else 0,
        "totalPnL": units(earned.realized + earned.unrealized),
        "activePositions": earned.active,
        "realizedPnL": units(earned.realized),
        "unrealizedPnL": units(earned.unrealized),
        "realized_pnl": str(earned.realized),
        "unrealized_pnl": str(earned.unrealized),
        "resolvedMarkets": earned.resolved,
        "wonMarkets": earned.won,
    }


async def trades(request: Request, fields: PageFields) -> Json:
    wallet = path_wallet(request)
    asked = page_of(request, "user-trades", fields, wallet)
    found = await request.read(lambda tx: lists.list_trades(tx, asked.page, wallet=wallet))
    shown = [rows.trade_row(row) for row in found.rows]
    return {"trades": shown, "wallet": address_text(wallet), **page_fields(request, asked, found)}


@dataclass(frozen=True, slots=True, kw_only=True)
class UserVotesQuery(PageFields):
    type: str | None = field(parsers.optional_filter(parsers.word(*KINDS)), None)


async def votes(request: Request, fields: UserVotesQuery) -> Json:
    wallet = path_wallet(request)
    asked = page_of(request, "user-votes", fields, wallet)
    kind = None if fields.type is None else KINDS[fields.type]
    found = await request.read(lambda tx: lists.list_votes(tx, asked.page, wallet=wallet, kind=kind))
    shown = [rows.vote_row(row) for row in found.rows]
    return {
        "proposal_votes": [vote for vote in shown if vote["vote_type"] == "proposal"],
        "dispute_votes": [vote for vote in shown if vote["vote_type"] == "dispute"],
        "total": found.total_count,
        "wallet": address_text(wallet),
        **page_fields(request, asked, found),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionsQuery(PageFields):
    limit: int = page_limit(100)
    market_id: MarketRef | None = field(parsers.market_ref, None)
    state: int | None = field(parsers.state_filter, None)


async def positions(request: Request, fields: PositionsQuery) -> Reply:
    wallet = path_wallet(request)
    asked = page_of(request, "user-positions", fields, wallet)

    def run(tx: Tx) -> Listing:
        if fields.market_id is not None:
            lookups.get_market(tx, fields.market_id)
        return lists.list_wallet_positions(tx, wallet, asked.page, market=fields.market_id, state=fields.state)

    found = await request.read(run)
    return bare_page(request, asked, found, [position_row(row) for row in found.rows])


async def one_position(request: Request, _: None) -> Json:
    wallet, ref = path_wallet(request), path_market(request)

    def run(tx: Tx) -> Json:
        row = tx.one(f"{POSITION_SELECT} WHERE w.address = ? AND m.{ref.column} = ?", (wallet, ref.value))
        if row is None:
            raise NotFound("This wallet has no position in that market.")
        return position_row(row)

    return await request.read(run)


ENDPOINTS = (
    Endpoint("GET", "/api/users/me", me, "The signed-in wallet", level=Level.WALLET, answer=examples.USER, tag="users"),
    Endpoint("GET", "/api/users/{wallet}", user, "A wallet", answer=examples.USER, tag="users"),
    Endpoint(
        "GET",
        "/api/users/{wallet}/balance",
        balance,
        "A wallet's SOL, read from the chain",
        answer={"wallet": examples.WALLET, "lamports": "10000000000", "sol": 10.0},
        refuses=READS_CHAIN,
        tag="users",
    ),
    Endpoint("GET", "/api/users/{wallet}/stats", stats, "A wallet's result", answer=examples.USER_STATS, tag="users"),
    Endpoint(
        "GET",
        "/api/users/{wallet}/trades",
        trades,
        "A wallet's trades",
        fields=PageFields,
        answer={"trades": [examples.TRADE], "wallet": examples.WALLET, **examples.PAGE},
        tag="users",
    ),
    Endpoint(
        "GET",
        "/api/users/{wallet}/votes",
        votes,
        "A wallet's votes",
        fields=UserVotesQuery,
        answer={
            "proposal_votes": [examples.VOTE],
            "dispute_votes": [],
            "total": 1,
            "wallet": examples.WALLET,
            **examples.PAGE,
        },
        tag="users",
    ),
    *(
        Endpoint(
            "GET",
            path,
            positions,
            "A wallet's positions",
            fields=PositionsQuery,
            answer=[examples.POSITION],
            tag="positions",
        )
        for path in ("/api/users/{wallet}/positions", "/api/positions/{wallet}")
    ),
    Endpoint(
        "GET",
        "/api/users/{wallet}/positions/{market}",
        one_position,
        "A wallet's position in a market",
        answer=examples.POSITION,
        tag="positions",
    ),
)
