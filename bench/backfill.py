"""A long history into an empty database: raw payloads are decoded, folded and committed, beside bare inserts.

Everything on one core, into a SQLite file with ``synchronous=FULL``. The events are older than the feed keeps, as those
of a backfill are, so no message tells of them.
"""

import asyncio
import json
import os
import random
import tempfile
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import uvloop
from based58 import b58encode
from solders.pubkey import Pubkey
from solders.signature import Signature

from bench import Measurement, on_core
from zmart_lite import models, rules
from zmart_lite.chain.webhook import parse_payload
from zmart_lite.cli.serving import relax_collector
from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.indexer.apply import apply_transactions
from zmart_lite.models import ChainTransaction, GlobalConfig
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.state import markets
from zmart_lite.store.views.rows import RowSettings

PROGRAM = bytes(Pubkey.from_string("7h3gXfBfYFueFVLYyfL5Qo1QGsf4GQUfW96FKVgnUsJS"))
SYSTEM = "11111111111111111111111111111111"
EVENTS = 200_000
ROUNDS = 3
"""Of each figure the best counts, so that a busy moment of the host is not measured: a last tenth takes two seconds."""
MARKETS, WALLETS = 200, 2_000
BATCH = Config().indexer.batch_size
EVENTS_PER_SECOND_MIN = 8_000
MEMORY_GROWTH_MIB_MAX = 16
"""Over the last quarter: SQLite's cache of 128 MiB fills before."""
START_S = 1_700_000_000
P = 10**9
B_PARAMETER = 1_000 * P
TABLES = ("transactions", "events", "trades")
RATES = rules.FeeRates(300, 200, 500)


class Spent(NamedTuple):
    """Seconds that a batch took, and of them those of the processor; MiB the process held after it."""

    wall_s: float
    cpu_s: float
    memory_mib: float


class Watch:
    """Notes what each batch takes."""

    def __init__(self) -> None:
        self.spent: list[Spent] = []

    @contextmanager
    def batch(self) -> Iterator[None]:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        yield
        taken = time.perf_counter() - wall_s, time.process_time() - cpu_s
        self.spent.append(Spent(*taken, _memory_mib()))

    def rate(self, part: slice = slice(None), *, cpu: bool = False) -> float:
        """Events per second."""
        spent = self.spent[part]
        return len(spent) * BATCH / sum(each.cpu_s if cpu else each.wall_s for each in spent)


