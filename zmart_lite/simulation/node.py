"""The indexing side of a node in a simulation: real store, indexer, RPC over HTTP and webhook route, killed at will."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, cast
from urllib.parse import urlsplit

from zmart_lite.api import create_app
from zmart_lite.api.context import ApiParts
from zmart_lite.api.live.stored_feed import StoredFeed
from zmart_lite.app.hooks import IndexerAdapter
from zmart_lite.chain.endpoint import Client
from zmart_lite.chain.rpc import RetryPolicy, Rpc
from zmart_lite.codec import Codec
from zmart_lite.config import Config, Secret
from zmart_lite.errors import ChainError
from zmart_lite.indexer.rebuild import rebuild
from zmart_lite.indexer.service import Indexer, IndexerOptions
from zmart_lite.localnet import Localnet
from zmart_lite.ops import Background, Breakers, ChainClock, Health, Metrics
from zmart_lite.push.hub import Hub
from zmart_lite.simulation.deliveries import SECRET, Post
from zmart_lite.simulation.poison import OlderCodec
from zmart_lite.simulation.wire import InProcess, exchange
from zmart_lite.store.engine.db import Store
from zmart_lite.store.log import chainlog
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.views.rows import RowSettings

START_MS = 1_800_000_000_000
ATTEMPT_S, PATIENT_ATTEMPT_S = 0.1, 20.0
"""Real time an RPC call may hang, and may take at the end. Everything else is virtual."""
RATE = 1_000_000
PROVIDERS = ("first", "second")
"""The node's two RPC addresses: one chain, each with tempers of its own."""
JSON = (b"content-type", b"application/json")
ROUNDS_MAX = 200


