"""The parts of a node, built in the order of their dependence; nothing here listens or repeats anything.

No part reaches for another by itself: each is handed what it needs, and its own room makes it.
"""

import asyncio
import logging
import time
from contextlib import AsyncExitStack

from solders.pubkey import Pubkey

from zmart_lite import __version__, ipfs
from zmart_lite.api.live.stored_feed import StoredFeed
from zmart_lite.app.pinning import Pinning
from zmart_lite.chain.rpc import RetryPolicy, Rpc
from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.errors import ChainError, RpcUnavailable, StartupError, UndecodableData
from zmart_lite.indexer import Indexer
from zmart_lite.indexer.service import IndexerOptions
from zmart_lite.jobs import JobParts, Jobs, Keys
from zmart_lite.jobs.breakers import BreakerKeeper
from zmart_lite.jobs.keys import check_keys
from zmart_lite.ops import Background, Breakers, BreakerView, ChainClock, Health, Metrics
from zmart_lite.push.hub import Hub
from zmart_lite.store.engine.db import Store, wall_clock_ms
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.views.rows import RowSettings

logger = logging.getLogger(__name__)

START_RPC_DEADLINE_S = 3.0
"""How long the start waits for the cluster. Without it votes and reads work all the same."""
DAY_S = 86_400


class Parts:
    """``store``, ``hub``, ``rpc``, ``ipfs``, ``indexer`` and ``jobs`` exist once :meth:`build` has run.

    ``devnet_delivers_to`` is where the embedded devnet's webhook reaches the node, '' while it does not listen.
    """

    store: Store
    hub: Hub
    rpc: Rpc
    ipfs: ipfs.Service | None
    indexer: Indexer
    jobs: Jobs
    pinning: Pinning

    def __init__(self, config: Config, keys: Keys) -> None:
        self.config, self.keys = config, keys
        self.metrics = Metrics()
        self.health = Health(time.time)
        self.breakers = Breakers(time.time, self._breaker_changed)
        self.clock = ChainClock()
        self.background = Background()
        self.codec = Codec(bytes(Pubkey.from_string(config.chain.program_id)))
        self.rows = RowSettings.of(config, self.codec)
        self.devnet_delivers_to = ""

    async def build(self, stack: AsyncExitStack) -> None:
        """Make every part; ``stack`` closes them in reverse. Raises StartupError with what to do."""
        labels = (__version__, self.config.chain.program_id, self.config.chain.cluster)
        self.metrics.build_info.labels(*labels).set(1)
        stack.push_async_callback(self.background.stop)
        for make in (
            self._open_store,
            self._make_hub,
            self._connect_chain,
            self._pin_to_chain,
            self._connect_ipfs,
            self._make_indexer,
            self._say_keys,
            self._make_jobs,
        ):
            await make(stack)

    def chain_now(self) -> int:
        """The chain's clock, or the wall clock as long as the chain has not been seen. Unix seconds."""
        try:
            return self.clock.now()
        except RpcUnavailable:
            return wall_clock_ms() // 1_000

    def feed_context(self) -> FeedContext:
        return FeedContext(
            self.rows,
            self.chain_now,
            feed_since=wall_clock_ms() // 1_000 - self.config.retention.feed_days * DAY_S,
            next_aggregation_ms=lambda: self.jobs.runner.next_run_ms("aggregate"),
        )

    # The table of building

    async def _open_store(self, stack: AsyncExitStack) -> None:
        options = self.config.store
        if options.is_postgres:
            raise StartupError(
                "This version keeps its data in SQLite only: leave store.dsn (DATABASE_URL) empty, or use sqlite:///path."
            )
        store = Store(
            options.sqlite_path,
            readers=options.readers,
            cache_mb=options.cache_mb,
            writer_cache_mb=options.writer_cache_mb,
            queue_max=options.queue_max,
            on_group=lambda _units, seconds: self.metrics.store_commit_duration_seconds.observe(seconds),
        )
        stack.push_async_callback(store.close)
        self.store = await store.open()
        self._keeper = BreakerKeeper(store, self.metrics, self.background)
        await self._keeper.restore(self.breakers)

    def _breaker_changed(self, view: BreakerView) -> None:
        self._keeper.changed(view)

    async def _make_hub(self, _: AsyncExitStack) -> None:
        feed = StoredFeed(self.store)
        self.hub = Hub(feed, self.metrics, self.config.push)
        self.hub.head = await feed.head()
        self.store.on_commit = self.hub.publish

    async def _connect_chain(self, stack: AsyncExitStack) -> None:
        chain = self.config.chain
        policy = RetryPolicy(timeout_s=chain.rpc_timeout_s, attempts_max=chain.rpc_attempts_max)
        self.rpc = Rpc(self.config.rpc_addresses, policy, on_request=self._count_rpc)
        stack.push_async_callback(self.rpc.close)
        # What runs in the background uses the RPC and the store: it ends before they do.
        stack.push_async_callback(self.background.stop)

    def _count_rpc(self, method: str, result: str, seconds: float) -> None:
        self.metrics.rpc_requests_total.labels(method, result).inc()
        self.metrics.rpc_request_duration_seconds.labels(method).observe(seconds)

    async def _pin_to_chain(self, _: AsyncExitStack) -> None:
        self.pinning = Pinning(self.config, self.store, self.rpc)
        try:
            async with asyncio.timeout(START_RPC_DEADLINE_S):
                reading = await self.pinning.pin()
        except (ChainError, TimeoutError) as error:
            logger.warning("the cluster cannot be reached yet: %s", str(error) or type(error).__name__)
            await self.pinning.require_known()
            return
        self.clock.observe(reading.slot, reading.unix_timestamp)

    async def _connect_ipfs(self, stack: AsyncExitStack) -> None:
        self.ipfs = ipfs.connect(self.config.ipfs)
        if self.ipfs is not None:
            stack.push_async_callback(self.ipfs.close)

    async def _make_indexer(self, _: AsyncExitStack) -> None:
        self.indexer = Indexer(
            self.store,
            self.codec,
            self.rpc,
            self.clock,
            self.metrics,
            self.feed_context,
            IndexerOptions.of(self.config),
        )

    async def _say_keys(self, _: AsyncExitStack) -> None:
        """Say at once which of the node's keys are missing or wrong, if the cluster answers."""
        config = None
        try:
            async with asyncio.timeout(START_RPC_DEADLINE_S):
                config = await self.indexer.read_config()
        except (ChainError, UndecodableData, TimeoutError) as error:
            logger.warning("the protocol's config cannot be read yet: %s", str(error) or type(error).__name__)
        for sentence in check_keys(self.keys, config):
            logger.warning(sentence)

    async def _make_jobs(self, _: AsyncExitStack) -> None:
        self.jobs = Jobs(
            JobParts(
                config=self.config,
                keys=self.keys,
                store=self.store,
                codec=self.codec,
                rpc=self.rpc,
                clock=self.clock,
                metrics=self.metrics,
                breakers=self.breakers,
                background=self.background,
                hub=self.hub,
                indexer=self.indexer,
                ipfs=self.ipfs,
                feed_context=self.feed_context,
                chain_now=self.chain_now,
                before_poll=self.pinning.note_cluster,
                devnet_delivers_to=lambda: self.devnet_delivers_to,
            )
        )