def _memory_mib() -> float:
    """What the process holds now; 0 where that cannot be told."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if statm.exists() else 0.0


def run() -> list[Measurement]:
    with on_core(0), ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
        filled, bare = zip(*[processes.submit(_round).result() for _ in range(ROUNDS)], strict=True)
    return list(_measured(filled, bare))


def _round() -> tuple[Watch, Watch]:
    """The backfill and the bare inserts, in a process of their own, which begins with no memory."""
    relax_collector()
    with (
        tempfile.TemporaryDirectory(prefix="zmart-bench-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_backfill(Path(folder) / "zmart.db")), runner.run(_bare(Path(folder)))


def _measured(filled: Sequence[Watch], bare: Sequence[Watch]) -> Iterator[Measurement]:
    note = f"{EVENTS:,} events, {MARKETS} markets, {BATCH:,} per commit"
    batches = len(filled[0].spent)
    last = slice(-batches // 10, None)
    before = [watch.spent[batches * 3 // 4].memory_mib for watch in filled]
    grown = [watch.spent[-1].memory_mib - held for watch, held in zip(filled, before, strict=True)]
    yield Measurement("backfill", _best(filled), "events/s", EVENTS_PER_SECOND_MIN, note)
    yield Measurement("its last tenth", _best(filled, last), "events/s", EVENTS_PER_SECOND_MIN)
    yield Measurement("backfill, by processor time", _best(filled, cpu=True), "events/s")
    yield Measurement("its last tenth, by processor time", _best(filled, last, cpu=True), "events/s")
    yield Measurement("bare inserts", _best(bare), "events/s", note="the same rows of transactions, events, trades")
    yield Measurement("their last tenth", _best(bare, last), "events/s")
    yield Measurement("bare inserts, by processor time", _best(bare, cpu=True), "events/s")
    yield Measurement("memory after three quarters of the events", max(before), "MiB")
    yield Measurement("its growth by the last one", max(grown), "MiB", at_most=MEMORY_GROWTH_MIB_MAX)


def _best(watches: Sequence[Watch], part: slice = slice(None), *, cpu: bool = False) -> float:
    return max(watch.rate(part, cpu=cpu) for watch in watches)


async def _backfill(path: Path) -> Watch:
    """What each batch took, reading the payloads included, making them not."""
    codec, source = Codec(PROGRAM), random.Random(1)
    settings = RowSettings.of(Config(), codec)
    async with _open(path) as store:
        return await _fill(store, codec, source, settings)


async def _fill(store: Store, codec: Codec, source: random.Random, settings: RowSettings) -> Watch:
    await store.write(lambda tx: markets.add_config(tx, protocol_config(), slot=0, index_in_block=0, event_id=None))
    # With a codec of its own: the addresses that it derives are not to be known already.
    chain, watch = History(Codec(PROGRAM), source), Watch()
    for _ in range(EVENTS // BATCH):
        payloads = [chain.next() for _ in range(BATCH)]
        with watch.batch():
            batch = [(_read(payload), "backfill") for payload in payloads]
            context = FeedContext(settings, lambda: START_S, feed_since=2**40)
            applied = await store.write(lambda tx, b=batch, c=context: apply_transactions(tx, codec, c, b, finality=1))
        if len(applied.events) != BATCH or applied.dead_letters:
            raise RuntimeError(f"{len(applied.events)} events of {BATCH} were applied")
    if await store.read(lambda tx: tx.value("SELECT count(*) FROM markets WHERE needs_resync = 1")):
        raise RuntimeError("the history does not add up")
    return watch


def _read(payload: bytes) -> ChainTransaction:
    (item,) = parse_payload(payload, PROGRAM)
    if item.transaction is None:
        raise RuntimeError(item.error)
    return item.transaction


async def _bare(folder: Path) -> Watch:
    """What it takes to insert the rows of the first database into a second one, as many per commit."""
    async with _open(folder / "zmart.db") as first, _open(folder / "bare.db") as second:
        for table in ("wallets", "markets"):
            rows = await first.read(lambda tx, t=table: _rows(tx, t))
            await second.write(lambda tx, t=table, r=rows: _insert(tx, t, r))
        watch = Watch()
        for start in range(1, EVENTS + 1, BATCH):
            parts = [await first.read(lambda tx, t=table, s=start: _rows(tx, t, s)) for table in TABLES]
            with watch.batch():
                await second.write(lambda tx, p=parts: [_insert(tx, *each) for each in zip(TABLES, p, strict=True)])
        return watch


@asynccontextmanager
async def _open(path: Path) -> AsyncIterator[Store]:
    store = await Store(path).open()
    try:
        yield store
    finally:
        await store.close()


def _columns(tx: Tx, table: str) -> list[str]:
    """Those that are stored."""
    return [row["name"] for row in tx.all(f"PRAGMA table_info({table})")]


def _rows(tx: Tx, table: str, start: int | None = None) -> list[tuple[object, ...]]:
    """A table's rows; from ``start`` on those of one batch."""
    key = "event_id" if table == "trades" else "id"
    bounds = "" if start is None else f" WHERE {key} BETWEEN {start} AND {start + BATCH - 1}"
    # The last transaction of a market comes later than the market.
    columns = ["NULL" if name == "last_transaction" else name for name in _columns(tx, table)]
    return [tuple(row) for row in tx.all(f"SELECT {', '.join(columns)} FROM {table}{bounds} ORDER BY {key}")]


