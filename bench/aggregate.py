"""An aggregation in which 100 markets changed: among 10,000 open markets with 1,000,000 votes it costs what it costs
among 100 alone.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from bench import Measurement
from zmart_lite.chain.tx import FeePolicy
from zmart_lite.codec import Codec
from zmart_lite.jobs import Actions, Keys, Summary
from zmart_lite.jobs.votes import Aggregator, VoteOptions
from zmart_lite.models import GlobalConfig
from zmart_lite.ops import Metrics
from zmart_lite.store.engine.db import Store, Tx

PROGRAM = bytes([7]) * 32
NOW_S = 1_800_000_000
DAY_S = 86_400
VOTERS = 100
CHANGED = 100
OPEN_MARKETS = 10_000
CYCLES = 10
CHUNK = 500
SPEED_MIN = 0.5
"""The search through a larger index is a page or two deeper; a scan would be a hundred times slower."""
CONFIG = GlobalConfig(bytes(32), bytes(32), bytes(32), 0, 0, 0, 7_000, 6_000, 0, 172_800, 0, False, bytes(64), 1)


def run() -> list[Measurement]:
    alone_s, among_s = asyncio.run(_cycle_s(CHANGED)), asyncio.run(_cycle_s(OPEN_MARKETS))
    return [
        Measurement("a cycle with 100 changed, 100 markets", alone_s * 1_000, "ms"),
        Measurement(f"the same, {OPEN_MARKETS:,} markets, {OPEN_MARKETS * VOTERS:,} votes", among_s * 1_000, "ms"),
        Measurement("speed among many, compared with alone", alone_s / among_s, "×", SPEED_MIN),
    ]


async def _cycle_s(open_markets: int) -> float:
    """The best time of a cycle, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        store = await Store(Path(folder) / "bench.db").open()
        try:
            await _fill(store, open_markets)
            aggregator = _aggregator(store)
            # The first cycle looks at everything: all of it is new.
            while (await aggregator.run({})).found:
                pass
            return min([await _timed(store, aggregator, open_markets) for _ in range(CYCLES)])
        finally:
            await store.close()


async def _timed(store: Store, aggregator: Aggregator, open_markets: int) -> float:
    step = open_markets // CHANGED
    sql = f"UPDATE tallies SET changed = 1 WHERE market % {step} = 0"
    await store.write(lambda tx: tx.execute(sql))
    started = time.perf_counter()
    summary = await aggregator.run({})
    seconds = time.perf_counter() - started
    if summary != Summary(found=CHANGED, skipped=CHANGED):
        raise RuntimeError(f"a cycle came to {summary}")
    return seconds


def _aggregator(store: Store) -> Aggregator:
    """One that sends nothing: no market reaches its threshold."""
    nobody = cast(Any, None)
    actions = Actions(store, Codec(PROGRAM), nobody, Keys(None, None), Metrics(), FeePolicy(fixed=0), nobody)
    return Aggregator(store, actions, lambda _: CONFIG, lambda: NOW_S, VoteOptions(10, DAY_S))


async def _fill(store: Store, open_markets: int) -> None:
    await store.write(
        lambda tx: tx.execute_many(
            "INSERT INTO wallets (address, first_seen_ms) VALUES (?, 0)",
            [(number.to_bytes(32, "big"),) for number in range(1, VOTERS + 1)],
        )
    )
    for first in range(1, open_markets + 1, CHUNK):
        keys = range(first, min(first + CHUNK, open_markets + 1))
        await store.write(lambda tx, keys=keys: _fill_markets(tx, keys))  # type: ignore[misc]


def _fill_markets(tx: Tx, keys: range) -> None:
    """Proposals one hour old with half of their voters in favour."""
    tx.execute_many(
        "INSERT INTO markets (id, market_id, address, known, created_at) VALUES (?, ?, ?, 1, ?)",
        [(key, key.to_bytes(32, "big"), (key + 2**64).to_bytes(32, "big"), NOW_S - 3_600) for key in keys],
    )
    tx.execute_many(
        "INSERT INTO tallies (market, kind, likes, dislikes, changed) VALUES (?, 0, ?, ?, 1)",
        [(key, VOTERS // 2, VOTERS - VOTERS // 2) for key in keys],
    )
    tx.execute_many(
        "INSERT INTO votes (market, wallet, kind, vote, weight, source, voted_ms, received_ms)"
        " VALUES (?, ?, 0, ?, '1', 'api', 0, 0)",
        list(_votes(keys)),
    )


def _votes(keys: range) -> Iterator[tuple[int, int, int]]:
    for key in keys:
        for wallet in range(1, VOTERS + 1):
            yield key, wallet, int(wallet <= VOTERS // 2)