class Times:
    """Wall time and monotonic time of the node, moved by the simulation and by whoever sleeps."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now_ms(self) -> int:
        return START_MS + int(self.passed_s * 1_000)

    def monotonic(self) -> float:
        return self.passed_s

    async def sleep(self, seconds: float) -> None:
        self.passed_s += seconds
        await asyncio.sleep(0)


class IdleJobs:
    """A job runner in which nothing runs."""

    async def views(self) -> list[Any]:
        return []

    def next_run_ms(self, _: str) -> int | None:
        return None


def _settings(folder: Path) -> Config:
    """Nobody is kept waiting by a limit: time hardly passes here."""
    settings = Config()
    limits = replace(settings.limits, address_per_minute=RATE, webhook_per_minute=RATE)
    return replace(
        settings,
        store=replace(settings.store, dir=str(folder)),
        helius=replace(settings.helius, webhook_secret=Secret(SECRET)),
        limits=limits,
    )


class SimulatedNode:
    """Started on the same files again and again. What is not in them is lost when it is killed."""

    def __init__(self, folder: Path, localnet: Localnet, random: Random, times: Times, *, upgrades: bool) -> None:
        """``upgrades``: it begins as a version that does not know all layouts, until :meth:`upgrade`."""
        self._folder, self._localnet, self._random, self.times = folder, localnet, random, times
        self._config = _settings(folder)
        self._options = IndexerOptions(
            batch_size=random.choice((3, 20, 100)), poll_overlap_slots=random.choice((8, 64)), page_size=60
        )
        self._work: asyncio.Task[None] | None = None
        self.codec: Codec = OlderCodec(localnet.codec.program_id) if upgrades else localnet.codec
        self._attempt_s = ATTEMPT_S
        self._steps_left = 0
        self._doomed = asyncio.Event()

    async def start(self) -> None:
        codec = self.codec
        self.store = await Store(
            self._folder / "zmart.db", readers=1, now_ms=self.times.now_ms, on_group=lambda *_: self._count_down()
        ).open()
        policy = RetryPolicy(timeout_s=self._attempt_s)
        jitter = self._random.random
        self.rpc = Rpc(
            [f"{self._localnet.rpc_url}/provider/{name}" for name in PROVIDERS],
            policy,
            connect=self._connect,
            sleep=self.times.sleep,
            monotonic=self.times.monotonic,
            jitter=jitter,
            on_request=lambda *_: self._count_down(),
        )
        self.rpc.require_cluster(self._localnet.ledger.genesis_hash)
        self.metrics, clock = Metrics(), ChainClock(self.times.monotonic)
        rows = RowSettings.of(self._config, codec)

        def feed() -> FeedContext:
            return FeedContext(rows, self._localnet.ledger.clock.now_s)

        self._feed = feed
        self.indexer = Indexer(self.store, codec, self.rpc, clock, self.metrics, feed, self._options)
        self.hub = Hub(StoredFeed(self.store), self.metrics, self._config.push)
        self.store.on_commit = self.hub.publish
        parts = ApiParts(
            config=self._config,
            store=self.store,
            codec=codec,
            rpc=self.rpc,
            clock=clock,
            metrics=self.metrics,
            health=Health(self.times.monotonic),
            breakers=Breakers(self.times.monotonic),
            hub=self.hub,
            indexer=IndexerAdapter(self.indexer),
            jobs=cast(Any, IdleJobs()),
            intents=cast(Any, None),
            feed=feed,
            background=Background(),
            jwt_secret=b"s" * 40,
            started_ms=START_MS,
            version="0.0.0",
            now_ms=self.times.now_ms,
            stopping=asyncio.Event(),
        )
        self._app = create_app(parts)

    def _connect(self, url: str, _timeout_s: float) -> Client:
        return InProcess(self._localnet.app, urlsplit(url).path)

    async def stop(self) -> None:
        await self.rpc.close()
        await self.store.close()

    async def kill(self) -> None:
        """End everything in the middle of what it does: units of work that wait are lost, one under way may land."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            self._work = None
        await self.rpc.close()
        await self.store.abandon()

    async def upgrade(self) -> None:
        """Go on with the version that knows what the chain's program does now, and try everything again."""
        await self.kill()
        self.codec = self._localnet.codec
        await self.start()
        await self._try(self.indexer.letters.retry_all())

    async def retry(self) -> None:
        """What an operator does after an upgrade: ``events retry``, and a reconciliation."""
        await self.indexer.letters.retry_all()
        await self.indexer.reconciler.run()

    async def reconcile(self) -> None:
        await self._try(self.indexer.reconciler.run())

    async def become_patient(self) -> None:
        """Begin anew with all the time that a call takes on a busy machine: what comes now is no failure."""
        self._attempt_s = PATIENT_ATTEMPT_S
        await self.kill()
        await self.start()

    async def count_letters(self, words: str) -> int:
        """Open dead letters whose reason holds these words."""
        sql = "SELECT count(*) FROM dead_letters WHERE resolved_ms IS NULL AND instr(error, ?)"
        return await self.store.read(lambda tx: cast(int, tx.value(sql, (words,))))

    async def open_letters(self) -> set[bytes]:
        """Signatures of the transactions with an open dead letter."""
        sql = "SELECT signature FROM dead_letters WHERE resolved_ms IS NULL AND signature IS NOT NULL"
        return await self.store.read(lambda tx: {row["signature"] for row in tx.all(sql)})

    async def ask_everything(self, market_ids: Sequence[bytes]) -> list[str]:
        """Requests about these markets that are not answered."""
        paths = [
            "/api/markets?limit=100",
            "/api/events?limit=500",
            "/api/markets/trending",
            "/api/stats",
            "/api/protocol",
        ]
        for market_id in dict.fromkeys(market_ids):
            here = f"/api/markets/{market_id.hex()}"
            more = ("trades", "events", "stats", "price-history", "positions", "prices", "activity", "related")
            paths += [here, *(f"{here}/{name}" for name in more)]
        answers = [(path, (await exchange(self._app, "GET", path))[0].status_code) for path in paths]
        return [f"GET {path} is answered by {status}" for path, status in answers if status not in (200, 404, 409, 422)]

    # What the outside does to it

    async def post(self, post: Post) -> int:
        headers = [(b"authorization", post.secret.encode()), JSON]
        return (await exchange(self._app, "POST", "/api/webhooks/helius", post.body, headers))[0].status_code

    # What it does by itself

    async def work(self, *, poll: bool, finality: bool) -> None:
        """One round of the node's tasks. The cluster's failures end a task's turn, as they do in a node."""
        await self._try(self._index())
        if poll:
            await self._try(self._poll())
        if finality:
            await self._try(self._follow())
        self.times.passed_s += 1

    async def work_and_be_killed(self) -> None:
        """Begin a round, and end everything after so many answers and commits."""
        self._steps_left = self._random.randint(1, 40)
        self._doomed.clear()
        self._work = asyncio.get_running_loop().create_task(self.work(poll=True, finality=True))
        doomed = asyncio.get_running_loop().create_task(self._doomed.wait())
        await asyncio.wait([self._work, doomed], return_when=asyncio.FIRST_COMPLETED)
        doomed.cancel()
        await self.kill()

    def _count_down(self) -> None:
        self._steps_left -= 1
        if self._steps_left == 0:
            self._doomed.set()

    async def _try(self, work: Any) -> None:
        try:
            await work
        except ChainError:
            self.times.passed_s += 1

    async def _index(self) -> None:
        for _ in range(ROUNDS_MAX):
            if not await self.indexer.index_inbox():
                break

    async def _poll(self) -> None:
        result = await self.indexer.poll()
        if result.new:
            await self._index()

    async def _follow(self) -> None:
        await self.indexer.follow_finality()

    async def second_thoughts(self) -> list[str]:
        """What reconciliation and a new fold of the log find, which should be nothing."""
        reconciled = await self.indexer.reconciler.run()
        found = [f"reconciliation found {reconciled}"] if reconciled.differences or reconciled.discovered else []
        rebuilt = await rebuild(self.indexer.writer, self._feed, lambda _done, _total: None)
        return found + [
            f"folded again, {field} of {market} is {new}, not {old}" for market, field, old, new in rebuilt.differences
        ]

    async def settle(self) -> None:
        """Go on as a node does once all is well again, until nothing is left to do."""
        await self.indexer.rescan()
        for _ in range(ROUNDS_MAX):
            self.times.passed_s += 61
            await self._index()
            await self.indexer.resync_flagged()
            result = await self.indexer.poll()
            promoted, vanished = await self.indexer.follow_finality()
            left = await self.store.read(chainlog.inbox_length)
            if not (result.new or promoted or vanished or left):
                return
        raise AssertionError("the node does not come to rest")