def _insert(tx: Tx, table: str, rows: Sequence[Sequence[object]]) -> None:
    columns = _columns(tx, table)
    tx.execute_many(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", rows)


def protocol_config() -> GlobalConfig:
    return GlobalConfig(
        bytes(32), bytes(32), bytes(32), *RATES, 7_000, 6_000, 86_400, 259_200, 8_000, False, bytes(64), 255
    )


class History:
    """Raw webhook items in chain order: markets are created, approved and activated, then traded in at random."""

    def __init__(self, codec: Codec, source: random.Random, start_s: int = START_S, markets: int = MARKETS) -> None:
        self._codec, self._source, self._now_s = codec, source, start_s
        self._fee_wallet = source.randbytes(32)
        self.market_ids = [source.randbytes(32) for _ in range(markets)]
        self._wallets = [source.randbytes(32) for _ in range(WALLETS)]
        self._events = self._make()
        self._slot = 1_000

    def next(self) -> bytes:
        event, name, args, accounts = next(self._events)
        self._slot += 1
        item = _item(self._codec, self._source, event, name, args, accounts)
        return json.dumps(item | {"slot": self._slot, "blockTime": self._now_s}).encode()

    def _make(self) -> Iterator[tuple[models.ChainEvent, str, dict[str, object], list[bytes]]]:
        source, now = self._source, self._now_s
        for market_id in self.market_ids:
            creator, market = source.choice(self._wallets), self._codec.market_address(market_id)
            args = {
                "market_id": market_id,
                "b_parameter": B_PARAMETER,
                "initial_liquidity": P,
                "ipfs_question_hash": bytes(46),
            }
            created = models.MarketCreated(market_id, creator, B_PARAMETER, 0, now)
            yield created, "create_market", args, [bytes(32), market, creator]
            counted = models.ProposalAggregated(market_id, 10, 0, 100, True, now)
            yield counted, "aggregate_proposal_votes", {"final_likes": 10, "final_dislikes": 0}, [market]
            yield models.ProposalApproved(market_id, creator, now), "approve_proposal", {}, [creator, market]
            yield models.MarketActivated(market_id, creator, P, now), "activate_market", {}, [creator, market]
        while True:
            now = self._now_s = now + 1
            market_id, user = source.choice(self.market_ids), source.choice(self._wallets)
            cost = source.randrange(20_000, P)
            total = cost + cost * sum(RATES) // rules.BPS
            outcome = source.random() < 0.5
            bought = models.SharesBought(market_id, user, outcome, 2 * cost, total, 5 * 10**8, now)
            yield bought, "buy_shares", {"outcome": outcome, "target_cost": total}, self._accounts_of(market_id, user)

    def _accounts_of(self, market_id: bytes, user: bytes) -> list[bytes]:
        """The accounts of a buy."""
        codec, market = self._codec, self._codec.market_address(market_id)
        position = codec.position_address(market, user)
        return [codec.config_address(), market, position, user, self._fee_wallet, bytes(32)]


def _item(
    codec: Codec,
    source: random.Random,
    event: models.ChainEvent,
    name: str,
    args: dict[str, object],
    accounts: Sequence[bytes],
) -> dict[str, object]:
    keys = [*dict.fromkeys([source.randbytes(32), *accounts, PROGRAM])]
    program = str(Pubkey(PROGRAM))
    instruction = {
        "accounts": [keys.index(account) for account in accounts],
        "data": b58encode(codec.encode_instruction(name, args)).decode(),
        "programIdIndex": keys.index(PROGRAM),
    }
    logs = [
        f"Program {program} invoke [1]",
        f"Program log: Instruction: {name}",
        *[f"Program {SYSTEM} invoke [2]", f"Program {SYSTEM} success"] * 2,
        f"Program data: {b64encode(codec.encode_event(event)).decode()}",
        f"Program {program} consumed {source.randrange(20_000, 90_000)} of 199700 compute units",
        f"Program {program} success",
    ]
    balances = [source.randrange(10**12) for _ in keys]
    return {
        "indexWithinBlock": source.randrange(2_000),
        "meta": {
            "err": None,
            "fee": 5_000,
            "innerInstructions": [],
            "loadedAddresses": {"readonly": [], "writable": []},
            "logMessages": logs,
            "postBalances": balances,
            "postTokenBalances": [],
            "preBalances": balances,
            "preTokenBalances": [],
            "rewards": [],
        },
        "transaction": {
            "message": {
                "accountKeys": [str(Pubkey(key)) for key in keys],
                "addressTableLookups": None,
                "header": {
                    "numReadonlySignedAccounts": 0, "numReadonlyUnsignedAccounts": 2, "numRequiredSignatures": 1,
                },
                "instructions": [instruction],
                "recentBlockhash": str(Pubkey(source.randbytes(32))),
            },
            "signatures": [str(Signature(source.randbytes(64)))],
        },
        "version": "legacy",
    }  # fmt: skip
