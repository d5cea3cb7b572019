"""The node that bench.http asks: the whole API over a real store and uvicorn, with 100,000 markets, in its own process,
with the access log and the collector as `serve` has them.

Prints one line of JSON when it is ready (its address, market ids, tokens) and ends when its standard input does.
"""

import asyncio
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import uvloop
from solders.keypair import Keypair

from zmart_lite.api import list_endpoints, make_api
from zmart_lite.api.application import NodeApplication
from zmart_lite.api.context import ApiParts
from zmart_lite.api.contract.endpoints import Endpoint
from zmart_lite.api.contract.parsers import CATEGORIES
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.routing import RouteTable
from zmart_lite.api.live.stored_feed import StoredFeed
from zmart_lite.app.server import bind, make_server, serve
from zmart_lite.chain.rpc import Rpc
from zmart_lite.cli.serving import relax_collector
from zmart_lite.codec import Codec
from zmart_lite.config import Config, Limits, Secret
from zmart_lite.logs import configured
from zmart_lite.models import MarketState
from zmart_lite.ops import Background, Breakers, ChainClock, Health, Metrics
from zmart_lite.push.hub import Hub
from zmart_lite.store.engine.amounts import u64_text
from zmart_lite.store.engine.db import Store, Tx, wall_clock_ms
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.views.rows import RowSettings

PROGRAM = bytes([7]) * 32
MARKETS, CREATORS, VOTERS, VOTED_MARKETS = 100_000, 1_000, 200, 4_000
BATCH = 5_000
START_S = 1_767_000_000
P = 10**9
NEVER = 10**9
EMPTY = "/api/bench/empty"


async def _nothing(_request: Request, _: object) -> object:
    return {}


EMPTY_ENDPOINTS = tuple(Endpoint(method, EMPTY, _nothing, "Nothing") for method in ("GET", "POST"))


def settings(folder: Path) -> Config:
    config = Config()
    limits = dict.fromkeys(Limits.__dataclass_fields__, NEVER)
    return replace(
        config,
        store=replace(config.store, dir=str(folder)),
        auth=replace(config.auth, jwt_secret=Secret("s" * 40)),
        limits=replace(config.limits, **limits),
    )


# Markets


def _market(source: random.Random, number: int) -> dict[str, Any]:
    created = START_S + number
    state = MarketState(source.choice((0, 0, 1, 2, 2, 2, 3, 4, 5, 6)))
    is_open = state >= MarketState.ACTIVE
    return {
        "id": number,
        "market_id": source.randbytes(32),
        "address": source.randbytes(32),
        "known": 1,
        "creator": source.randrange(1, CREATORS + 1),
        "state": int(state),
        "b_parameter": u64_text(source.randrange(100, 10_000) * P),
        "initial_liquidity": u64_text(10 * P),
        "current_liquidity": u64_text(source.randrange(1_000 * P)),
        "shares_yes": u64_text(source.randrange(P, 1_000 * P)),
        "shares_no": u64_text(source.randrange(P, 1_000 * P)),
        "total_volume": u64_text(source.randrange(10_000 * P)),
        "created_at": created,
        "activated_at": created + 3_600 if is_open else 0,
        "last_state_change_at": created + 3_600,
        "question_hash": b"Qm" + b"x" * 44,
        "evidence_hash": b"Qm" + b"x" * 44,
        "slot": number,
        "listed_category": source.choice(CATEGORIES),
        "listed_end_date": created + source.randrange(90) * 86_400,
        "updated_ms": created * 1_000,
    }


def _fill(tx: Tx, source: random.Random, first: int) -> None:
    rows = [_market(source, number) for number in range(first, first + BATCH)]
    columns = list(rows[0])
    marks = ", ".join("?" * len(columns))
    tx.execute_many(
        f"INSERT INTO markets ({', '.join(columns)}) VALUES ({marks})", [tuple(row.values()) for row in rows]
    )
    tx.execute_many(
        "INSERT INTO market_texts (market, question, description, category, tags, end_date, cid, canonical_json,"
        " attached_ms) VALUES (?, ?, ?, ?, ?, ?, ?, '{}', 0)",
        [
            (
                row["id"],
                f"Will number {row['id']} of a hundred thousand questions be answered with yes?",
                "As the official source says on the evening of the last day. " * 3,
                row["listed_category"],
                '["numbers","questions"]',
                row["listed_end_date"],
                "Qm" + "x" * 44,
            )
            for row in rows
        ],
    )


async def fill(store: Store) -> None:
    source = random.Random(1)
    wallets = [(number, source.randbytes(32), 0) for number in range(1, CREATORS + 1)]
    await store.write(
        lambda tx: tx.execute_many("INSERT INTO wallets (id, address, first_seen_ms) VALUES (?, ?, ?)", wallets)
    )
    for first in range(1, MARKETS + 1, BATCH):
        await store.write(lambda tx, first=first: _fill(tx, source, first))


# The node


def make_parts(config: Config, store: Store) -> ApiParts:
    codec, metrics, clock = Codec(PROGRAM), Metrics(), ChainClock()
    clock.observe(1_000, START_S + MARKETS)
    hub = Hub(StoredFeed(store), metrics, config.push)
    store.on_commit = hub.publish
    rows = RowSettings.of(config, codec)
    return ApiParts(
        config=config,
        store=store,
        codec=codec,
        rpc=Rpc(["http://127.0.0.1:9"]),
        clock=clock,
        metrics=metrics,
        health=Health(lambda: wall_clock_ms() / 1_000),
        breakers=Breakers(lambda: wall_clock_ms() / 1_000),
        hub=hub,
        # What is measured asks nothing of these three.
        indexer=cast(Any, None),
        jobs=cast(Any, None),
        intents=cast(Any, None),
        feed=lambda: FeedContext(rows, clock.now),
        background=Background(),
        jwt_secret=b"s" * 40,
        started_ms=wall_clock_ms(),
        version="bench",
        now_ms=wall_clock_ms,
        stopping=asyncio.Event(),
    )


async def run(folder: Path) -> None:
    config = settings(folder)
    async with asyncio.timeout(None):
        store = await Store(
            folder / "zmart.db",
            readers=config.store.readers,
            cache_mb=config.store.cache_mb,
            writer_cache_mb=config.store.writer_cache_mb,
        ).open()
        await fill(store)
        api = make_api(make_parts(config, store))
        app = NodeApplication(RouteTable([*list_endpoints(), *EMPTY_ENDPOINTS]))
        app.attach(api)
        listening = bind("127.0.0.1", 0, "server.port")
        server = make_server(app, config)
        task = await serve(server, [listening])
        now_s = wall_clock_ms() // 1_000
        tokens = [api.auth.tokens.issue(wallet, now_s)[0] for wallet in _wallets()]
        ids = await store.read(
            lambda tx: [
                row[0].hex()
                for row in tx.all("SELECT market_id FROM markets WHERE state = 0 LIMIT ?", (VOTED_MARKETS,))
            ]
        )
        relax_collector()
        print(json.dumps({"port": listening.getsockname()[1], "tokens": tokens, "markets": ids}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, _wait_for_end)
        server.should_exit = True
        await task
        await store.close()


def _wallets() -> Iterator[bytes]:
    for number in range(VOTERS):
        yield bytes(Keypair.from_seed(number.to_bytes(32)).pubkey())


def _wait_for_end() -> None:
    sys.stdin.read()


if __name__ == "__main__":
    home = Path(sys.argv[1])
    with (
        (home / "log").open("w") as log,
        configured(Config().log, log),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(run(home))
