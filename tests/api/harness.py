"""The API over a real store, without a socket: parts, clock, wallets, and rows put into the database by small SQL."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
from solders.keypair import Keypair

from tests.api.documented import check_documented
from zmart_lite.api import create_app
from zmart_lite.api.context import ApiParts
from zmart_lite.api.identity.auth import make_operator_key
from zmart_lite.api.live.stored_feed import StoredFeed
from zmart_lite.chain.rpc import Rpc
from zmart_lite.codec import Codec
from zmart_lite.config import Auth, Config, Limits, Secret
from zmart_lite.models import ChainEvent, MarketState, SharesBought, SharesSold
from zmart_lite.ops import Background, Breakers, ChainClock, Health, Metrics
from zmart_lite.ops.runs import JobView
from zmart_lite.push.hub import Hub
from zmart_lite.store.engine.amounts import u64_text
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.log import kept
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.state import positions, texts
from zmart_lite.store.state.markets import wallet_key
from zmart_lite.store.views.rows import RowSettings

PROGRAM = bytes([7]) * 32
OPERATOR_KEY = make_operator_key()
SERVICE_KEY = "a-service-key-of-thirty-two-bytes"
JWT_SECRET = b"s" * 40
START_S = 1_767_323_045
START_MS = START_S * 1_000 + 678
P = 10**9


def keypair(number: int) -> Keypair:
    return Keypair.from_seed(bytes([number]) * 32)


ADMIN, ALICE, BOB, CAROL = (keypair(number) for number in (1, 2, 3, 4))


def key(pair: Keypair) -> bytes:
    return bytes(pair.pubkey())


def address(pair: Keypair) -> str:
    return str(pair.pubkey())


def sign(pair: Keypair, message: bytes) -> bytes:
    return bytes(pair.sign_message(message))


def base58(signature: bytes) -> str:
    from solders.signature import Signature

    return str(Signature.from_bytes(signature))


def base64_text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class Times:
    """Wall clock and chain clock, moved by the test."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.chain_s = START_S

    def wall_ms(self) -> int:
        return self.now_ms

    def seconds(self) -> float:
        return self.now_ms / 1_000

    def pass_s(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1_000)


class IdleJobs:
    """A job runner in which nothing runs."""

    async def views(self) -> list[JobView]:
        return [JobView("aggregate", "every 300 s", False, False, None, None, None, None, None, None, None, 0, 0, {})]

    def next_run_ms(self, _: str) -> int | None:
        return START_MS + 60_000


class ApiNode:
    """The API, its parts, and what a test does to them."""

    def __init__(self, parts: ApiParts, times: Times) -> None:
        self.parts, self.times, self.store = parts, times, parts.store
        self.app = create_app(parts)
        self.api = self.app.state.api
        self.http = self.client("127.0.0.1")

    def client(self, peer: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app, client=(peer, 1234), raise_app_exceptions=True)
        hooks = {"response": [check_documented]}
        return httpx.AsyncClient(transport=transport, base_url="http://testserver", event_hooks=hooks)

    async def get(self, path: str, status: int = 200, **options: Any) -> Any:
        response = await self.http.get(path, **options)
        assert response.status_code == status, response.text
        return response.json()

    async def post(self, path: str, body: object = None, status: int = 200, **options: Any) -> Any:
        response = await self.http.post(path, json={} if body is None else body, **options)
        assert response.status_code == status, response.text
        return response.json()

    def token(self, pair: Keypair) -> str:
        return self.api.auth.tokens.issue(key(pair), self.times.now_ms // 1_000)[0]

    def bearer(self, pair: Keypair) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(pair)}"}

    # What is in the database

    async def sql(self, statement: str, *params: Any) -> Any:
        return await self.store.write(lambda tx: tx.value(statement, params))

    async def add_market(
        self, number: int = 1, *, question: str | None = None, creator: Keypair = CAROL, **fields: Any
    ) -> str:
        """A known market, ACTIVE and one day old unless told otherwise; its id in hex."""
        market_id = bytes([number]) * 32
        values: dict[str, Any] = {
            "known": 1,
            "state": int(MarketState.ACTIVE),
            "b_parameter": u64_text(1_000 * P),
            "initial_liquidity": u64_text(10 * P),
            "current_liquidity": u64_text(10 * P),
            "shares_yes": u64_text(P),
            "shares_no": u64_text(P),
            "total_volume": u64_text(0),
            "created_at": START_S - 86_400 + number,
            "activated_at": START_S - 80_000,
            "last_state_change_at": START_S - 80_000,
            "question_hash": b"Qm" + b"x" * 44,
            "slot": 5,
            "updated_ms": START_MS,
            **fields,
        }

        def unit(tx: Tx) -> None:
            values["creator"] = wallet_key(tx, key(creator))
            market = self.parts.codec.market_address(market_id)
            columns = ["market_id", "address", *values]
            tx.execute(
                f"INSERT INTO markets ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                (market_id, market, *values.values()),
            )
            if question is not None:
                row = tx.value("SELECT id FROM markets WHERE market_id = ?", (market_id,))
                texts.attach_text(
                    tx, row, _canonical(question, fields.get("listed_category", "crypto")), "Qm" + "x" * 44
                )

        await self.store.write(unit)
        return market_id.hex()

    async def add_event(
        self, event: ChainEvent, *, market: int | None = 1, wallet: Keypair = ALICE, slot: int = 10, index: int = 0
    ) -> str:
        """An event in a transaction of its own; its id."""
        signature = bytes([slot % 256, index, *([9] * 62)])
        event_type = type(event).__name__

        def unit(tx: Tx) -> int:
            transaction = tx.value(
                "INSERT INTO transactions (signature, slot, index_in_block, block_time, failed, complete, finality,"
                " source, created_ms) VALUES (?, ?, ?, ?, 0, 1, 1, 'webhook', ?) RETURNING id",
                (signature, slot, index, event_time(event), START_MS),
            )
            market_key = None
            if market is not None:
                market_key = tx.value("SELECT id FROM markets WHERE market_id = ?", (bytes([market]) * 32,))
            wallet_id = wallet_key(tx, key(wallet))
            event_id = tx.value(
                "INSERT INTO events (transaction_id, event_index, event_type, market, wallet, slot, index_in_block,"
                " timestamp, data) VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (
                    transaction,
                    event_type,
                    market_key,
                    wallet_id,
                    slot,
                    index,
                    event_time(event),
                    self.parts.codec.encode_event(event),
                ),
            )
            kept.count_events(tx, 1)
            if isinstance(event, SharesBought | SharesSold):
                positions.add_trades(tx, [positions.trade_row(event, event_id, market_key, wallet_id)])
            return cast(int, event_id)

        await self.store.write(unit)
        return f"{base58(signature)}:0"

    async def add_trade(
        self,
        *,
        market: int = 1,
        wallet: Keypair = ALICE,
        slot: int = 10,
        shares: int = 2 * P,
        cost: int = P,
        price: int = 500_524_967,
        at_s: int = START_S - 3_600,
        outcome: bool = True,
        buy: bool = True,
    ) -> str:
        """A trade; its id."""
        make = SharesBought if buy else SharesSold
        event = make(bytes([market]) * 32, key(wallet), outcome, shares, cost, price, at_s)
        return await self.add_event(event, market=market, wallet=wallet, slot=slot)

    async def add_position(self, *, market: int = 1, wallet: Keypair = ALICE, **fields: Any) -> None:
        values: dict[str, Any] = {
            "shares_yes": u64_text(2 * P),
            "shares_no": u64_text(0),
            "total_invested": u64_text(P),
            "trades_count": 1,
            "last_trade_at": START_S - 3_600,
            "has_claimed": 0,
            "claimed_amount": u64_text(0),
            "basis_yes": str(P),
            "basis_no": "0",
            "cost_bought": str(P),
            "realized_pnl": "0",
            "first_trade_at": START_S - 3_600,
            "updated_ms": START_MS,
            **fields,
        }
        values["holding"] = positions.holding_text(int(values["shares_yes"]), int(values["shares_no"]))

        def unit(tx: Tx) -> None:
            market_row = tx.one("SELECT id, address FROM markets WHERE market_id = ?", (bytes([market]) * 32,))
            assert market_row is not None
            where = self.parts.codec.position_address(market_row["address"], key(wallet))
            columns = ["market", "wallet", "address", *values]
            place = market_row["id"], wallet_key(tx, key(wallet))
            tx.execute(
                f"INSERT INTO positions ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                (*place, where, *values.values()),
            )
            row = positions.find_position(tx, *place)
            assert row is not None
            kept.count_positions(tx, [(place[0], positions.position_of(row, market_row["address"], 255))])

        await self.store.write(unit)


def event_time(event: ChainEvent) -> int:
    return cast(int, getattr(event, "timestamp", None) or getattr(event, "cancelled_at", START_S))


def _canonical(question: str, category: str) -> str:
    return json.dumps(
        {
            "category": category,
            "description": "What it is about.",
            "end_date": "2026-02-01T00:00:00Z",
            "question": question,
            "tags": ["one", "two"],
            "version": 1,
        },
        separators=(",", ":"),
        ensure_ascii=False,
    )


GENEROUS = Limits(
    address_per_minute=100_000,
    wallet_per_minute=100_000,
    auth_per_minute=100_000,
    posts_per_hour=100_000,
)


def config_for_tests(folder: Path, **sections: Any) -> Config:
    settings = Config()
    auth = Auth(
        jwt_secret=Secret(JWT_SECRET.decode()), admin_wallets=(address(ADMIN),), service_keys=(Secret(SERVICE_KEY),)
    )
    sections = {"auth": auth, "limits": GENEROUS, "store": settings.store, **sections}
    sections["store"] = replace(sections["store"], dir=str(folder))
    return replace(settings, **sections)


@asynccontextmanager
async def api_node(folder: Path, **sections: Any) -> AsyncIterator[ApiNode]:
    """The API of a node; ``sections`` of the configuration may be given."""
    config, times = config_for_tests(folder, **sections), Times()
    store = await Store(folder / "zmart.db", now_ms=times.wall_ms).open()
    codec, metrics = Codec(PROGRAM), Metrics()
    clock = ChainClock(times.seconds)
    clock.observe(100, times.chain_s)
    hub = Hub(StoredFeed(store), metrics, config.push)
    store.on_commit = hub.publish
    parts = ApiParts(
        config=config,
        store=store,
        codec=codec,
        rpc=Rpc(["http://127.0.0.1:9"]),
        clock=clock,
        metrics=metrics,
        health=Health(times.seconds),
        breakers=Breakers(times.seconds),
        hub=hub,
        indexer=cast(Any, None),  # these routes ask nothing of it
        jobs=cast(Any, IdleJobs()),
        intents=cast(Any, None),
        feed=lambda: FeedContext(RowSettings.of(config, codec), lambda: times.chain_s),
        background=Background(),
        jwt_secret=JWT_SECRET,
        started_ms=START_MS,
        version="0.0.0",
        now_ms=times.wall_ms,
        stopping=asyncio.Event(),
        operator_key=OPERATOR_KEY,
    )
    node = ApiNode(parts, times)
    try:
        yield node
    finally:
        await node.http.aclose()
        await parts.rpc.close()
        await store.close()
